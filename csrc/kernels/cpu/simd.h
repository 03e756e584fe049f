// Vec<T>: as many floats or doubles as one register of this instruction set holds, and what can be done with them.
//
//   ISA           width of Vec<float> / Vec<double>      fma
//   baseline      4 / 2    GCC vector extensions         multiply, then add (two roundings)
//   avx2          8 / 4                                   one rounding
//   avx512        16 / 8   also avx512_bf16               one rounding
//   neon          4 / 2    aarch64                        one rounding
//
// Kernels are written once over Vec and compiled once per ISA, each copy in its own namespace tg::<isa>. Two rules:
//   1. Nothing here may be emitted as an inline function outside that namespace: the linker would keep one copy for all,
//      and a machine without AVX-512 could get the AVX-512 one. Hence no std containers, no std::min and the like.
//   2. Tails go through the same code as full registers (load(p, n) and store(p, n)), so that an element's bits do not
//      depend on where in a register it happens to lie.
//
// The file simd_<isa>.h supplies Native<T>: the register type and the operations that C++ has no operator for. All that can
// be said in GCC's vector extensions, which give operators to registers, is said here.
#pragma once
#include <cstdint>

#include "core/dtype.h"

#define TG_INLINE [[gnu::always_inline]] inline
#define TG_INLINE_LAMBDA __attribute__((always_inline))  // goes between a lambda's parameters and its body

#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
#include "kernels/cpu/simd_avx512.h"
#elif defined(TG_ISA_avx2)
#include "kernels/cpu/simd_avx2.h"
#elif defined(TG_ISA_neon)
#include "kernels/cpu/simd_neon.h"
#else
#include "kernels/cpu/simd_baseline.h"
#endif

namespace tg::TG_ISA {

// --- masks: one truth value per lane ----------------------------------------------------------------------------------
template <class T> struct Mask {
  typename Native<T>::Mask m;

  TG_INLINE friend Mask operator&(Mask a, Mask b) { return {Native<T>::mask_and(a.m, b.m)}; }
  TG_INLINE friend Mask operator|(Mask a, Mask b) { return {Native<T>::mask_or(a.m, b.m)}; }
  TG_INLINE friend Mask operator!(Mask a) { return {Native<T>::mask_not(a.m)}; }
};
template <class T> TG_INLINE bool any(Mask<T> a) { return Native<T>::bits(a.m) != 0; }
template <class T> TG_INLINE bool all(Mask<T> a) { return Native<T>::bits(a.m) == (1u << Native<T>::width) - 1; }
// Bit i is lane i.
template <class T> TG_INLINE uint32_t bits(Mask<T> a) { return Native<T>::bits(a.m); }

// --- 16-bit floats ----------------------------------------------------------------------------------------------------
// Rounding to nearest, ties to even. A NaN stays a (quiet) NaN.
TG_INLINE float float_from_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }
TG_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }

TG_INLINE float to_float(float x) { return x; }
TG_INLINE float to_float(bf16 x) { return float_from_bits(uint32_t(x.bits) << 16); }
TG_INLINE float to_float(f16 x) {
  // Move exponent and mantissa to their place in a float, then correct the exponent by a multiplication, which turns f16's
  // denormals into ordinary floats on the way. Infinity and NaN come out as 2^16 and more: give them a float's exponent.
  const float magnitude = float_from_bits(uint32_t(x.bits & 0x7fff) << 13) * 0x1p112f;
  const uint32_t special = magnitude >= 65536.0f ? 0x7f800000u : 0u;
  return float_from_bits(bits_of(magnitude) | special | uint32_t(x.bits & 0x8000) << 16);
}
TG_INLINE bf16 to_bf16(float x) {
  const uint32_t b = bits_of(x);
  if (x != x) return {uint16_t(b >> 16 | 0x40)};
  return {uint16_t((b + 0x7fff + (b >> 16 & 1)) >> 16)};
}
TG_INLINE f16 to_f16(float x) {
  const uint32_t sign = bits_of(x) & 0x80000000u, b = bits_of(x) ^ sign;
  uint32_t half;
  if (b > 0x7f800000u) half = 0x7e00;                                                 // NaN
  else if (b >= 0x47800000u) half = 0x7c00;                                           // 65536 and more
  else if (b < 0x38800000u) half = bits_of(float_from_bits(b) + 0.5f) - 0x3f000000u;  // denormal: let the addition round
  else half = (b - 0x38000000u + 0xfff + (b >> 13 & 1)) >> 13;                        // 65520 and more carry over into infinity
  return {uint16_t(half | sign >> 16)};
}

// --- Vec --------------------------------------------------------------------------------------------------------------
template <class T> struct Vec {
  using N = Native<T>;
  using Register = typename N::Register;
  // Unsigned lanes of the same number and size, with the operators + - & | ^ ~ << >>: they wrap, and >> brings in zeros.
  using Int = typename N::Int;
  static constexpr int width = N::width;

  Register v;

  Vec() = default;
  TG_INLINE explicit Vec(T x) : v(N::broadcast(x)) {}
  TG_INLINE static Vec raw(Register r) {
    Vec out;
    out.v = r;
    return out;
  }
  TG_INLINE static Vec broadcast(T x) { return Vec(x); }

  // Memory need not be aligned. The forms with n touch the first n lanes only (0 <= n; n >= width means all).
  TG_INLINE static Vec load(const T* p) { return raw(N::load(p)); }
  TG_INLINE static Vec load(const T* p, int64_t n) { return n >= width ? load(p) : raw(N::load(p, n, T(0))); }
  TG_INLINE static Vec load(const T* p, int64_t n, T fill) { return n >= width ? load(p) : raw(N::load(p, n, fill)); }
  TG_INLINE void store(T* p) const { N::store(p, v); }
  TG_INLINE void store(T* p, int64_t n) const { n >= width ? N::store(p, v) : N::store(p, n, v); }

  // Lanes of float from and to 16-bit storage.
  template <class H> requires(sizeof(H) == 2) TG_INLINE static Vec load(const H* p) { return N16<H>::load(p); }
  template <class H> requires(sizeof(H) == 2) TG_INLINE static Vec load(const H* p, int64_t n, T fill = T(0)) {
    return n >= width ? N16<H>::load(p) : N16<H>::load(p, n, fill);
  }
  template <class H> requires(sizeof(H) == 2) TG_INLINE void store(H* p) const { N16<H>::store(p, *this); }
  template <class H> requires(sizeof(H) == 2) TG_INLINE void store(H* p, int64_t n) const {
    n >= width ? N16<H>::store(p, *this) : N16<H>::store(p, n, *this);
  }

  TG_INLINE friend Vec operator+(Vec a, Vec b) { return raw(a.v + b.v); }
  TG_INLINE friend Vec operator-(Vec a, Vec b) { return raw(a.v - b.v); }
  TG_INLINE friend Vec operator*(Vec a, Vec b) { return raw(a.v * b.v); }
  TG_INLINE friend Vec operator/(Vec a, Vec b) { return raw(a.v / b.v); }
  TG_INLINE friend Vec operator-(Vec a) { return from_bits(a.bits() ^ sign_bit()); }
  TG_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
  TG_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
  TG_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }
  TG_INLINE Vec& operator/=(Vec b) { return *this = *this / b; }

  TG_INLINE friend Mask<T> operator<(Vec a, Vec b) { return {N::less(a.v, b.v)}; }
  TG_INLINE friend Mask<T> operator<=(Vec a, Vec b) { return {N::less_equal(a.v, b.v)}; }
  TG_INLINE friend Mask<T> operator>(Vec a, Vec b) { return {N::less(b.v, a.v)}; }
  TG_INLINE friend Mask<T> operator>=(Vec a, Vec b) { return {N::less_equal(b.v, a.v)}; }
  TG_INLINE friend Mask<T> operator==(Vec a, Vec b) { return {N::equal(a.v, b.v)}; }
  TG_INLINE friend Mask<T> operator!=(Vec a, Vec b) { return {N::not_equal(a.v, b.v)}; }  // true where a lane is NaN

  // The lanes' bit patterns.
  TG_INLINE Int bits() const { return (Int)v; }
  TG_INLINE static Vec from_bits(Int i) { return raw((Register)i); }
  TG_INLINE static Int sign_bit() { return (Int)N::broadcast(T(-0.0)); }

 private:
  template <class H> struct N16;
};

template <class T> TG_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) { return Vec<T>::raw(Native<T>::fma(a.v, b.v, c.v)); }
template <class T> TG_INLINE Vec<T> select(Mask<T> m, Vec<T> a, Vec<T> b) {
  return Vec<T>::raw(Native<T>::select(m.m, a.v, b.v));
}
// One instruction; where either is NaN (or both are zero) the answer is b.
template <class T> TG_INLINE Vec<T> max_or_second(Vec<T> a, Vec<T> b) {
  return Vec<T>::raw(Native<T>::max_or_second(a.v, b.v));
}
template <class T> TG_INLINE Vec<T> min_or_second(Vec<T> a, Vec<T> b) {
  return Vec<T>::raw(Native<T>::min_or_second(a.v, b.v));
}
// NaN where either is NaN, as torch.maximum.
template <class T> TG_INLINE Vec<T> max(Vec<T> a, Vec<T> b) { return select(a != a, a, max_or_second(a, b)); }
template <class T> TG_INLINE Vec<T> min(Vec<T> a, Vec<T> b) { return select(a != a, a, min_or_second(a, b)); }
template <class T> TG_INLINE Vec<T> sqrt(Vec<T> a) { return Vec<T>::raw(Native<T>::sqrt(a.v)); }
template <class T> TG_INLINE Vec<T> floor(Vec<T> a) { return Vec<T>::raw(Native<T>::floor(a.v)); }
template <class T> TG_INLINE Vec<T> ceil(Vec<T> a) { return Vec<T>::raw(Native<T>::ceil(a.v)); }
template <class T> TG_INLINE Vec<T> trunc(Vec<T> a) { return Vec<T>::raw(Native<T>::trunc(a.v)); }
template <class T> TG_INLINE Vec<T> round(Vec<T> a) { return Vec<T>::raw(Native<T>::round(a.v)); }  // half to even
template <class T> TG_INLINE Vec<T> abs(Vec<T> a) { return Vec<T>::from_bits(a.bits() & ~Vec<T>::sign_bit()); }
template <class T> TG_INLINE Vec<T> copysign(Vec<T> magnitude, Vec<T> sign) {
  return Vec<T>::from_bits((magnitude.bits() & ~Vec<T>::sign_bit()) | (sign.bits() & Vec<T>::sign_bit()));
}
template <class T> TG_INLINE Mask<T> is_nan(Vec<T> a) { return a != a; }
// Calls f on every lane: for functions too rare to be worth a vector version.
template <class T, class F> TG_INLINE Vec<T> map_lanes(Vec<T> a, const F& f) {
  T lanes[Vec<T>::width];
  a.store(lanes);
  for (int i = 0; i < Vec<T>::width; ++i) lanes[i] = f(lanes[i]);
  return Vec<T>::load(lanes);
}
template <class T, class F> TG_INLINE Vec<T> map_lanes(Vec<T> a, Vec<T> b, const F& f) {
  T left[Vec<T>::width], right[Vec<T>::width];
  a.store(left);
  b.store(right);
  for (int i = 0; i < Vec<T>::width; ++i) left[i] = f(left[i], right[i]);
  return Vec<T>::load(left);
}

// Reductions over the lanes by a fixed tree: lane i meets lane i + width/2, then i + width/4, ...
template <class T> TG_INLINE T reduce_add(Vec<T> a) {
  return Native<T>::reduce(a.v, [](auto x, auto y) { return x + y; });
}
template <class T> TG_INLINE T reduce_max(Vec<T> a) {  // NaN if any lane is NaN
  if (any(is_nan(a))) return T(__builtin_nan(""));
  return Native<T>::reduce(a.v, [](auto x, auto y) { return x > y ? x : y; });
}
template <class T> TG_INLINE T reduce_min(Vec<T> a) {
  if (any(is_nan(a))) return T(__builtin_nan(""));
  return Native<T>::reduce(a.v, [](auto x, auto y) { return x < y ? x : y; });
}

// Turns rows into columns: lane j of register i goes to lane i of register j. Each round interleaves the registers of the
// upper half with those of the lower half; after log2(width) rounds every bit of the two numbers has changed places.
template <class T> TG_INLINE void transpose(Vec<T> (&r)[Vec<T>::width]) {
  constexpr int width = Vec<T>::width, half = width / 2;
#pragma GCC unroll 4
  for (int round = 1; round < width; round *= 2) {
    Vec<T> next[width];
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      next[2 * i] = Vec<T>::raw(Native<T>::interleave_low(r[i].v, r[i + half].v));
      next[2 * i + 1] = Vec<T>::raw(Native<T>::interleave_high(r[i].v, r[i + half].v));
    }
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) r[i] = next[i];
  }
}

// --- floats in 16-bit storage -----------------------------------------------------------------------------------------
using Bits16 = Native<float>::Half;  // as many 16-bit lanes as Vec<float> has

template <class T> template <class H> struct Vec<T>::N16 {
  static_assert(sizeof(T) == 4, "16-bit floats are computed with in float32");
  TG_INLINE static Vec load(const H* p) {
    Bits16 h;
    __builtin_memcpy(&h, p, sizeof h);
    return raw(widen(h, H{}));
  }
  TG_INLINE static Vec load(const H* p, int64_t n, T fill) {
    const Vec x = raw(widen(N::load16(p, n), H{}));
    if (fill == T(0)) return x;
    T lanes[width];
    x.store(lanes);
    return raw(N::load(lanes, n, fill));
  }
  TG_INLINE static void store(H* p, Vec a) {
    const Bits16 h = narrow(a, H{});
    __builtin_memcpy(p, &h, sizeof h);
  }
  TG_INLINE static void store(H* p, int64_t n, Vec a) { N::store16(p, n, narrow(a, H{})); }

 private:
  TG_INLINE static Register widen(Bits16 h, bf16) { return (Register)(__builtin_convertvector(h, Int) << 16); }
  TG_INLINE static Register widen(Bits16 h, f16) { return N::from_f16(h); }
  TG_INLINE static Bits16 narrow(Vec a, bf16) {
#if defined(TG_ISA_avx512_bf16)  // one instruction, which like the products of this instruction set takes denormals for zero
    return (Bits16)_mm512_cvtneps_pbh(a.v);
#else
    const Int b = a.bits();
    const Vec rounded = from_bits((b + 0x7fff + ((b >> 16) & 1)) >> 16), quiet = from_bits((b >> 16) | 0x40);
    return __builtin_convertvector(select(is_nan(a), quiet, rounded).bits(), Bits16);
#endif
  }
  TG_INLINE static Bits16 narrow(Vec a, f16) { return N::to_f16(a.v); }
};

// --- float <-> double -------------------------------------------------------------------------------------------------
// The lower and the upper half of the lanes as doubles, and back.
TG_INLINE Vec<double> widen_low(Vec<float> a) { return Vec<double>::raw(Native<float>::widen_low(a.v)); }
TG_INLINE Vec<double> widen_high(Vec<float> a) { return Vec<double>::raw(Native<float>::widen_high(a.v)); }
TG_INLINE Vec<float> narrow(Vec<double> low, Vec<double> high) { return Vec<float>::raw(Native<float>::narrow(low.v, high.v)); }

}  // namespace tg::TG_ISA
