// Convolutions and their gradients. Sizes, strides, padding and dilation are (height, width), or one number for both.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// y (N, O, P, Q) of x (N, C, H, W) and weight (O, C / groups, KH, KW). `padding` may be (top, bottom, left, right). Without
// `output_size` (P, Q) there are as many windows as fit.
Array conv2d(const Array& x, const Array& weight, const std::optional<Array>& bias, const std::optional<Dims>& output_size,
             const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups, Activation activation);
// dx (N, C, H, W), where input_size is (H, W)
Array conv2d_backward_input(const Array& dy, const Array& weight, const Dims& input_size, const Dims& stride,
                            const Dims& padding, const Dims& dilation, int64_t groups);
// dw (O, C / groups, KH, KW), where kernel_size is (KH, KW)
Array conv2d_backward_weight(const Array& dy, const Array& x, const Dims& kernel_size, const Dims& stride, const Dims& padding,
                             const Dims& dilation, int64_t groups);
// The algorithm that a product of these sizes takes: input (N, C, H, W), weight (O, C / groups, KH, KW). pass: "forward",
// "backward_input", "backward_weight".
std::string conv2d_algorithm(const Dims& input_size, const Dims& weight_size, const Dims& stride, const Dims& padding,
                             const Dims& dilation, int64_t groups, const std::string& pass, DType dtype);

}  // namespace tg::ops
