// The elementwise functions and reductions by name. One entry here = one functor in functors.h = one row in every table =
// one binding. X-macros keep the enum, the names and the functor list from drifting apart.
#pragma once

// unary: T -> T.  `float_only` functions take floating dtypes; the others also integers.
#define TG_UNARY_OPS(X)                                                                                                  \
  X(neg) X(abs) X(sign) X(square) X(relu) X(floor) X(ceil) X(trunc) X(round) X(bitwise_not)                              \
  X(sqrt) X(rsqrt) X(reciprocal) X(exp) X(expm1) X(log) X(log1p) X(log2) X(sin) X(cos) X(tanh) X(sigmoid) X(silu)        \
  X(softplus) X(gelu) X(gelu_tanh) X(erf)

// binary: (T, T) -> T.  The *_backward ones take (saved value, dy).
#define TG_BINARY_OPS(X)                                                                                                 \
  X(add) X(sub) X(mul) X(div) X(floor_divide) X(remainder) X(pow) X(maximum) X(minimum) X(atan2)                         \
  X(bitwise_and) X(bitwise_or) X(bitwise_xor)                                                                            \
  X(relu_backward) X(tanh_backward) X(sigmoid_backward) X(gelu_backward) X(gelu_tanh_backward) X(silu_backward)

// comparisons: (T, T) -> bool
#define TG_COMPARE_OPS(X) X(eq) X(ne) X(lt) X(le) X(gt) X(ge)

// reductions; argmax/argmin give int64, any/all give bool, the others the input's dtype
#define TG_REDUCE_OPS(X) X(sum) X(prod) X(max) X(min) X(argmax) X(argmin) X(any) X(all)

namespace tg {

#define TG_ENUM(name) name,
enum class UnaryOp : int { TG_UNARY_OPS(TG_ENUM) count };
enum class BinaryOp : int { TG_BINARY_OPS(TG_ENUM) count };
enum class CompareOp : int { TG_COMPARE_OPS(TG_ENUM) count };
enum class ReduceOp : int { TG_REDUCE_OPS(TG_ENUM) count };
#undef TG_ENUM

inline constexpr int unary_count = static_cast<int>(UnaryOp::count);
inline constexpr int binary_count = static_cast<int>(BinaryOp::count);
inline constexpr int compare_count = static_cast<int>(CompareOp::count);
inline constexpr int reduce_count = static_cast<int>(ReduceOp::count);

}  // namespace tg
