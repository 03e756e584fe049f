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
struct OnIntegers { static constexpr unsigned domain = integers; };
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

inline constexpr double inverse_sqrt_2pi = 0.39894228040143267794;  // 1 / sqrt(2 pi)

// x Phi(x), Phi being the normal distribution function.
TG_UNARY(gelu, OnFloats) { return gelu(x); }

// 0.5 x (1 + tanh u) with u = sqrt(2/pi) (x + 0.044715 x^3). As 0.5 (1 + tanh u) = sigmoid(2u), it is x sigmoid(x (c1 + c3 x^2)).
inline constexpr double gelu_c1 = 2 * 0.79788456080286535588;  // 2 sqrt(2 / pi)
inline constexpr double gelu_c3 = gelu_c1 * 0.044715;

TG_UNARY(gelu_tanh, OnFloats) { return x * sigmoid(x * fma(x * x, constant<V>(gelu_c3), constant<V>(gelu_c1))); }

TG_UNARY(tan, OnFloats) { return tan(x); }
TG_UNARY(asin, OnFloats) { return asin(x); }
TG_UNARY(acos, OnFloats) { return acos(x); }
TG_UNARY(atan, OnFloats) { return atan(x); }
TG_UNARY(sinh, OnFloats) { return sinh(x); }
TG_UNARY(cosh, OnFloats) { return cosh(x); }
TG_UNARY(asinh, OnFloats) { return asinh(x); }
TG_UNARY(acosh, OnFloats) { return acosh(x); }
TG_UNARY(atanh, OnFloats) { return atanh(x); }
TG_UNARY(exp2, OnFloats) { return exp2(x); }
TG_UNARY(log10, OnFloats) { return log10(x); }
TG_UNARY(frac, OnFloats) { return x - trunc(x); }
TG_UNARY(erfc, OnFloats) { return erfc(x); }
TG_UNARY(erfinv, OnFloats) { return erfinv(x); }
TG_UNARY(lgamma, OnFloats) { return lgamma(x); }
TG_UNARY(digamma, OnFloats) { return digamma(x); }

inline constexpr double selu_scale = 1.0507009873554804934, selu_alpha = 1.6732632423543772848;

TG_UNARY(selu, OnFloats) { return constant<V>(selu_scale) * select(x > constant<V>(0), x, constant<V>(selu_alpha) * expm1(x)); }

// x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2); from 20 on it is x.
TG_UNARY(mish, OnFloats) {
  const V e = exp(min(x, constant<V>(20))), n = e * (e + constant<V>(2));
  return select(x > constant<V>(20), x, x * (n / (n + constant<V>(2))));
}

TG_UNARY(softsign, OnFloats) { return x / (constant<V>(1) + abs(x)); }

template <class V> TG_FUNCTOR V hard_sigmoid(V x) {
  return min(max(x + constant<V>(3), constant<V>(0)), constant<V>(6)) / constant<V>(6);
}
TG_UNARY(hardsigmoid, OnFloats) { return hard_sigmoid(x); }
TG_UNARY(hardswish, OnFloats) { return x * hard_sigmoid(x); }
TG_UNARY(logsigmoid, OnFloats) { return min(x, constant<V>(0)) - log1p(exp(-abs(x))); }
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

TG_BINARY(fmod, OnNumbers) {  // with the sign of a
  if constexpr (is_integer<V>) {
    const V rest = remainder(abs(a), abs(b));
    return select(a < constant<V>(0), -rest, rest);
  } else {
    return fmod(a, b);
  }
}

TG_BINARY(bitwise_left_shift, OnIntegers) { return shifted_left(a, b); }
TG_BINARY(bitwise_right_shift, OnIntegers) { return shifted_right(a, b); }

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

// s = sigmoid(x) and 1 - s, without the cancellation of the subtraction.
template <class V> struct SigmoidParts { V s, rest; };
template <class V> TG_FUNCTOR SigmoidParts<V> sigmoid_parts(V x) {
  const V zero = constant<V>(0), one = constant<V>(1), e = exp(-abs(x)), near = one / (one + e), far = e * near;
  return {select(x < zero, far, near), select(x < zero, near, far)};
}

TG_BINARY(silu_backward, OnFloats) {  // x: s (1 + x (1 - s)) with s = sigmoid(x)
  const SigmoidParts<V> p = sigmoid_parts(a);
  return b * (p.s * fma(a, p.rest, constant<V>(1)));
}

TG_BINARY(gelu_backward, OnFloats) {  // x: Phi(x) + x phi(x)
  const V cdf = normal_cdf(a);
  const V density = exp(constant<V>(-0.5) * a * a) * constant<V>(inverse_sqrt_2pi);
  return b * fma(a, density, cdf);
}

TG_BINARY(gelu_tanh_backward, OnFloats) {  // x: s + x s (1 - s) v' with s = sigmoid(v), v = c1 x + c3 x^3
  const V square = a * a;
  const SigmoidParts<V> p = sigmoid_parts(a * fma(square, constant<V>(gelu_c3), constant<V>(gelu_c1)));
  const V slope = fma(square, constant<V>(3 * gelu_c3), constant<V>(gelu_c1));
  return b * fma(a * slope, p.s * p.rest, p.s);
}

TG_BINARY(hypot, OnFloats) { return hypot(a, b); }
TG_BINARY(copysign, OnFloats) { return copysign(a, b); }

TG_BINARY(logaddexp, OnFloats) {  // log(e^a + e^b)
  const V high = max(a, b), low = min(a, b);
  return select(high == low, high + constant<V>(0.69314718055994530942), high + log1p(exp(low - high)));
}

TG_BINARY(xlogy, OnFloats) {  // 0 where a is 0, unless b is NaN
  return select((a == constant<V>(0)) & (b == b), constant<V>(0), a * log(b));
}

// b is the parameter: slope, alpha
TG_BINARY(leaky_relu, OnFloats) { return select(a > constant<V>(0), a, a * b); }
TG_BINARY(elu, OnFloats) { return select(a > constant<V>(0), a, b * expm1(a)); }
TG_BINARY(celu, OnFloats) { return select(a > constant<V>(0), a, b * expm1(a / b)); }

// (x, dy) -> dx
TG_BINARY(selu_backward, OnFloats) {
  return b * constant<V>(selu_scale) * select(a > constant<V>(0), constant<V>(1), constant<V>(selu_alpha) * exp(a));
}
TG_BINARY(mish_backward, OnFloats) {  // t + x (1 - t^2) sigmoid(x) with t = tanh(log(1 + e^x))
  const V one = constant<V>(1), two = constant<V>(2), e = exp(min(a, constant<V>(20))), n = e * (e + two);
  const V inverse = one / (n + two), t = n * inverse;  // 1 - t is 2 / (n + 2)
  const V slope = fma(a * (two * inverse * (one + t)), e / (one + e), t);
  return b * select(a > constant<V>(20), constant<V>(1), slope);
}
TG_BINARY(softsign_backward, OnFloats) {
  const V d = constant<V>(1) + abs(a);
  return b / (d * d);
}
TG_BINARY(hardsigmoid_backward, OnFloats) { return select(abs(a) < constant<V>(3), b / constant<V>(6), constant<V>(0)); }
TG_BINARY(hardswish_backward, OnFloats) {  // (2 x + 3) / 6 between -3 and 3
  const V inner = b * fma(a, constant<V>(1.0 / 3), constant<V>(0.5));
  return select(a <= constant<V>(-3), constant<V>(0), select(a < constant<V>(3), inner, b));
}
TG_BINARY(logsigmoid_backward, OnFloats) { return b * sigmoid(-a); }
#undef TG_BINARY

// --- ternary -------------------------------------------------------------------------------------------------------------

#define TG_TERNARY(name, base)                                                    \
  struct ternary_##name : base {                                                  \
    template <class V> TG_FUNCTOR V operator()(V a, V b, V c) const;              \
  };                                                                              \
  template <class V> TG_FUNCTOR V ternary_##name::operator()(V a, V b, V c) const

TG_TERNARY(clamp, OnNumbers) { return min(max(a, b), c); }  // NaN stays; c wins where b > c

TG_TERNARY(lerp, OnFloats) {  // from the nearer end, so that weight 1 gives b exactly
  const V difference = b - a;
  return select(abs(c) < constant<V>(0.5), fma(c, difference, a), b - difference * (constant<V>(1) - c));
}
TG_TERNARY(addcmul, OnNumbers) { return a + b * c; }
TG_TERNARY(addcdiv, OnFloats) { return a + b / c; }

// (x, dy, parameter) -> dx
TG_TERNARY(leaky_relu_backward, OnFloats) { return select(a > constant<V>(0), b, b * c); }
TG_TERNARY(elu_backward, OnFloats) { return select(a > constant<V>(0), b, b * c * exp(a)); }
TG_TERNARY(celu_backward, OnFloats) { return select(a > constant<V>(0), b, b * exp(a / c)); }
#undef TG_TERNARY

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
