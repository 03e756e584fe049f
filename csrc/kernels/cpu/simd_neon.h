// Native<T> for aarch64's NEON: 16-byte registers, 32 of them. Masks are registers whose lanes have all bits set or clear.
// Only what every 64-bit ARM processor has (ARMv8.0): no float16 arithmetic, no dot products.
#pragma once
#include <arm_neon.h>

#include <cstdint>

#include "core/dtype.h"

namespace tg::TG_ISA {

template <class T> struct Native;

// What float and double share. The registers are GCC's vector extensions, which have operators; intrinsics take them by a cast.
template <class T, class I, class U> struct NativeBase {
  using Register [[gnu::vector_size(16)]] = T;
  using Int [[gnu::vector_size(16)]] = U;
  using Mask [[gnu::vector_size(16)]] = I;
  static constexpr int width = 16 / sizeof(T);

  TG_INLINE static Register load(const T* p) {
    Register v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  TG_INLINE static void store(T* p, Register v) { __builtin_memcpy(p, &v, sizeof v); }

  TG_INLINE static Mask less(Register a, Register b) { return a < b; }
  TG_INLINE static Mask less_equal(Register a, Register b) { return a <= b; }
  TG_INLINE static Mask equal(Register a, Register b) { return a == b; }
  TG_INLINE static Mask not_equal(Register a, Register b) { return a != b; }
  TG_INLINE static Mask mask_and(Mask a, Mask b) { return a & b; }
  TG_INLINE static Mask mask_or(Mask a, Mask b) { return a | b; }
  TG_INLINE static Mask mask_not(Mask a) { return ~a; }
  TG_INLINE static Register select(Mask m, Register a, Register b) {
    return (Register)vbslq_u8((uint8x16_t)m, (uint8x16_t)a, (uint8x16_t)b);
  }
  // Not fmax: its answer for NaN is NaN.
  TG_INLINE static Register max_or_second(Register a, Register b) { return select(a > b, a, b); }
  TG_INLINE static Register min_or_second(Register a, Register b) { return select(a < b, a, b); }
};

template <> struct Native<double> : NativeBase<double, int64_t, uint64_t> {
  TG_INLINE static Register broadcast(double x) { return (Register)vdupq_n_f64(x); }
  using NativeBase::load, NativeBase::store;
  TG_INLINE static Register load(const double* p, int64_t n, double fill) {
    const float64x2_t v = vdupq_n_f64(fill);
    return (Register)(n > 0 ? vld1q_lane_f64(p, v, 0) : v);
  }
  TG_INLINE static void store(double* p, int64_t n, Register v) {
    if (n > 0) *p = v[0];
  }

  TG_INLINE static Register fma(Register a, Register b, Register c) {
    return (Register)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
  }
  TG_INLINE static Register sqrt(Register v) { return (Register)vsqrtq_f64((float64x2_t)v); }
  TG_INLINE static Register floor(Register v) { return (Register)vrndmq_f64((float64x2_t)v); }
  TG_INLINE static Register ceil(Register v) { return (Register)vrndpq_f64((float64x2_t)v); }
  TG_INLINE static Register trunc(Register v) { return (Register)vrndq_f64((float64x2_t)v); }
  TG_INLINE static Register round(Register v) { return (Register)vrndnq_f64((float64x2_t)v); }

  TG_INLINE static uint32_t bits(Mask m) { return uint32_t(m[0] & 1) | uint32_t(m[1] & 2); }

  // a0 b0 a1 b1 ... of the lower and of the upper halves.
  TG_INLINE static Register interleave_low(Register a, Register b) {
    return (Register)vzip1q_f64((float64x2_t)a, (float64x2_t)b);
  }
  TG_INLINE static Register interleave_high(Register a, Register b) {
    return (Register)vzip2q_f64((float64x2_t)a, (float64x2_t)b);
  }

  template <class F> TG_INLINE static double reduce(Register v, F f) { return f(v[0], v[1]); }
};

template <> struct Native<float> : NativeBase<float, int32_t, uint32_t> {
  TG_INLINE static Register broadcast(float x) { return (Register)vdupq_n_f32(x); }
  using NativeBase::load, NativeBase::store;
  TG_INLINE static Register load(const float* p, int64_t n, float fill) {
    float32x4_t v = vdupq_n_f32(fill);
    if (n > 0) v = vld1q_lane_f32(p, v, 0);
    if (n > 1) v = vld1q_lane_f32(p + 1, v, 1);
    if (n > 2) v = vld1q_lane_f32(p + 2, v, 2);
    return (Register)v;
  }
  TG_INLINE static void store(float* p, int64_t n, Register v) {
    if (n > 0) p[0] = v[0];
    if (n > 1) p[1] = v[1];
    if (n > 2) p[2] = v[2];
  }

  TG_INLINE static Register fma(Register a, Register b, Register c) {
    return (Register)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
  }
  TG_INLINE static Register sqrt(Register v) { return (Register)vsqrtq_f32((float32x4_t)v); }
  TG_INLINE static Register floor(Register v) { return (Register)vrndmq_f32((float32x4_t)v); }
  TG_INLINE static Register ceil(Register v) { return (Register)vrndpq_f32((float32x4_t)v); }
  TG_INLINE static Register trunc(Register v) { return (Register)vrndq_f32((float32x4_t)v); }
  TG_INLINE static Register round(Register v) { return (Register)vrndnq_f32((float32x4_t)v); }

  TG_INLINE static uint32_t bits(Mask m) {
    const Mask place = {1, 2, 4, 8};
    return vaddvq_u32((uint32x4_t)(m & place));
  }

  TG_INLINE static Register interleave_low(Register a, Register b) {
    return (Register)vzip1q_f32((float32x4_t)a, (float32x4_t)b);
  }
  TG_INLINE static Register interleave_high(Register a, Register b) {
    return (Register)vzip2q_f32((float32x4_t)a, (float32x4_t)b);
  }

  template <class F> TG_INLINE static float reduce(Register v, F f) {
    using Half2 [[gnu::vector_size(8)]] = float;
    const Half2 two = f((Half2)vget_low_f32((float32x4_t)v), (Half2)vget_high_f32((float32x4_t)v));
    return f(two[0], two[1]);
  }

  using Double = Native<double>::Register;
  TG_INLINE static Double widen_low(Register v) { return (Double)vcvt_f64_f32(vget_low_f32((float32x4_t)v)); }
  TG_INLINE static Double widen_high(Register v) { return (Double)vcvt_high_f64_f32((float32x4_t)v); }
  TG_INLINE static Register narrow(Double low, Double high) {
    return (Register)vcvt_high_f32_f64(vcvt_f32_f64((float64x2_t)low), (float64x2_t)high);
  }

  using Half [[gnu::vector_size(8)]] = uint16_t;
  TG_INLINE static Register from_f16(Half h) { return (Register)vcvt_f32_f16((float16x4_t)h); }
  TG_INLINE static Half to_f16(Register v) { return (Half)vcvt_f16_f32((float32x4_t)v); }
  TG_INLINE static Half load16(const void* p, int64_t n) {
    const bf16* const from = static_cast<const bf16*>(p);
    Half h{};
    if (n > 0) h[0] = from[0].bits;
    if (n > 1) h[1] = from[1].bits;
    if (n > 2) h[2] = from[2].bits;
    return h;
  }
  TG_INLINE static void store16(void* p, int64_t n, Half h) {
    bf16* const to = static_cast<bf16*>(p);
    if (n > 0) to[0].bits = h[0];
    if (n > 1) to[1].bits = h[1];
    if (n > 2) to[2].bits = h[2];
  }
};

}  // namespace tg::TG_ISA
