// Convolutions of images, forward and both gradients: which kernel does what.
//
//   conv2d                  y[n, o, p, q] = activation(bias[o] + sum over c, i, j of w[o, c, i, j] x[n, c, h, v])
//   conv2d_backward_input   dx[n, c, h, v] = sum over o, i, j of w[o, c, i, j] dy[n, o, p, q]
//   conv2d_backward_weight  dw[o, c, i, j] = sum over n, p, q of dy[n, o, p, q] x[n, c, h, v]
//
// where h = p * stride - padding + i * dilation, v likewise, and x is zero outside.
#include "kernels/cpu/conv2d/direct.h"

namespace tg::TG_ISA {

Status conv2d(const Launch& launch, const Conv2d& c) { return direct_forward(launch, deepened(c)); }
size_t conv2d_workspace(const Conv2d& c, int threads) { return direct_forward_workspace(deepened(c), threads); }

Status conv2d_backward_input(const Launch& launch, const Conv2d& c) { return direct_backward_input(launch, deepened(c)); }
size_t conv2d_backward_input_workspace(const Conv2d& c, int threads) {
  return direct_backward_input_workspace(deepened(c), threads);
}

Status conv2d_backward_weight(const Launch& launch, const Conv2d& c) { return direct_backward_weight(launch, deepened(c)); }
size_t conv2d_backward_weight_workspace(const Conv2d& c, int threads) {
  return direct_backward_weight_workspace(deepened(c), threads);
}

}  // namespace tg::TG_ISA
