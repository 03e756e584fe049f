// A strip of scores: at most mr rows of a block of keys, small enough for the first-level cache. What happens to it between
// the products: mask, causality, exponentials, dropout.
#pragma once
#include "kernels/cpu/attention/operands.h"
#include "kernels/philox.h"

namespace tg::TG_ISA {

template <class T> struct Strip {
  T* scores;
  int64_t stride;
  int64_t row, rows;  // of the queries
  int64_t col, cols;  // of the keys; those computed, before padding to whole registers
  bool causal;
  TG_INLINE T* at(int64_t i) const { return scores + i * stride; }
  // Keys of this strip that row i may see.
  TG_INLINE int64_t visible(int64_t i) const {
    if (!causal) return cols;
    const int64_t seen = row + i + 1 - col;
    return seen < 0 ? 0 : smaller(seen, cols);
  }
};

// Keys of a block at `col` that some row before `end` may see.
TG_INLINE int64_t visible_cols(const Attention& a, int64_t end, int64_t col, int64_t cols) {
  if (!a.causal) return cols;
  const int64_t seen = end - col;
  return seen < 0 ? 0 : smaller(seen, cols);
}

// --- masks ------------------------------------------------------------------------------------------------------------
enum class Seen { nothing, something, everything };

template <size_t bytes> struct Lane { using Bits = uint32_t; };
template <> struct Lane<8> { using Bits = uint64_t; };

// The mask of one head.
template <class T> class HeadMask {
 public:
  HeadMask(const Attention& a, int64_t b, int64_t h) : boolean_(a.mask_dtype == DType::b8) {
    row_ = a.mask_strides[2], col_ = a.mask_strides[3];
    const int64_t at = b * a.mask_strides[0] + h * a.mask_strides[1];
    if (a.mask) data_ = static_cast<const char*>(a.mask) + at * int64_t(boolean_ ? 1 : sizeof(T));
  }

  // What a boolean mask lets through of a block: blocks without a key are skipped, blocks with all keys need no mask.
  Seen seen(int64_t row, int64_t rows, int64_t col, int64_t cols) const {
    if (!data_) return Seen::everything;
    if (!boolean_) return Seen::something;
    bool some = false, all = true;
    for (int64_t i = 0; i < (row_ == 0 ? 1 : rows); ++i) {
      const uint8_t* const line = at<uint8_t>(row + i, col);
      uint8_t high = 0, low = 1;
      if (col_ == 1) {
        for (int64_t j = 0; j < cols; ++j) high |= line[j] != 0, low &= line[j] != 0;
      } else {
        for (int64_t j = 0; j < (col_ == 0 ? 1 : cols); ++j) high |= line[j * col_] != 0, low &= line[j * col_] != 0;
      }
      some |= high != 0, all &= low != 0;
      if (some && !all) return Seen::something;
    }
    return all ? Seen::everything : Seen::nothing;
  }

  // scores = factor scores + mask; False is -infinity. `line` is room for a row.
  [[gnu::noinline]] void add_to(const Strip<T>& s, T* line, T factor) const {
    for (int64_t i = 0; i < s.rows; ++i) {
      const T* added = line;
      if (boolean_) fill(line, at<uint8_t>(s.row + i, s.col), s.cols);
      else if (col_ == 1) added = at<T>(s.row + i, s.col);
      else
        for (int64_t j = 0; j < s.cols; ++j) line[j] = at<T>(s.row + i, s.col)[j * col_];
      T* const scores = s.at(i);
      for (int64_t j = 0; j < s.cols; j += Vec<T>::width)
        fma(Vec<T>::load(scores + j), Vec<T>(factor), Vec<T>::load(added + j, s.cols - j)).store(scores + j);
    }
  }

 private:
  template <class X> const X* at(int64_t row, int64_t col) const {
    return reinterpret_cast<const X*>(data_) + row * row_ + col * col_;
  }
  // 0 or -infinity, by arithmetic on bits, which compilers turn into registers of lanes.
  TG_INLINE static T lane(uint8_t sees) {
    using Bits = typename Lane<sizeof(T)>::Bits;
    const Bits hidden = __builtin_bit_cast(Bits, -Format<T>::infinity);
    return __builtin_bit_cast(T, Bits((Bits(sees != 0) - 1) & hidden));
  }
  void fill(T* line, const uint8_t* mask, int64_t n) const {
    if (col_ == 1) {
      for (int64_t j = 0; j < n; ++j) line[j] = lane(mask[j]);
    } else {
      for (int64_t j = 0; j < n; ++j) line[j] = lane(mask[j * col_]);
    }
  }

  const char* data_ = nullptr;
  bool boolean_;
  int64_t row_, col_;
};

// Keys that a row may not see, and the padding behind the last: -infinity.
template <class T> TG_INLINE void hide_unseen(const Strip<T>& s) {
  const int64_t end = padded<T>(s.cols);
  for (int64_t i = 0; i < s.rows; ++i)
    for (int64_t j = s.visible(i); j < end; ++j) s.at(i)[j] = -Format<T>::infinity;
}

// --- exponentials -----------------------------------------------------------------------------------------------------
// e^x for x up to about 0; 0 where it would be denormal. Without an instruction that scales by a power of two, exp takes a slow
// way for results that small, and hidden keys are just that.
template <class T> TG_INLINE Vec<T> exp_of_negative(Vec<T> x) {
  if constexpr (requires { Native<T>::scale(x.v, x.v); }) {
    return exp(x);
  } else {
    const Vec<T> lowest(is_float<T> ? T(-87) : T(-708));
    const ExpParts<T> e = exp_parts(min_or_second(Vec<T>(T(80)), max_or_second(lowest, x)));
    const Vec<T> one(T(1)), y = (one + e.expm1_r) * power_of_two(e.n);
    return select(x < lowest, Vec<T>(T(0)), y);
  }
}

// --- softmax over blocks ----------------------------------------------------------------------------------------------
// What is known of a row after some blocks: the largest score, and the sum of e^(score - largest).
template <class T> struct RowState { T high[query_block], sum[query_block]; };

// Scores become e^(score - largest so far). rescale[i] is what earlier sums of row i must be multiplied by.
template <class T> [[gnu::noinline]] static void exponentials(const Strip<T>& s, T* high, T* sum, T* rescale) {
  using V = Vec<T>;
  constexpr int64_t width = V::width;
  const int64_t end = padded<T>(s.cols);
  T before[8] = {}, after[8] = {};
  for (int64_t i = 0; i < s.rows; ++i) {
    const T* const x = s.at(i);
    V largest[2] = {V(high[i]), V(high[i])};
    int64_t j = 0;
    for (; j + 2 * width <= end; j += 2 * width) {
      largest[0] = max_or_second(V::load(x + j), largest[0]);
      largest[1] = max_or_second(V::load(x + j + width), largest[1]);
    }
    if (j < end) largest[0] = max_or_second(V::load(x + j), largest[0]);
    before[i] = high[i];
    high[i] = reduce_max(max_or_second(largest[0], largest[1]));
    after[i] = high[i] == -Format<T>::infinity ? T(0) : high[i];  // no key so far: all exponentials are 0
  }
  for (int64_t i = 0; i < 8; i += width) exp(V::load(before + i, 8 - i) - V::load(after + i, 8 - i)).store(rescale + i, 8 - i);
  for (int64_t i = 0; i < s.rows; ++i) {
    T* const x = s.at(i);
    const V shift(after[i]);
    V total[2] = {V(T(0)), V(T(0))};
    int64_t j = 0;
    for (; j + 2 * width <= end; j += 2 * width) {
      const V first = exp_of_negative(V::load(x + j) - shift), second = exp_of_negative(V::load(x + j + width) - shift);
      first.store(x + j);
      second.store(x + j + width);
      total[0] += first, total[1] += second;
    }
    if (j < end) {
      const V last = exp_of_negative(V::load(x + j) - shift);
      last.store(x + j);
      total[0] += last;
    }
    sum[i] = sum[i] * rescale[i] + reduce_add(total[0] + total[1]);
  }
}

// --- dropout ----------------------------------------------------------------------------------------------------------
// Factors of the weights of one head: 0 where dropped, 1 / (1 - p) where kept.
template <class T> class Dropout {
 public:
  Dropout(const Attention& a, int64_t b, int64_t h) : seed_(a.random.seed), groups_per_row_(uint64_t(ceil_div(a.cols, 4))) {
    first_ = a.random.offset + uint64_t((b * a.heads + h) * a.rows) * groups_per_row_;
    threshold_ = uint32_t(__builtin_ceil(double(float(a.dropout)) * 0x1p24));
    kept_ = a.dropout < 1 ? T(1 / (1 - a.dropout)) : T(0);
  }
  // For keys [col, col + cols) of a row, and on to whole registers and groups of 4; col is a multiple of 4.
  [[gnu::noinline]] void factors(int64_t row, int64_t col, int64_t cols, T* out) const {
    const uint64_t first = first_ + uint64_t(row) * groups_per_row_ + uint64_t(col) / 4;
    const uint64_t seed = seed_;
    const int64_t end = padded<T>(cols);
    for (int64_t i = 0; i < end; i += 64) {
      uint32_t words[64];
      for (int group = 0; group < 16; ++group) {  // written so that compilers make registers of groups
        const PhiloxWords four = philox(seed, first + uint64_t(i / 4 + group), 0);
        for (int lane = 0; lane < 4; ++lane) words[4 * group + lane] = four.word[lane];
      }
      const uint32_t threshold = threshold_;
      const T kept = kept_;
      const int64_t n = round_up(smaller(64, end - i), 4);
      for (int64_t j = 0; j < n; ++j) out[i + j] = words[j] >> 8 >= threshold ? kept : T(0);
    }
  }
  // Weights of a strip times their factors.
  void apply(const Strip<T>& s, T* line) const {
    for (int64_t i = 0; i < s.rows; ++i) {
      factors(s.row + i, s.col, s.cols, line);
      T* const x = s.at(i);
      for (int64_t j = 0; j < s.cols; j += Vec<T>::width) (Vec<T>::load(x + j) * Vec<T>::load(line + j)).store(x + j);
    }
  }

 private:
  uint64_t seed_, first_, groups_per_row_;
  uint32_t threshold_;
  T kept_;
};

}  // namespace tg::TG_ISA
