// What attention does differently where the tile multiplies pairs of bfloat16 (AVX512-BF16), twice as fast as floats.
//
// q, k, v and dout are multiplied as they are, in pairs of neighbouring features; the scale is applied to the scores. Scores,
// maxima, sums, exponentials and everything that is summed up are float32. Weights and their gradients are rounded to bfloat16
// where they become an operand:
//
//   scores of a strip (8 rows, float)   row 0  w00 w01 w02 w03 ...      by rows:   [w00 w01] [w02 w03] ...   times v, k
//                                       row 1  w10 w11 w12 w13 ...      by lines:  [w00 w10] [w01 w11] ...   transposed, times
//                                                                                                            dout, q
//
// The row sums that divide the output are those of the weights before rounding.
#pragma once
#include "kernels/cpu/attention/strip.h"

namespace tg::TG_ISA {

// Calls f.operator()<S>() with the storage type, where this instruction set has a product of its own for it.
template <class F> TG_INLINE Status visit_operands(DType dtype, const F& f) {
#if defined(TG_ISA_avx512_bf16)
  return dtype == DType::bf16 ? f.template operator()<bf16>() : Status { Status::missing };
#else
  return visit_floating(dtype, f);
#endif
}

// Scores as the product left them: mask, causality. What is left to multiply them by is returned.
template <class S>
TG_INLINE Compute<S> finish_scores(const Attention& a, const Strip<Compute<S>>& s, const HeadMask<Compute<S>>* mask,
                                   Compute<S>* line) {
  using T = Compute<S>;
  T factor = Operand<S>::scaled ? T(1) : T(a.scale);
  if (mask) {
    mask->add_to(s, line, factor);
    factor = 1;
  } else if (!(factor > 0)) {  // would turn -infinity into something else
    for (int64_t i = 0; i < s.rows; ++i)
      for (int64_t j = 0; j < s.cols; ++j) s.at(i)[j] *= factor;
    factor = 1;
  }
  hide_unseen(s);
  return factor;
}

// The buffers of the backward pass that only pairs need.
template <class S> struct GradientPairs {};

#if defined(TG_ISA_avx512_bf16)
// Rows of bfloat16, filled up with zeros to whole registers.
[[gnu::noinline]] static void copy_pairs(const bf16* from, int64_t stride, int64_t rows, int64_t size, Bf16Pair* to) {
  const int64_t end = padded<float>(size);
  for (int64_t i = 0; i < rows; ++i) {
    uint16_t* const line = reinterpret_cast<uint16_t*>(to) + i * end;
    for (int64_t j = 0; j < end; j += 16) {
      const Bits16 x = Native<float>::load16(from + i * stride + j, smaller(16, size - j));
      __builtin_memcpy(line + j, &x, sizeof x);
    }
  }
}
#endif

// Rows as left operands of the tile, times `scale` where operands are scaled.
template <class S>
static void copy_left(const S* from, int64_t stride, int64_t rows, int64_t size, typename Operand<S>::Element* to,
                      double scale) {
  if constexpr (Operand<S>::scaled) copy_rows(from, stride, rows, size, to, Compute<S>(scale));
  else copy_pairs(from, stride, rows, size, to);
}

#if defined(TG_ISA_avx512_bf16)
inline constexpr float log2_e = 0x1.715476p0f;

// 2^x for x of at most about 0, to 3e-6: far below half a unit of bfloat16. 0 below -150; NaN stays.
TG_INLINE Vec<float> power_of_two_quick(Vec<float> x) {
  x = max_or_second(Vec<float>(-150.0f), x);
  const Vec<float> n = round(x);
  return scale(polynomial(x - n, 0.99999928f, 0.69312179f, 0.24024744f, 0.055917859f, 0.0095701021f), n);
}

// 32 numbers as bfloat16: those of `first` in the lower half.
TG_INLINE __m512i to_bf16(Vec<float> first, Vec<float> second) { return (__m512i)_mm512_cvtne2ps_pbh(second.v, first.v); }

// `factor` times the scores becomes e^(score - largest so far), as bfloat16 at the beginning of each row. rescale[i] is what
// earlier sums of row i must be multiplied by.
[[maybe_unused, gnu::noinline]] static void exponentials_of_pairs(const Strip<float>& s, float factor, float* high, float* sum,
                                                                  float* rescale, const Dropout<float>* dropout, float* line) {
  using V = Vec<float>;
  constexpr int64_t width = V::width;
  const int64_t end = padded<float>(s.cols);
  const V slope(factor * log2_e);
  float before[8] = {}, shift[8] = {};
  for (int64_t i = 0; i < s.rows; ++i) {
    const float* const x = s.at(i);
    V largest[2] = {V(-Format<float>::infinity), V(-Format<float>::infinity)};
    int64_t j = 0;
    for (; j + 2 * width <= end; j += 2 * width) {
      largest[0] = max_or_second(V::load(x + j), largest[0]);
      largest[1] = max_or_second(V::load(x + j + width), largest[1]);
    }
    if (j < end) largest[0] = max_or_second(V::load(x + j), largest[0]);
    const float here = factor * reduce_max(max_or_second(largest[0], largest[1]));
    before[i] = high[i];
    if (here > high[i]) high[i] = here;
    shift[i] = high[i] == -Format<float>::infinity ? 0.0f : high[i];  // no key so far: all exponentials are 0
  }
  exp(V::load(before, 8) - V::load(shift, 8)).store(rescale, 8);
  for (int64_t i = 0; i < s.rows; ++i) {
    float* const x = s.at(i);
    uint16_t* const weights = reinterpret_cast<uint16_t*>(x);
    const V lower(-shift[i] * log2_e);
    V total[2] = {V(0.0f), V(0.0f)};
    if (dropout) dropout->factors(s.row + i, s.col, s.cols, line);
    int64_t j = 0;
    for (; j + 2 * width <= end; j += 2 * width) {
      V first = power_of_two_quick(fma(V::load(x + j), slope, lower));
      V second = power_of_two_quick(fma(V::load(x + j + width), slope, lower));
      total[0] += first, total[1] += second;
      if (dropout) first *= V::load(line + j), second *= V::load(line + j + width);
      _mm512_storeu_si512(weights + j, to_bf16(first, second));
    }
    if (j < end) {
      V last = power_of_two_quick(fma(V::load(x + j), slope, lower));
      total[0] += last;
      if (dropout) last *= V::load(line + j);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + j), (__m256i)_mm512_cvtneps_pbh(last.v));
    }
    sum[i] = sum[i] * rescale[i] + reduce_add(total[0] + total[1]);
  }
}

template <> struct GradientPairs<bf16> {
  Bf16Pair *weights = nullptr, *dscores = nullptr, *dscore_rows = nullptr;  // by lines, by lines, by rows
  int64_t stride = 0;                                                       // of a line; a row has half of it

  // A strip from row i of the block on: scores and y = dout v^T become P F and dS, up to key `widest`. `line` is room for two
  // rows, the strip for one more row than it has.
  [[gnu::noinline]] void gradients(const Strip<float>& s, float* y, int64_t i, int64_t widest, float factor, const float* lse,
                                   const float* delta, const Dropout<float>* dropout, float* line) const {
    const int64_t end = padded<float>(s.cols);
    for (int64_t r = 0; r < s.rows; r += 2) {
      float *const x0 = s.at(r), *const x1 = s.at(r + 1), *const y0 = y + r * s.stride, *const y1 = y0 + s.stride;
      const bool both = r + 1 < s.rows;
      if (!both) {
        __builtin_memset(x1, 0, size_t(end) * sizeof(float));
        __builtin_memset(y1, 0, size_t(end) * sizeof(float));
      }
      if (dropout) {
        dropout->factors(s.row + r, s.col, s.cols, line);
        dropout->factors(s.row + r + both, s.col, s.cols, line + s.stride);
      }
      const float terms[4] = {lse[r], both ? lse[r + 1] : Format<float>::infinity, delta[r], both ? delta[r + 1] : 0.0f};
      Bf16Pair *const to_weights = weights + (i + r) / 2 * stride, *const to_dscores = dscores + (i + r) / 2 * stride;
      uint16_t *const row0 = reinterpret_cast<uint16_t*>(dscore_rows) + (i + r) * stride, *const row1 = row0 + stride;
      if (dropout)
        two_rows<true>(x0, x1, y0, y1, end, factor, terms, line, line + s.stride, to_weights, to_dscores, row0, row1);
      else two_rows<false>(x0, x1, y0, y1, end, factor, terms, line, line, to_weights, to_dscores, row0, row1);
      for (int64_t j = end; j < round_up(widest, 2); ++j) {
        to_weights[j] = to_dscores[j] = {0, 0};
        row0[j] = row1[j] = 0;
      }
    }
  }

 private:
  template <bool drops>
  TG_INLINE static void two_rows(const float* x0, const float* x1, const float* y0, const float* y1, int64_t end, float factor,
                                 const float* terms, const float* f0, const float* f1, Bf16Pair* to_weights,
                                 Bf16Pair* to_dscores, uint16_t* row0, uint16_t* row1) {
    using V = Vec<float>;
    const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                                5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const V slope(factor * log2_e), lower0(-terms[0] * log2_e), lower1(-terms[1] * log2_e), delta0(terms[2]), delta1(terms[3]);
    for (int64_t j = 0; j < end; j += V::width) {
      V p0 = power_of_two_quick(fma(V::load(x0 + j), slope, lower0)),
        p1 = power_of_two_quick(fma(V::load(x1 + j), slope, lower1));
      V d0 = V::load(y0 + j), d1 = V::load(y1 + j);
      if (drops) d0 *= V::load(f0 + j), d1 *= V::load(f1 + j);
      const __m512i ds = to_bf16(p0 * (d0 - delta0), p1 * (d1 - delta1));
      if (drops) p0 *= V::load(f0 + j), p1 *= V::load(f1 + j);
      _mm512_storeu_si512(to_weights + j, _mm512_permutexvar_epi16(interleave, to_bf16(p0, p1)));
      _mm512_storeu_si512(to_dscores + j, _mm512_permutexvar_epi16(interleave, ds));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row0 + j), _mm512_castsi512_si256(ds));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row1 + j), _mm512_extracti64x4_epi64(ds, 1));
    }
  }
};
#endif

}  // namespace tg::TG_ISA
