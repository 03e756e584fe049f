// Images read at any points.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// x (N, C, H, W) at grid (N, H', W', 2). padding: 0 zeros, 1 border, 2 reflection.
Array grid_sample(const Array& x, const Array& grid, bool nearest, int64_t padding, bool align_corners);
std::tuple<Array, Array> grid_sample_backward(const Array& dy, const Array& x, const Array& grid, bool nearest, int64_t padding,
                                              bool align_corners);

}  // namespace tg::ops
