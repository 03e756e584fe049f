// What runs along a dim: a chain holds what the elements so far amount to, and step() takes the next one and gives the
// result at its place. float32 and the 16-bit floats are carried in double and rounded once an element.
#pragma once
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// A number of storage type T as the float or integer it is, and back.
template <class T> struct Number {
  using type = T;
  TG_INLINE static T from(T x) { return x; }
  template <class A> TG_INLINE static T store(A x) { return static_cast<T>(x); }
};
template <> struct Number<bf16> {
  using type = float;
  TG_INLINE static float from(bf16 x) { return to_float(x); }
  template <class A> TG_INLINE static bf16 store(A x) { return to_bf16(static_cast<float>(x)); }
};
template <> struct Number<f16> {
  using type = float;
  TG_INLINE static float from(f16 x) { return to_float(x); }
  template <class A> TG_INLINE static f16 store(A x) { return to_f16(static_cast<float>(x)); }
};
template <class T> using Plain = typename Number<T>::type;

// What sums and products are carried in: double, or the integer itself (-fwrapv: it wraps around).
template <class T> struct CarryOf { using type = T; };
template <> struct CarryOf<float> { using type = double; };
template <> struct CarryOf<bf16> { using type = double; };
template <> struct CarryOf<f16> { using type = double; };
template <class T> using Carry = typename CarryOf<T>::type;

// A chain: step() takes the next element and gives the result at its place.
template <class T> struct SumChain {
  Carry<T> total{0};
  TG_INLINE T step(T x) { return Number<T>::store(total = static_cast<Carry<T>>(total + Number<T>::from(x))); }
};
template <class T> struct ProductChain {
  Carry<T> total{1};
  TG_INLINE T step(T x) { return Number<T>::store(total = static_cast<Carry<T>>(total * Number<T>::from(x))); }
};
// The sum of e^x is e^largest * sum.
template <class T> struct LogSumExpChain {
  double largest = -__builtin_inf(), sum = 0;
  TG_INLINE T step(T element) {
    const double x = static_cast<double>(Number<T>::from(element));
    if (x == largest) sum += x > -__builtin_inf() ? 1 : 0;  // also where both are infinite
    else if (x < largest) sum += __builtin_exp(x - largest);
    else sum = sum * __builtin_exp(largest - x) + 1, largest = x;  // NaN comes here and stays
    return Number<T>::store(largest > -__builtin_inf() && sum == 1 ? largest : largest + __builtin_log(sum));
  }
};
template <class T, bool greatest> struct ExtremeChain {
  static constexpr bool is_greatest = greatest;
  T best{};
  int64_t at = -1;
  TG_INLINE T step(T element, int64_t i) {
    const Plain<T> x = Number<T>::from(element), y = Number<T>::from(best);
    const bool better = greatest ? x >= y : x <= y;
    if (at < 0 || x != x || (y == y && better)) best = element, at = i;
    return best;
  }
};

}  // namespace tg::TG_ISA
