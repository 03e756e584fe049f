// Interpolation and average pooling of the last 1 to 3 dims (all of them weighted sums along each dim), and their gradients.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// mode: 0 nearest, 1 nearest-exact, 2 linear, 3 cubic, 4 area. A scale of 0 follows from the sizes; scales stand beside the
// dims of `size` from the right.
Array interpolate(const Array& x, const Dims& size, int64_t mode, bool align_corners, bool antialias, double scale_depth,
                  double scale_rows, double scale_cols);
Array interpolate_backward(const Array& dy, const Dims& in_size, int64_t mode, bool align_corners, bool antialias,
                           double scale_depth, double scale_rows, double scale_cols);

// Averages over windows; divisor_override 0: none.
Array avg_pool(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, bool ceil_mode,
               bool count_include_pad, int64_t divisor_override);
Array avg_pool_backward(const Array& dy, const Dims& in_size, const Dims& kernel, const Dims& stride, const Dims& padding,
                        bool ceil_mode, bool count_include_pad, int64_t divisor_override);

}  // namespace tg::ops
