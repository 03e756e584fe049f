// One or few queries against many keys: decoding. Keys and values are read once, where they lie; memory sets the pace.
#pragma once
#include "kernels/cpu/attention/strip.h"

namespace tg::TG_ISA {

// Packing keys costs about as much as this many rows of scores.
TG_INLINE bool has_few_rows(const Attention& a) { return a.rows * (a.heads / a.groups) <= 4; }

template <class S> class FewRows {
  using T = Compute<S>;
  using V = Vec<T>;
  static constexpr int64_t width = V::width;

 public:
  FewRows(const Attention& a, void* base) : a_(a), memory_(base) {
    query_ = memory_.take<T>(padded<T>(a.size));
    scores_ = memory_.take<T>(padded<T>(a.cols) + width);
    line_ = memory_.take<T>(padded<T>(a.cols) + width);
  }
  size_t bytes() const { return memory_.used(); }

  void run(int64_t b, int64_t g) {
    const int64_t shared = a_.heads / a_.groups;
    for (int64_t h = g * shared; h < (g + 1) * shared; ++h)
      for (int64_t row = 0; row < a_.rows; ++row) query(b, g, h, row);
  }

 private:
  void query(int64_t b, int64_t g, int64_t h, int64_t row) {
    const int64_t cols = visible_cols(a_, row + 1, 0, a_.cols);
    copy_rows(head_of<const S>(a_.q, b, h) + row * a_.q.row_stride, 0, 1, a_.size, query_, T(a_.scale));
    const S* const keys = head_of<const S>(a_.k, b, g);
    for (int64_t j = 0; j < cols; j += width) score(keys + j * a_.k.row_stride, smaller(width, cols - j), scores_ + j);

    const Strip<T> s{scores_, 0, row, 1, 0, cols, a_.causal};
    if (a_.mask) HeadMask<T>(a_, b, h).add_to(s, line_, T(1));
    hide_unseen(s);
    T high = -Format<T>::infinity, sum = 0, rescale[8];
    exponentials(s, &high, &sum, rescale);
    if (a_.dropout > 0) Dropout<T>(a_, b, h).apply(s, line_);

    S* const out = head_of<S>(a_.out, b, h) + row * a_.out.row_stride;
    const S* const values = head_of<const S>(a_.v, b, g);
    const V scale(sum == 0 ? T(0) : 1 / sum);
    int64_t j = 0;
    for (; j + 4 * width <= a_.value_size; j += 4 * width) weigh<4>(values + j, cols, 4 * width, scale, out + j);
    for (; j < a_.value_size; j += width) weigh<1>(values + j, cols, a_.value_size - j, scale, out + j);
    static_cast<T*>(a_.lse)[(b * a_.heads + h) * a_.rows + row] = sum == 0 ? -Format<T>::infinity : high + log_of(sum);
  }

  // The scores of a register of keys: products feature by feature, one register a key, summed across by turning them.
  TG_INLINE void score(const S* keys, int64_t count, T* out) {
    V sum[width];
    for (int64_t i = 0; i < width; ++i) {
      const S* const key = keys + (i < count ? i : 0) * a_.k.row_stride;
      V even(T(0)), odd(T(0));
      int64_t d = 0;
      for (; d + 2 * width <= a_.size; d += 2 * width) {
        even = fma(V::load(key + d), V::load(query_ + d), even);
        odd = fma(V::load(key + d + width), V::load(query_ + d + width), odd);
      }
      for (; d < a_.size; d += width) even = fma(V::load(key + d, a_.size - d), V::load(query_ + d), even);
      sum[i] = even + odd;
    }
    transpose(sum);
    V total = sum[0];
    for (int64_t i = 1; i < width; ++i) total += sum[i];
    total.store(out);
  }

  // out[0..n) = scale * sum_j weights[j] values[j], `registers` registers of features.
  template <int registers> TG_INLINE void weigh(const S* values, int64_t cols, int64_t n, V scale, S* out) {
    V sum[registers];
    for (int r = 0; r < registers; ++r) sum[r] = V(T(0));
    for (int64_t k = 0; k < cols; ++k) {
      const V weight(scores_[k]);
      for (int r = 0; r < registers; ++r)
        sum[r] = fma(weight, V::load(values + k * a_.v.row_stride + r * width, n - r * width), sum[r]);
    }
    for (int r = 0; r < registers; ++r) (sum[r] * scale).store(out + r * width, n - r * width);
  }

  const Attention& a_;
  Memory memory_;
  T *query_, *scores_, *line_;
};

}  // namespace tg::TG_ISA
