// Convolutions of images and volumes, forward and both gradients: which algorithm does what.
//
//   conv2d                  y[n, o, p, q] = activation(bias[o] + sum over c, i, j of w[o, c, i, j] x[n, c, h, v])
//   conv2d_backward_input   dx[n, c, h, v] = sum over o, i, j of w[o, c, i, j] dy[n, o, p, q]
//   conv2d_backward_weight  dw[o, c, i, j] = sum over n, p, q of dy[n, o, p, q] x[n, c, h, v]
//
// where h = p * stride - padding + i * dilation, v likewise, and x is zero outside.
//
//   depthwise.cpp   a group per input channel
//   pointwise.cpp   1x1
//   winograd.cpp    3x3 and 5x5 of enough channels and pixels: fewer multiplications, other rounding errors
//   direct.cpp      everything else
//
// The choice depends on sizes and the view's `algorithm` alone, never on threads or addresses: a shape's bits do not change.
#include "kernels/cpu/conv2d/algorithms.h"
#include "kernels/cpu/conv2d/direct.h"

namespace tg::TG_ISA {

enum class Choice { depthwise, pointwise, winograd_4x4, winograd_2x2, winograd_5x5, winograd_strided, direct };

static Choice choose(const Conv2d& c, Pass pass) {
  if (depthwise_suits(c, pass)) return Choice::depthwise;
  if (pointwise_suits(c, pass)) return Choice::pointwise;
  const int tile = winograd_tile(deepened(c), pass);
  if (tile > 0 && c.stride[0] == 2) return Choice::winograd_strided;
  if (tile > 0 && c.kernel[0] == 5) return Choice::winograd_5x5;
  return tile == 4 ? Choice::winograd_4x4 : tile == 2 ? Choice::winograd_2x2 : Choice::direct;
}

const char* conv2d_algorithm(const Conv2d& c, Pass pass) {
  const char* const names[] = {"depthwise",    "pointwise",        "winograd_4x4", "winograd_2x2",
                               "winograd_5x5", "winograd_strided", "direct"};
  return names[static_cast<int>(choose(c, pass))];
}

Status conv2d(const Launch& launch, const Conv2d& c) {
  switch (choose(c, Pass::forward)) {
    case Choice::depthwise: return depthwise_forward(launch, c);
    case Choice::pointwise: return pointwise_forward(launch, c);
    case Choice::winograd_strided:
    case Choice::winograd_4x4: return winograd_forward(launch, deepened(c), 4);
    case Choice::winograd_2x2:
    case Choice::winograd_5x5: return winograd_forward(launch, deepened(c), 2);
    case Choice::direct: break;
  }
  return direct_forward(launch, deepened(c));
}

Status conv2d_backward_input(const Launch& launch, const Conv2d& c) {
  switch (choose(c, Pass::backward_input)) {
    case Choice::depthwise: return depthwise_backward_input(launch, c);
    case Choice::pointwise: return pointwise_backward_input(launch, c);
    case Choice::winograd_strided:
    case Choice::winograd_4x4: return winograd_backward_input(launch, deepened(c), 4);
    case Choice::winograd_2x2:
    case Choice::winograd_5x5: return winograd_backward_input(launch, deepened(c), 2);
    case Choice::direct: break;
  }
  return direct_backward_input(launch, deepened(c));
}

Status conv2d_backward_weight(const Launch& launch, const Conv2d& c) {
  switch (choose(c, Pass::backward_weight)) {
    case Choice::depthwise: return depthwise_backward_weight(launch, c);
    case Choice::pointwise: return pointwise_backward_weight(launch, c);
    case Choice::winograd_strided:
    case Choice::winograd_4x4: return winograd_backward_weight(launch, deepened(c), 4);
    case Choice::winograd_2x2:
    case Choice::winograd_5x5: return winograd_backward_weight(launch, deepened(c), 2);
    case Choice::direct: break;
  }
  return direct_backward_weight(launch, deepened(c));
}

static size_t workspace(const Conv2d& c, int threads, Pass pass, size_t (*direct)(const Conv3d&, int)) {
  switch (choose(c, pass)) {
    case Choice::depthwise: return depthwise_workspace(c, threads, pass);
    case Choice::pointwise: return pointwise_workspace(c, threads, pass);
    case Choice::winograd_strided:
    case Choice::winograd_4x4: return winograd_workspace(deepened(c), threads, pass, 4);
    case Choice::winograd_2x2:
    case Choice::winograd_5x5: return winograd_workspace(deepened(c), threads, pass, 2);
    case Choice::direct: break;
  }
  return direct(deepened(c), threads);
}

size_t conv2d_workspace(const Conv2d& c, int threads) { return workspace(c, threads, Pass::forward, direct_forward_workspace); }
size_t conv2d_backward_input_workspace(const Conv2d& c, int threads) {
  return workspace(c, threads, Pass::backward_input, direct_backward_input_workspace);
}
size_t conv2d_backward_weight_workspace(const Conv2d& c, int threads) {
  return workspace(c, threads, Pass::backward_weight, direct_backward_weight_workspace);
}

// --- volumes: Winograd's along lines and columns, or direct ------------------------------------------------------------
template <class Winograd, class Direct>
static auto volumes(const Conv3d& c, Pass pass, const Winograd& winograd, const Direct& direct) {
  const int tile = winograd_tile(c, pass);
  return tile > 0 ? winograd(tile) : direct();
}
Status conv3d(const Launch& launch, const Conv3d& c) {
  return volumes(
      c, Pass::forward, [&](int tile) { return winograd_forward(launch, c, tile); }, [&] { return direct_forward(launch, c); });
}
Status conv3d_backward_input(const Launch& launch, const Conv3d& c) {
  return volumes(
      c, Pass::backward_input, [&](int tile) { return winograd_backward_input(launch, c, tile); },
      [&] { return direct_backward_input(launch, c); });
}
Status conv3d_backward_weight(const Launch& launch, const Conv3d& c) {
  return volumes(
      c, Pass::backward_weight, [&](int tile) { return winograd_backward_weight(launch, c, tile); },
      [&] { return direct_backward_weight(launch, c); });
}
size_t conv3d_workspace(const Conv3d& c, int threads) {
  return volumes(
      c, Pass::forward, [&](int tile) { return winograd_workspace(c, threads, Pass::forward, tile); },
      [&] { return direct_forward_workspace(c, threads); });
}
size_t conv3d_backward_input_workspace(const Conv3d& c, int threads) {
  return volumes(
      c, Pass::backward_input, [&](int tile) { return winograd_workspace(c, threads, Pass::backward_input, tile); },
      [&] { return direct_backward_input_workspace(c, threads); });
}
size_t conv3d_backward_weight_workspace(const Conv3d& c, int threads) {
  return volumes(
      c, Pass::backward_weight, [&](int tile) { return winograd_workspace(c, threads, Pass::backward_weight, tile); },
      [&] { return direct_backward_weight_workspace(c, threads); });
}

}  // namespace tg::TG_ISA
