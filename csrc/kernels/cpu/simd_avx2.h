// Native<T> for AVX2 with FMA and F16C: 32-byte registers. Masks are registers whose lanes have all bits set or clear.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "core/dtype.h"

namespace tg::TG_ISA {

template <class T> struct Native;

template <> struct Native<double> {
  using Register = __m256d;
  using Int [[gnu::vector_size(32)]] = uint64_t;
  using Mask = __m256d;
  static constexpr int width = 4;

  TG_INLINE static Register broadcast(double x) { return _mm256_set1_pd(x); }
  TG_INLINE static Register load(const double* p) { return _mm256_loadu_pd(p); }
  TG_INLINE static Register load(const double* p, int64_t n, double fill) {
    const __m256i m = first(n);
    return _mm256_blendv_pd(broadcast(fill), _mm256_maskload_pd(p, m), _mm256_castsi256_pd(m));
  }
  TG_INLINE static void store(double* p, Register v) { _mm256_storeu_pd(p, v); }
  TG_INLINE static void store(double* p, int64_t n, Register v) { _mm256_maskstore_pd(p, first(n), v); }

  TG_INLINE static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_pd(a, b, c); }
  TG_INLINE static Register max_or_second(Register a, Register b) { return _mm256_max_pd(a, b); }
  TG_INLINE static Register min_or_second(Register a, Register b) { return _mm256_min_pd(a, b); }
  TG_INLINE static Register sqrt(Register v) { return _mm256_sqrt_pd(v); }
  TG_INLINE static Register floor(Register v) { return _mm256_floor_pd(v); }
  TG_INLINE static Register ceil(Register v) { return _mm256_ceil_pd(v); }
  TG_INLINE static Register trunc(Register v) { return _mm256_round_pd(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register round(Register v) { return _mm256_round_pd(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  TG_INLINE static Mask less(Register a, Register b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
  TG_INLINE static Mask less_equal(Register a, Register b) { return _mm256_cmp_pd(a, b, _CMP_LE_OQ); }
  TG_INLINE static Mask equal(Register a, Register b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
  TG_INLINE static Mask not_equal(Register a, Register b) { return _mm256_cmp_pd(a, b, _CMP_NEQ_UQ); }
  TG_INLINE static Register select(Mask m, Register a, Register b) { return _mm256_blendv_pd(b, a, m); }
  TG_INLINE static Mask mask_and(Mask a, Mask b) { return _mm256_and_pd(a, b); }
  TG_INLINE static Mask mask_or(Mask a, Mask b) { return _mm256_or_pd(a, b); }
  TG_INLINE static Mask mask_not(Mask a) { return _mm256_xor_pd(a, _mm256_castsi256_pd(_mm256_set1_epi64x(-1))); }
  TG_INLINE static uint32_t bits(Mask m) { return _mm256_movemask_pd(m); }

  // a0 b0 a1 b1 ... of the lower and of the upper halves.
  TG_INLINE static Register interleave_low(Register a, Register b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20);
  }
  TG_INLINE static Register interleave_high(Register a, Register b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31);
  }

  template <class F> TG_INLINE static double reduce(Register v, F f) {
    using Half2 [[gnu::vector_size(16)]] = double;
    const Half2 two = f((Half2)_mm256_castpd256_pd128(v), (Half2)_mm256_extractf128_pd(v, 1));
    return f(two[0], two[1]);
  }

 private:
  TG_INLINE static __m256i first(int64_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
  }
};

template <> struct Native<float> {
  using Register = __m256;
  using Int [[gnu::vector_size(32)]] = uint32_t;
  using Mask = __m256;
  static constexpr int width = 8;

  TG_INLINE static Register broadcast(float x) { return _mm256_set1_ps(x); }
  TG_INLINE static Register load(const float* p) { return _mm256_loadu_ps(p); }
  TG_INLINE static Register load(const float* p, int64_t n, float fill) {
    const __m256i m = first(n);
    return _mm256_blendv_ps(broadcast(fill), _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
  }
  TG_INLINE static void store(float* p, Register v) { _mm256_storeu_ps(p, v); }
  TG_INLINE static void store(float* p, int64_t n, Register v) { _mm256_maskstore_ps(p, first(n), v); }

  TG_INLINE static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  TG_INLINE static Register max_or_second(Register a, Register b) { return _mm256_max_ps(a, b); }
  TG_INLINE static Register min_or_second(Register a, Register b) { return _mm256_min_ps(a, b); }
  TG_INLINE static Register sqrt(Register v) { return _mm256_sqrt_ps(v); }
  TG_INLINE static Register floor(Register v) { return _mm256_floor_ps(v); }
  TG_INLINE static Register ceil(Register v) { return _mm256_ceil_ps(v); }
  TG_INLINE static Register trunc(Register v) { return _mm256_round_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register round(Register v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  TG_INLINE static Mask less(Register a, Register b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  TG_INLINE static Mask less_equal(Register a, Register b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  TG_INLINE static Mask equal(Register a, Register b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  TG_INLINE static Mask not_equal(Register a, Register b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
  TG_INLINE static Register select(Mask m, Register a, Register b) { return _mm256_blendv_ps(b, a, m); }
  TG_INLINE static Mask mask_and(Mask a, Mask b) { return _mm256_and_ps(a, b); }
  TG_INLINE static Mask mask_or(Mask a, Mask b) { return _mm256_or_ps(a, b); }
  TG_INLINE static Mask mask_not(Mask a) { return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1))); }
  TG_INLINE static uint32_t bits(Mask m) { return _mm256_movemask_ps(m); }

  TG_INLINE static Register interleave_low(Register a, Register b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
  }
  TG_INLINE static Register interleave_high(Register a, Register b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
  }

  template <class F> TG_INLINE static float reduce(Register v, F f) {
    using Half4 [[gnu::vector_size(16)]] = float;
    const Half4 four = f((Half4)_mm256_castps256_ps128(v), (Half4)_mm256_extractf128_ps(v, 1));
    return f(f(four[0], four[2]), f(four[1], four[3]));
  }

  TG_INLINE static __m256d widen_low(Register v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
  TG_INLINE static __m256d widen_high(Register v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
  TG_INLINE static Register narrow(__m256d low, __m256d high) {
    return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
  }

  using Half [[gnu::vector_size(16)]] = uint16_t;
  TG_INLINE static Register from_f16(Half h) { return _mm256_cvtph_ps((__m128i)h); }
  TG_INLINE static Half load16(const void* p, int64_t n) {
    Half h{};
    for (int i = 0; i < width; ++i)
      if (i < n) h[i] = static_cast<const bf16*>(p)[i].bits;
    return h;
  }
  TG_INLINE static void store16(void* p, int64_t n, Half h) {
    for (int i = 0; i < width; ++i)
      if (i < n) static_cast<bf16*>(p)[i].bits = h[i];
  }
  TG_INLINE static Half to_f16(Register v) { return (Half)_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

 private:
  TG_INLINE static __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace tg::TG_ISA
