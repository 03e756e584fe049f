// Integer<T>: one integer or bool with the arithmetic that PyTorch's integer tensors have, where C++ would have undefined
// behaviour or none at all. It offers the operations of a one-lane Vec, so a functor is written once for both, and the
// compiler vectorises the loop around it.
//
//   + - * and unary -    wrap around (computed unsigned)
//   floor_divide         rounds towards minus infinity;  x // 0 = 0 and min // -1 = min, without trapping
//   remainder            has the sign of the divisor;    x % 0 = 0
//   pow                  by repeated squaring, wraps; a negative exponent gives 1 for base 1, +-1 for base -1, else 0
//   bool                 + and max are or; * and min are and; ~ is not
#pragma once
#include <cstdint>
#include <type_traits>

#ifndef TG_DEVICE_FUNCTION  // CUDA sources define it as __device__ __forceinline__
#define TG_DEVICE_FUNCTION [[gnu::always_inline]] static inline
#endif

namespace tg::TG_ISA {

template <class T> struct Integer {
  T value;

  // The type of wrapping arithmetic. 8-bit values are promoted to int by C++ anyway, which cannot overflow.
  using Unsigned = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  static constexpr bool is_bool = std::is_same_v<T, bool>;
};

template <class T> TG_DEVICE_FUNCTION Integer<T> wrapped(typename Integer<T>::Unsigned x) { return {static_cast<T>(x)}; }
template <class T> TG_DEVICE_FUNCTION typename Integer<T>::Unsigned bits(Integer<T> x) {
  return static_cast<typename Integer<T>::Unsigned>(x.value);
}

template <class T> TG_DEVICE_FUNCTION Integer<T> operator+(Integer<T> a, Integer<T> b) {
  if constexpr (Integer<T>::is_bool) return {static_cast<bool>(a.value | b.value)};
  else return wrapped<T>(bits(a) + bits(b));
}
template <class T> TG_DEVICE_FUNCTION Integer<T> operator-(Integer<T> a, Integer<T> b) { return wrapped<T>(bits(a) - bits(b)); }
template <class T> TG_DEVICE_FUNCTION Integer<T> operator-(Integer<T> a) { return wrapped<T>(0 - bits(a)); }
template <class T> TG_DEVICE_FUNCTION Integer<T> operator*(Integer<T> a, Integer<T> b) { return wrapped<T>(bits(a) * bits(b)); }

template <class T> TG_DEVICE_FUNCTION Integer<T> operator&(Integer<T> a, Integer<T> b) {
  return {static_cast<T>(a.value & b.value)};
}
template <class T> TG_DEVICE_FUNCTION Integer<T> operator|(Integer<T> a, Integer<T> b) {
  return {static_cast<T>(a.value | b.value)};
}
template <class T> TG_DEVICE_FUNCTION Integer<T> operator^(Integer<T> a, Integer<T> b) {
  return {static_cast<T>(a.value ^ b.value)};
}
template <class T> TG_DEVICE_FUNCTION Integer<T> operator~(Integer<T> a) {
  if constexpr (Integer<T>::is_bool) return {!a.value};
  else return {static_cast<T>(~a.value)};
}

template <class T> TG_DEVICE_FUNCTION bool operator<(Integer<T> a, Integer<T> b) { return a.value < b.value; }
template <class T> TG_DEVICE_FUNCTION bool operator>(Integer<T> a, Integer<T> b) { return a.value > b.value; }
template <class T> TG_DEVICE_FUNCTION Integer<T> select(bool mask, Integer<T> a, Integer<T> b) { return mask ? a : b; }
template <class T> TG_DEVICE_FUNCTION Integer<T> min(Integer<T> a, Integer<T> b) { return b < a ? b : a; }
template <class T> TG_DEVICE_FUNCTION Integer<T> max(Integer<T> a, Integer<T> b) { return a < b ? b : a; }
template <class T> TG_DEVICE_FUNCTION Integer<T> abs(Integer<T> a) { return a < Integer<T>{0} ? -a : a; }

// Rounding an integer changes nothing.
template <class T> TG_DEVICE_FUNCTION Integer<T> floor(Integer<T> a) { return a; }
template <class T> TG_DEVICE_FUNCTION Integer<T> ceil(Integer<T> a) { return a; }
template <class T> TG_DEVICE_FUNCTION Integer<T> trunc(Integer<T> a) { return a; }
template <class T> TG_DEVICE_FUNCTION Integer<T> round(Integer<T> a) { return a; }

template <class T> TG_DEVICE_FUNCTION Integer<T> floor_divide(Integer<T> a, Integer<T> b) {
  if (b.value == 0) return {0};
  if constexpr (std::is_signed_v<T>) {
    if (b.value == -1) return -a;  // the division would trap for the smallest integer
    const T quotient = static_cast<T>(a.value / b.value);
    const bool inexact = a.value % b.value != 0;
    return {static_cast<T>(quotient - (inexact && (a.value < 0) != (b.value < 0)))};
  } else {
    return {static_cast<T>(a.value / b.value)};
  }
}

template <class T> TG_DEVICE_FUNCTION Integer<T> remainder(Integer<T> a, Integer<T> b) {
  if (b.value == 0) return {0};
  if constexpr (std::is_signed_v<T>) {
    if (b.value == -1) return {0};
    const T rest = static_cast<T>(a.value % b.value);
    return {static_cast<T>(rest != 0 && (rest < 0) != (b.value < 0) ? rest + b.value : rest)};
  } else {
    return {static_cast<T>(a.value % b.value)};
  }
}

// x * 2^n and floor(x / 2^n); shifts of all bits or more leave 0, or -1 of a negative number; a negative n is taken as that.
template <class T> TG_DEVICE_FUNCTION Integer<T> shifted_left(Integer<T> x, Integer<T> n) {
  const auto count = static_cast<uint64_t>(n.value);
  return count < 8 * sizeof(T) ? wrapped<T>(bits(x) << count) : Integer<T>{0};
}
template <class T> TG_DEVICE_FUNCTION Integer<T> shifted_right(Integer<T> x, Integer<T> n) {
  const auto count = static_cast<uint64_t>(n.value);
  const auto most = static_cast<uint64_t>(8 * sizeof(T) - 1);
  if constexpr (std::is_signed_v<T>) return {static_cast<T>(x.value >> (count < most ? count : most))};
  else return count <= most ? Integer<T>{static_cast<T>(x.value >> count)} : Integer<T>{0};
}

template <class T> TG_DEVICE_FUNCTION Integer<T> pow(Integer<T> base, Integer<T> exponent) {
  if constexpr (std::is_signed_v<T>) {
    if (exponent.value < 0) {
      if (base.value == 1) return {1};
      if (base.value == -1) return {static_cast<T>(exponent.value % 2 == 0 ? 1 : -1)};
      return {0};
    }
  }
  Integer<T> power{1};
  for (T left = exponent.value; left > 0; left = static_cast<T>(left / 2), base = base * base) {
    if (left % 2) power = power * base;
  }
  return power;
}

}  // namespace tg::TG_ISA
