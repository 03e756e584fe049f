// The elementwise functions, written once. V is Vec<float> or Vec<double> on the CPU, float or double in CUDA and sim
// sources, and Integer<T> for integers and bool: everything used below exists for each of them (simd.h, simd_math.h,
// integer.h, gpu.cuh). op_list.h names the functions; functor `unary_exp` is row UnaryOp::exp.
//
// What a functor states besides its formula is the element types it accepts, through its base class. Integers are converted
// to floats by the ops layer before they reach a function of floats.
#pragma once
#include "kernels/integer.h"

#ifndef TG_FUNCTOR  // CUDA sources define it as __device__ __forceinline__
#define TG_FUNCTOR [[gnu::always_inline]] inline
#endif

namespace tg::TG_ISA {

enum Domain : unsigned { floats = 1, integers = 2, booleans = 4 };

struct OnFloats { static constexpr unsigned domain = floats; };
struct OnBits { static constexpr unsigned domain = integers | booleans; };
struct OnNumbers { static constexpr unsigned domain = floats | integers; };
struct OnAll { static constexpr unsigned domain = floats | integers | booleans; };

// A number as a V: broadcast to every lane of a Vec, converted to an integer, or itself.
template <class V> TG_FUNCTOR V constant(double x) {
  if constexpr (requires { V::broadcast(0); }) return V::broadcast(x);
  else if constexpr (requires(V v) { v.value; }) return V{static_cast<decltype(V::value)>(x)};
  else return static_cast<V>(x);
}

// --- unary: the formula follows the name ----------------------------------------------------------------------------------

#define TG_UNARY(name, base)                                                      \
  struct unary_##name : base {                                                    \
    template <class V> TG_FUNCTOR V operator()(V x) const;                        \
  };                                                                              \
  template <class V> TG_FUNCTOR V unary_##name::operator()(V x) const

TG_UNARY(neg, OnNumbers) { return -x; }
TG_UNARY(abs, OnNumbers) { return abs(x); }
TG_UNARY(square, OnNumbers) { return x * x; }
TG_UNARY(floor, OnNumbers) { return floor(x); }
TG_UNARY(ceil, OnNumbers) { return ceil(x); }
TG_UNARY(trunc, OnNumbers) { return trunc(x); }
TG_UNARY(round, OnNumbers) { return round(x); }  // half to even
TG_UNARY(relu, OnNumbers) { return max(x, constant<V>(0)); }
TG_UNARY(bitwise_not, OnBits) { return ~x; }

TG_UNARY(sign, OnNumbers) {  // 0 for NaN, as in PyTorch
  const V zero = constant<V>(0);
  return select(x > zero, constant<V>(1), select(x < zero, constant<V>(-1), zero));
}

TG_UNARY(sqrt, OnFloats) { return sqrt(x); }
TG_UNARY(rsqrt, OnFloats) { return constant<V>(1) / sqrt(x); }
TG_UNARY(reciprocal, OnFloats) { return constant<V>(1) / x; }
TG_UNARY(exp, OnFloats) { return exp(x); }
TG_UNARY(expm1, OnFloats) { return expm1(x); }
TG_UNARY(log, OnFloats) { return log(x); }
TG_UNARY(log1p, OnFloats) { return log1p(x); }
TG_UNARY(log2, OnFloats) { return log2(x); }
TG_UNARY(sin, OnFloats) { return sin(x); }
TG_UNARY(cos, OnFloats) { return cos(x); }
TG_UNARY(tanh, OnFloats) { return tanh(x); }
TG_UNARY(erf, OnFloats) { return erf(x); }
TG_UNARY(sigmoid, OnFloats) { return sigmoid(x); }
TG_UNARY(silu, OnFloats) { return x * sigmoid(x); }

TG_UNARY(softplus, OnFloats) {  // log(1 + e^x); from 20 on it is x to within rounding, and later e^x would overflow
  return select(x > constant<V>(20), x, log1p(exp(x)));
}

inline constexpr double sqrt_half = 0.70710678118654752440;         // 1 / sqrt(2)
inline constexpr double inverse_sqrt_2pi = 0.39894228040143267794;  // 1 / sqrt(2 pi)

// x Phi(x), Phi being the normal distribution function.
TG_UNARY(gelu, OnFloats) { return constant<V>(0.5) * x * (constant<V>(1) + erf(x * constant<V>(sqrt_half))); }

// 0.5 x (1 + tanh u) with u = sqrt(2/pi) (x + 0.044715 x^3). As 0.5 (1 + tanh u) = sigmoid(2u), it is x sigmoid(x (c1 + c3 x^2)).
inline constexpr double gelu_c1 = 2 * 0.79788456080286535588;  // 2 sqrt(2 / pi)
inline constexpr double gelu_c3 = gelu_c1 * 0.044715;

TG_UNARY(gelu_tanh, OnFloats) { return x * sigmoid(x * fma(x * x, constant<V>(gelu_c3), constant<V>(gelu_c1))); }
#undef TG_UNARY

// --- binary ------------------------------------------------------------------------------------------------------------

#define TG_BINARY(name, base)                                                     \
  struct binary_##name : base {                                                   \
    template <class V> TG_FUNCTOR V operator()(V a, V b) const;                   \
  };                                                                              \
  template <class V> TG_FUNCTOR V binary_##name::operator()(V a, V b) const

TG_BINARY(add, OnAll) { return a + b; }
TG_BINARY(sub, OnNumbers) { return a - b; }
TG_BINARY(mul, OnAll) { return a * b; }
TG_BINARY(div, OnFloats) { return a / b; }
TG_BINARY(maximum, OnAll) { return max(a, b); }  // NaN wins
TG_BINARY(minimum, OnAll) { return min(a, b); }
TG_BINARY(pow, OnNumbers) { return pow(a, b); }
TG_BINARY(atan2, OnFloats) { return atan2(a, b); }
TG_BINARY(bitwise_and, OnBits) { return a & b; }
TG_BINARY(bitwise_or, OnBits) { return a | b; }
TG_BINARY(bitwise_xor, OnBits) { return a ^ b; }

// Python's // and % as PyTorch has them: they belong together, a = (a // b) * b + a % b, and the remainder has the sign of
// b. For integers see integer.h; for floats both start from fmod, the exact remainder with the sign of a.
template <class V> constexpr bool is_integer = requires(V v) { v.value; };

template <class V> TG_FUNCTOR auto signs_differ(V a, V b) {
  const V zero = constant<V>(0);
  return ((a < zero) & (b > zero)) | ((a > zero) & (b < zero));
}

TG_BINARY(remainder, OnNumbers) {
  if constexpr (is_integer<V>) {
    return remainder(a, b);
  } else {
    const V rest = fmod(a, b);
    return select(signs_differ(rest, b), rest + b, rest);
  }
}

TG_BINARY(floor_divide, OnNumbers) {
  if constexpr (is_integer<V>) {
    return floor_divide(a, b);
  } else {
    const V zero = constant<V>(0), one = constant<V>(1), rest = fmod(a, b);
    const V down = (a - rest) / b;  // a whole number up to rounding
    const V quotient = select(signs_differ(rest, b), down - one, down);
    const V whole = floor(quotient);
    const V nearest = select(quotient - whole > constant<V>(0.5), whole + one, whole);
    return select(b == zero, a / b, select(quotient == zero, copysign(zero, a / b), nearest));
  }
}

// Derivatives, one pass each: (y, dy) -> dx where the derivative can be told from the output y, else (x, dy) -> dx.
TG_BINARY(relu_backward, OnFloats) { return select(a > constant<V>(0), b, constant<V>(0)); }  // y

TG_BINARY(tanh_backward, OnFloats) {  // y: 1 - y^2, as factors that are accurate where |y| is close to 1
  return b * ((constant<V>(1) - a) * (constant<V>(1) + a));
}

TG_BINARY(sigmoid_backward, OnFloats) { return b * (a * (constant<V>(1) - a)); }  // y

TG_BINARY(silu_backward, OnFloats) {  // x: s (1 + x (1 - s)) with s = sigmoid(x)
  const V s = sigmoid(a);
  return b * (s * fma(a, constant<V>(1) - s, constant<V>(1)));
}

TG_BINARY(gelu_backward, OnFloats) {  // x: Phi(x) + x phi(x)
  const V cdf = constant<V>(0.5) * (constant<V>(1) + erf(a * constant<V>(sqrt_half)));
  const V density = exp(constant<V>(-0.5) * a * a) * constant<V>(inverse_sqrt_2pi);
  return b * fma(a, density, cdf);
}

TG_BINARY(gelu_tanh_backward, OnFloats) {  // x: s + x s (1 - s) v' with s = sigmoid(v), v = c1 x + c3 x^3
  const V square = a * a;
  const V s = sigmoid(a * fma(square, constant<V>(gelu_c3), constant<V>(gelu_c1)));
  const V slope = fma(square, constant<V>(3 * gelu_c3), constant<V>(gelu_c1));
  return b * fma(a * slope, s * (constant<V>(1) - s), s);
}
#undef TG_BINARY

// --- comparisons, on plain values: false with a NaN, except ne -----------------------------------------------------------

#define TG_COMPARE(name)                                                          \
  struct compare_##name : OnAll {                                                 \
    template <class T> TG_FUNCTOR bool operator()(T a, T b) const;                \
  };                                                                              \
  template <class T> TG_FUNCTOR bool compare_##name::operator()(T a, T b) const

TG_COMPARE(eq) { return a == b; }
TG_COMPARE(ne) { return a != b; }
TG_COMPARE(lt) { return a < b; }
TG_COMPARE(le) { return a <= b; }
TG_COMPARE(gt) { return a > b; }
TG_COMPARE(ge) { return a >= b; }
#undef TG_COMPARE

}  // namespace tg::TG_ISA
