// What the convolution kernels are given.
#pragma once
#include "kernels/views.h"

namespace tg {

// Which algorithms may be chosen: all; all but the ones that lose digits (Winograd F(4x4, 3x3)); only direct summation.
enum class ConvAlgorithm : uint8_t { automatic, precise, direct };

// Which of a view's three tensors is computed from the other two.
enum class ConvPass : uint8_t { forward, backward_input, backward_weight };

// A batch of images; the pixels of a line lie side by side.
struct Images {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t batch = 0, channels = 0, height = 0, width = 0;
  int64_t batch_stride = 0, channel_stride = 0, row_stride = 0;
};

// y[n, o, p, q] = bias[o] + sum over c, i, j of w[o, c, i, j] * x[n, g * C/groups + c, p * stride - padding + i * dilation, ...]
// with g the group of o; x is zero outside. Index 0 of each pair is the height, 1 the width.
// The same view serves all three products: conv2d writes y, its gradient for the input writes x, the one for the weight w.
// y may have any height and width: windows that leave x read zeros there, and lines of x that no window reaches get gradient 0.
struct Conv2d {
  Images x;                    // (N, C, H, W)
  Images y;                    // (N, O, P, Q)
  void* weight = nullptr;      // (O, C / groups, KH, KW), contiguous, of x's dtype
  const void* bias = nullptr;  // O values, or null
  int64_t groups = 1;
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1};
  int64_t padding[2] = {0, 0};  // before the first line and column; what is missing at the end follows from the sizes
  Activation activation = Activation::none;
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;
};

// The same with a depth: index 0 of each triple is the depth, 1 the height, 2 the width.
struct Volumes {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t batch = 0, channels = 0;
  int64_t size[3] = {1, 1, 1};
  int64_t batch_stride = 0, channel_stride = 0;
  int64_t stride[3] = {0, 0, 1};  // of the planes, the lines and the pixels
};
struct Conv3d {
  Volumes x;                   // (N, C, D, H, W)
  Volumes y;                   // (N, O, ...)
  void* weight = nullptr;      // (O, C / groups, KD, KH, KW), contiguous
  const void* bias = nullptr;  // O values, or null
  int64_t groups = 1;
  int64_t kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, padding[3] = {0, 0, 0};
  Activation activation = Activation::none;
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;
};

}  // namespace tg
