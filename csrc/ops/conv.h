// Convolutions over one to three dims and their gradients. x is (N, C, *sizes), weight (O, C / groups, *kernel), y (N, O, *out);
// sizes, strides, padding and dilation hold one number a dim, or one for all.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// y of x and weight. `padding` may also be (before, after) of every dim. Without `output_size` there are as many windows as fit.
Array conv(const Array& x, const Array& weight, const std::optional<Array>& bias, const std::optional<Dims>& output_size,
           const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups, Activation activation);
// dx (N, C, *input_size)
Array conv_backward_input(const Array& dy, const Array& weight, const Dims& input_size, const Dims& stride, const Dims& padding,
                          const Dims& dilation, int64_t groups);
// dw (O, C / groups, *kernel_size)
Array conv_backward_weight(const Array& dy, const Array& x, const Dims& kernel_size, const Dims& stride, const Dims& padding,
                           const Dims& dilation, int64_t groups);

// The algorithm that a product of these sizes takes: input (N, C, H, W), weight (O, C / groups, KH, KW). pass: "forward",
// "backward_input", "backward_weight".
std::string conv2d_algorithm(const Dims& input_size, const Dims& weight_size, const Dims& stride, const Dims& padding,
                             const Dims& dilation, int64_t groups, const std::string& pass, DType dtype);

}  // namespace tg::ops
