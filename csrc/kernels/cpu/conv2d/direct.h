// Convolution by summing the products themselves: any kernel size, stride, padding, dilation and groups, one to three dims.
#pragma once
#include "kernels/arguments/conv.h"

namespace tg::TG_ISA {

Status direct_forward(const Launch&, const Conv3d&);
Status direct_backward_input(const Launch&, const Conv3d&);
Status direct_backward_weight(const Launch&, const Conv3d&);
size_t direct_forward_workspace(const Conv3d&, int threads);
size_t direct_backward_input_workspace(const Conv3d&, int threads);
size_t direct_backward_weight_workspace(const Conv3d&, int threads);

// Images as volumes of depth 1.
inline Volumes deepened(const Images& x) {
  Volumes v;
  v.data = x.data, v.dtype = x.dtype, v.batch = x.batch, v.channels = x.channels;
  v.size[1] = x.height, v.size[2] = x.width;
  v.batch_stride = x.batch_stride, v.channel_stride = x.channel_stride, v.stride[1] = x.row_stride;
  return v;
}
inline Conv3d deepened(const Conv2d& c) {
  Conv3d v;
  v.x = deepened(c.x), v.y = deepened(c.y);
  v.weight = c.weight, v.bias = c.bias, v.groups = c.groups, v.activation = c.activation, v.algorithm = c.algorithm;
  for (int d = 0; d < 2; ++d) {
    v.kernel[d + 1] = c.kernel[d], v.stride[d + 1] = c.stride[d];
    v.dilation[d + 1] = c.dilation[d], v.padding[d + 1] = c.padding[d];
  }
  return v;
}

}  // namespace tg::TG_ISA
