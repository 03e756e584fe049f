// Native<T> for AVX-512 (F, VL, BW and DQ): 64-byte registers, masks in mask registers (one bit per lane).
#pragma once
// gcc 12 warns about the deliberately undefined registers inside its own AVX-512 header (gcc bug 105593).
#ifdef __clang__
#include <immintrin.h>
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#include <cstdint>

#include "core/dtype.h"

namespace tg::TG_ISA {

template <class T> struct Native;

template <> struct Native<double> {
  using Register = __m512d;
  using Int [[gnu::vector_size(64)]] = uint64_t;
  using Mask = __mmask8;
  static constexpr int width = 8;

  TG_INLINE static Register broadcast(double x) { return _mm512_set1_pd(x); }
  TG_INLINE static Register load(const double* p) { return _mm512_loadu_pd(p); }
  TG_INLINE static Register load(const double* p, int64_t n, double fill) {
    return _mm512_mask_loadu_pd(broadcast(fill), first(n), p);
  }
  TG_INLINE static void store(double* p, Register v) { _mm512_storeu_pd(p, v); }
  TG_INLINE static void store(double* p, int64_t n, Register v) { _mm512_mask_storeu_pd(p, first(n), v); }

  TG_INLINE static Register fma(Register a, Register b, Register c) { return _mm512_fmadd_pd(a, b, c); }
  TG_INLINE static Register max_or_second(Register a, Register b) { return _mm512_max_pd(a, b); }
  TG_INLINE static Register min_or_second(Register a, Register b) { return _mm512_min_pd(a, b); }
  TG_INLINE static Register sqrt(Register v) { return _mm512_sqrt_pd(v); }
  TG_INLINE static Register floor(Register v) { return _mm512_roundscale_pd(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register ceil(Register v) { return _mm512_roundscale_pd(v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register trunc(Register v) { return _mm512_roundscale_pd(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register round(Register v) { return _mm512_roundscale_pd(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  TG_INLINE static Register scale(Register v, Register n) { return _mm512_scalef_pd(v, n); }  // v * 2^n

  TG_INLINE static Mask less(Register a, Register b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
  TG_INLINE static Mask less_equal(Register a, Register b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
  TG_INLINE static Mask equal(Register a, Register b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
  TG_INLINE static Mask not_equal(Register a, Register b) { return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ); }
  TG_INLINE static Register select(Mask m, Register a, Register b) { return _mm512_mask_blend_pd(m, b, a); }
  TG_INLINE static Mask mask_and(Mask a, Mask b) { return a & b; }
  TG_INLINE static Mask mask_or(Mask a, Mask b) { return a | b; }
  TG_INLINE static Mask mask_not(Mask a) { return ~a; }
  TG_INLINE static uint32_t bits(Mask m) { return m; }

  // a0 b0 a1 b1 ... of the lower and of the upper halves.
  TG_INLINE static Register interleave_low(Register a, Register b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
  }
  TG_INLINE static Register interleave_high(Register a, Register b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
  }

  template <class F> TG_INLINE static double reduce(Register v, F f) {
    using Half4 [[gnu::vector_size(32)]] = double;
    using Half2 [[gnu::vector_size(16)]] = double;
    const Half4 four = f((Half4)_mm512_castpd512_pd256(v), (Half4)_mm512_extractf64x4_pd(v, 1));
    const Half2 two = f((Half2)_mm256_castpd256_pd128(four), (Half2)_mm256_extractf128_pd(four, 1));
    return f(two[0], two[1]);
  }

 private:
  TG_INLINE static __mmask8 first(int64_t n) { return __mmask8((1u << n) - 1); }
};

template <> struct Native<float> {
  using Register = __m512;
  using Int [[gnu::vector_size(64)]] = uint32_t;
  using Mask = __mmask16;
  static constexpr int width = 16;

  TG_INLINE static Register broadcast(float x) { return _mm512_set1_ps(x); }
  TG_INLINE static Register load(const float* p) { return _mm512_loadu_ps(p); }
  TG_INLINE static Register load(const float* p, int64_t n, float fill) {
    return _mm512_mask_loadu_ps(broadcast(fill), first(n), p);
  }
  TG_INLINE static void store(float* p, Register v) { _mm512_storeu_ps(p, v); }
  TG_INLINE static void store(float* p, int64_t n, Register v) { _mm512_mask_storeu_ps(p, first(n), v); }

  TG_INLINE static Register fma(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  TG_INLINE static Register max_or_second(Register a, Register b) { return _mm512_max_ps(a, b); }
  TG_INLINE static Register min_or_second(Register a, Register b) { return _mm512_min_ps(a, b); }
  TG_INLINE static Register sqrt(Register v) { return _mm512_sqrt_ps(v); }
  TG_INLINE static Register floor(Register v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register ceil(Register v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register trunc(Register v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register round(Register v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  TG_INLINE static Register scale(Register v, Register n) { return _mm512_scalef_ps(v, n); }  // v * 2^n

  TG_INLINE static Mask less(Register a, Register b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  TG_INLINE static Mask less_equal(Register a, Register b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  TG_INLINE static Mask equal(Register a, Register b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  TG_INLINE static Mask not_equal(Register a, Register b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
  TG_INLINE static Register select(Mask m, Register a, Register b) { return _mm512_mask_blend_ps(m, b, a); }
  TG_INLINE static Mask mask_and(Mask a, Mask b) { return a & b; }
  TG_INLINE static Mask mask_or(Mask a, Mask b) { return a | b; }
  TG_INLINE static Mask mask_not(Mask a) { return ~a; }
  TG_INLINE static uint32_t bits(Mask m) { return m; }

  TG_INLINE static Register interleave_low(Register a, Register b) {
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(a, order, b);
  }
  TG_INLINE static Register interleave_high(Register a, Register b) {
    const __m512i order = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return _mm512_permutex2var_ps(a, order, b);
  }

  template <class F> TG_INLINE static float reduce(Register v, F f) {
    using Half8 [[gnu::vector_size(32)]] = float;
    using Half4 [[gnu::vector_size(16)]] = float;
    const Half8 eight = f((Half8)_mm512_castps512_ps256(v), (Half8)_mm512_extractf32x8_ps(v, 1));
    const Half4 four = f((Half4)_mm256_castps256_ps128(eight), (Half4)_mm256_extractf128_ps(eight, 1));
    return f(f(four[0], four[2]), f(four[1], four[3]));
  }

  TG_INLINE static __m512d widen_low(Register v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
  TG_INLINE static __m512d widen_high(Register v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }
  TG_INLINE static Register narrow(__m512d low, __m512d high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
  }

  using Half [[gnu::vector_size(32)]] = uint16_t;
  TG_INLINE static Register from_f16(Half h) { return _mm512_cvtph_ps((__m256i)h); }
  TG_INLINE static Half load16(const void* p, int64_t n) { return (Half)_mm256_maskz_loadu_epi16(first(n), p); }
  TG_INLINE static void store16(void* p, int64_t n, Half h) { _mm256_mask_storeu_epi16(p, first(n), (__m256i)h); }
  TG_INLINE static Half to_f16(Register v) { return (Half)_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

 private:
  TG_INLINE static __mmask16 first(int64_t n) { return __mmask16((1u << n) - 1); }
};

}  // namespace tg::TG_ISA
