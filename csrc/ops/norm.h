// Normalisation: statistics come back beside the result, in the compute dtype, for the backward pass (norm.cpp).
#pragma once
#include "ops/ops.h"

namespace tg::ops {

using OptionalArray = std::optional<Array>;

// y, mean, rstd: `dims` says how many of the last dims are normalised; weight and bias have their shape.
std::tuple<Array, Array, Array> layer_norm(const Array& x, const OptionalArray& weight, const OptionalArray& bias, int64_t dims,
                                           double eps);
std::tuple<Array, Array, Array> layer_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight,
                                                    const Array& mean, const Array& rstd, int64_t dims, double eps);
std::tuple<Array, Array> rms_norm(const Array& x, const OptionalArray& weight, int64_t dims, double eps);
std::tuple<Array, Array> rms_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight, const Array& rstd,
                                           int64_t dims, double eps);
// y, mean, rstd, variance (divided by n) of every channel of x (N, C, ...)
std::tuple<Array, Array, Array, Array> batch_norm(const Array& x, const OptionalArray& weight, const OptionalArray& bias,
                                                  double eps);
std::tuple<Array, Array, Array> batch_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight,
                                                    const Array& mean, const Array& rstd, double eps);
std::tuple<Array, Array, Array> group_norm(const Array& x, const OptionalArray& weight, const OptionalArray& bias,
                                           int64_t groups, double eps);
std::tuple<Array, Array, Array> group_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight,
                                                    const Array& mean, const Array& rstd, int64_t groups, double eps);
Array channel_affine(const Array& x, const Array& scale, const Array& shift);
std::tuple<Array, Array, Array> channel_affine_backward(const Array& dy, const Array& x, const Array& scale);

}  // namespace tg::ops
