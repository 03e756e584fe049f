// Native<T> for any processor: 16-byte registers in GCC's vector extensions, which become SSE on x86-64-v2 and NEON on
// aarch64. fma is a multiplication and an addition: hardware fma is not there on every machine this table runs on, and
// libm's fmaf is a hundred times slower.
#pragma once
#include <cstdint>
#ifdef __SSE4_1__
#include <immintrin.h>
#endif

#include "core/dtype.h"

namespace tg::TG_ISA {

template <class T> struct Native;

// What float and double share: T lanes in 16 bytes, I and U = the signed and unsigned integers of the same size.
template <class T, class I, class U> struct NativeBase {
  using Register [[gnu::vector_size(16)]] = T;
  using Int [[gnu::vector_size(16)]] = U;
  using Mask [[gnu::vector_size(16)]] = I;  // what comparing registers gives: all bits of a lane set or clear
  static constexpr int width = 16 / sizeof(T);

  TG_INLINE static Register broadcast(T x) { return x - Register{}; }  // x + 0 would lose the sign of -0
  TG_INLINE static Register load(const T* p) {
    Register v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  TG_INLINE static Register load(const T* p, int64_t n, T fill) {
    Register v = broadcast(fill);
    for (int i = 0; i < width; ++i)
      if (i < n) v[i] = p[i];
    return v;
  }
  TG_INLINE static void store(T* p, Register v) { __builtin_memcpy(p, &v, sizeof v); }
  TG_INLINE static void store(T* p, int64_t n, Register v) {
    for (int i = 0; i < width; ++i)
      if (i < n) p[i] = v[i];
  }

  TG_INLINE static Register fma(Register a, Register b, Register c) { return a * b + c; }
  TG_INLINE static Register max_or_second(Register a, Register b) { return a > b ? a : b; }
  TG_INLINE static Register min_or_second(Register a, Register b) { return a < b ? a : b; }

  TG_INLINE static Mask less(Register a, Register b) { return a < b; }
  TG_INLINE static Mask less_equal(Register a, Register b) { return a <= b; }
  TG_INLINE static Mask equal(Register a, Register b) { return a == b; }
  TG_INLINE static Mask not_equal(Register a, Register b) { return a != b; }
  TG_INLINE static Register select(Mask m, Register a, Register b) { return (Register)((m & (Mask)a) | (~m & (Mask)b)); }
  TG_INLINE static Mask mask_and(Mask a, Mask b) { return a & b; }
  TG_INLINE static Mask mask_or(Mask a, Mask b) { return a | b; }
  TG_INLINE static Mask mask_not(Mask a) { return ~a; }
  TG_INLINE static uint32_t bits(Mask m) {
    uint32_t b = 0;
    for (int i = 0; i < width; ++i) b |= uint32_t(m[i] & 1) << i;
    return b;
  }

  // a0 b0 a1 b1 ... of the lower and of the upper halves.
  TG_INLINE static Register interleave_low(Register a, Register b) {
    if constexpr (width == 4) return Register{a[0], b[0], a[1], b[1]};
    else return Register{a[0], b[0]};
  }
  TG_INLINE static Register interleave_high(Register a, Register b) {
    if constexpr (width == 4) return Register{a[2], b[2], a[3], b[3]};
    else return Register{a[1], b[1]};
  }

  template <class F> TG_INLINE static T reduce(Register v, F f) {
    if constexpr (width == 4) return f(f(v[0], v[2]), f(v[1], v[3]));
    else return f(v[0], v[1]);
  }
};

template <> struct Native<double> : NativeBase<double, int64_t, uint64_t> {
#ifdef __SSE4_1__
  TG_INLINE static Register sqrt(Register v) { return _mm_sqrt_pd(v); }
  TG_INLINE static Register floor(Register v) { return _mm_floor_pd(v); }
  TG_INLINE static Register ceil(Register v) { return _mm_ceil_pd(v); }
  TG_INLINE static Register trunc(Register v) { return _mm_round_pd(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register round(Register v) { return _mm_round_pd(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#else
  TG_INLINE static Register sqrt(Register v) { return Register{__builtin_sqrt(v[0]), __builtin_sqrt(v[1])}; }
  TG_INLINE static Register floor(Register v) { return Register{__builtin_floor(v[0]), __builtin_floor(v[1])}; }
  TG_INLINE static Register ceil(Register v) { return Register{__builtin_ceil(v[0]), __builtin_ceil(v[1])}; }
  TG_INLINE static Register trunc(Register v) { return Register{__builtin_trunc(v[0]), __builtin_trunc(v[1])}; }
  TG_INLINE static Register round(Register v) { return Register{__builtin_rint(v[0]), __builtin_rint(v[1])}; }
#endif
};

template <> struct Native<float> : NativeBase<float, int32_t, uint32_t> {
#ifdef __SSE4_1__
  TG_INLINE static Register sqrt(Register v) { return _mm_sqrt_ps(v); }
  TG_INLINE static Register floor(Register v) { return _mm_floor_ps(v); }
  TG_INLINE static Register ceil(Register v) { return _mm_ceil_ps(v); }
  TG_INLINE static Register trunc(Register v) { return _mm_round_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  TG_INLINE static Register round(Register v) { return _mm_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#else
  template <class F> TG_INLINE static Register map(Register v, F f) { return Register{f(v[0]), f(v[1]), f(v[2]), f(v[3])}; }
  TG_INLINE static Register sqrt(Register v) {
    return map(v, [](float x) { return __builtin_sqrtf(x); });
  }
  TG_INLINE static Register floor(Register v) {
    return map(v, [](float x) { return __builtin_floorf(x); });
  }
  TG_INLINE static Register ceil(Register v) {
    return map(v, [](float x) { return __builtin_ceilf(x); });
  }
  TG_INLINE static Register trunc(Register v) {
    return map(v, [](float x) { return __builtin_truncf(x); });
  }
  TG_INLINE static Register round(Register v) {
    return map(v, [](float x) { return __builtin_rintf(x); });
  }
#endif
  using Double = Native<double>::Register;
  TG_INLINE static Double widen_low(Register v) { return Double{v[0], v[1]}; }
  TG_INLINE static Double widen_high(Register v) { return Double{v[2], v[3]}; }
  TG_INLINE static Register narrow(Double low, Double high) {
    return Register{float(low[0]), float(low[1]), float(high[0]), float(high[1])};
  }

  // float16 in integer arithmetic: the scalar to_float and to_f16 of simd.h, four lanes at a time.
  using Half [[gnu::vector_size(8)]] = uint16_t;
  TG_INLINE static Register from_f16(Half h) {
    const Int i = __builtin_convertvector(h, Int);
    const Register magnitude = (Register)((i & 0x7fff) << 13) * 0x1p112f;
    const Int special = (Int)(magnitude >= 65536.0f) & 0x7f800000;
    return (Register)((Int)magnitude | special | ((i & 0x8000) << 16));
  }
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
  TG_INLINE static Half to_f16(Register v) {
    const Int b = (Int)v & 0x7fffffff, sign = ((Int)v >> 16) & 0x8000;
    const Int normal = (b - 0x38000000 + 0xfff + ((b >> 13) & 1)) >> 13;
    const Int denormal = (Int)((Register)b + 0.5f) - 0x3f000000;
    Int half = choose(b < 0x38800000, denormal, normal);
    half = choose(b >= 0x47800000, Int{} + 0x7c00, half);
    half = choose(b > 0x7f800000, Int{} + 0x7e00, half);
    return __builtin_convertvector(half | sign, Half);
  }

 private:
  TG_INLINE static Int choose(Mask m, Int a, Int b) { return ((Int)m & a) | (~(Int)m & b); }
};

}  // namespace tg::TG_ISA
