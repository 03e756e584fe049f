// The elementwise functions and reductions by name. One entry here = one functor in functors.h = one row in every table =
// one binding. X-macros keep the enum, the names and the functor list from drifting apart.
#pragma once

// unary: T -> T.  `float_only` functions take floating dtypes; the others also integers.
#define TG_UNARY_BASIC(X)                                                                                                  \
  X(neg) X(abs) X(sign) X(square) X(relu) X(floor) X(ceil) X(trunc) X(round) X(bitwise_not)                              \
  X(sqrt) X(rsqrt) X(reciprocal) X(exp) X(expm1) X(log) X(log1p) X(log2) X(sin) X(cos) X(tanh) X(sigmoid) X(silu)        \
  X(softplus) X(gelu) X(gelu_tanh) X(erf)
#define TG_UNARY_FUNCTIONS(X)                                                                                            \
  X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh) X(asinh) X(acosh) X(atanh) X(exp2) X(log10) X(frac)                     \
  X(erfc) X(erfinv) X(lgamma) X(digamma)                                                                                 \
  X(selu) X(mish) X(softsign) X(hardsigmoid) X(hardswish) X(logsigmoid)
#define TG_UNARY_OPS(X) TG_UNARY_BASIC(X) TG_UNARY_FUNCTIONS(X)

// binary: (T, T) -> T.  The *_backward ones take (saved value, dy).
#define TG_BINARY_BASIC(X)                                                                                                 \
  X(add) X(sub) X(mul) X(div) X(floor_divide) X(remainder) X(fmod) X(pow) X(maximum) X(minimum) X(atan2)                 \
  X(bitwise_and) X(bitwise_or) X(bitwise_xor) X(bitwise_left_shift) X(bitwise_right_shift)                                                                            \
  X(relu_backward) X(tanh_backward) X(sigmoid_backward) X(gelu_backward) X(gelu_tanh_backward) X(silu_backward)
#define TG_BINARY_FUNCTIONS(X)                                                                                           \
  X(hypot) X(copysign) X(logaddexp) X(xlogy) X(leaky_relu) X(elu) X(celu)                                                \
  X(selu_backward) X(mish_backward) X(softsign_backward) X(hardsigmoid_backward) X(hardswish_backward)                   \
  X(logsigmoid_backward)
#define TG_BINARY_OPS(X) TG_BINARY_BASIC(X) TG_BINARY_FUNCTIONS(X)

// ternary: (T, T, T) -> T.  The *_backward ones take (x, dy, parameter).
#define TG_TERNARY_OPS(X)                                                                                                \
  X(clamp) X(lerp) X(addcmul) X(addcdiv) X(leaky_relu_backward) X(elu_backward) X(celu_backward)

// comparisons: (T, T) -> bool
#define TG_COMPARE_OPS(X) X(eq) X(ne) X(lt) X(le) X(gt) X(ge)

// reductions; argmax/argmin give int64, any/all give bool, the others the input's dtype; deviations: sum of (x - mean)^2
#define TG_REDUCE_OPS(X)                                                                                                 \
  X(sum) X(prod) X(max) X(min) X(argmax) X(argmin) X(any) X(all)                   \
  X(sum_squares) X(deviations)

namespace tg {

#define TG_ENUM(name) name,
enum class UnaryOp : int { TG_UNARY_OPS(TG_ENUM) count };
enum class BinaryOp : int { TG_BINARY_OPS(TG_ENUM) count };
enum class TernaryOp : int { TG_TERNARY_OPS(TG_ENUM) count };
enum class CompareOp : int { TG_COMPARE_OPS(TG_ENUM) count };
enum class ReduceOp : int { TG_REDUCE_OPS(TG_ENUM) count };
#undef TG_ENUM

inline constexpr int unary_count = static_cast<int>(UnaryOp::count);
inline constexpr int binary_count = static_cast<int>(BinaryOp::count);
inline constexpr int ternary_count = static_cast<int>(TernaryOp::count);
#define TG_ONE(name) +1
inline constexpr int unary_basic_count = 0 TG_UNARY_BASIC(TG_ONE);  // the rest is compiled in a file of its own
inline constexpr int binary_basic_count = 0 TG_BINARY_BASIC(TG_ONE);
#undef TG_ONE
inline constexpr int compare_count = static_cast<int>(CompareOp::count);
inline constexpr int reduce_count = static_cast<int>(ReduceOp::count);

}  // namespace tg
