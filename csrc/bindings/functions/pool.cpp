// Pooling, interpolation and grid sampling: the lines that make them Python functions.
#include "ops/pool.h"
#include "bindings/convert.h"
#include "bindings/functions.h"
#include "ops/grid_sample.h"
#include "ops/resample.h"

namespace tg::py {

void bind_pool() {
  bind<&ops::max_pool>("max_pool", "x, kernel, stride, padding, dilation, ceil_mode",
                       "The largest element of each window over the last dims; no kernel: adaptive windows.");
  bind<&ops::max_pool_with_indices>("max_pool_with_indices", "x, kernel, stride, padding, dilation, ceil_mode",
                                    "The largest element of each window, and its place in the plane.");
  bind<&ops::max_pool_backward>("max_pool_backward", "dy, x, kernel, stride, padding, dilation, ceil_mode",
                                "Gradient of max_pool from its input.");
  bind<&ops::avg_pool>("avg_pool", "x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override",
                       "The average of each window over the last dims.");
  bind<&ops::avg_pool_backward>("avg_pool_backward",
                                "dy, in_size, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override",
                                "Gradient of avg_pool.");
  bind<&ops::interpolate>("interpolate", "x, size, mode, align_corners, antialias, scale_depth, scale_rows, scale_cols",
                          "The last dims in another size.");
  bind<&ops::interpolate_backward>("interpolate_backward",
                                   "dy, in_size, mode, align_corners, antialias, scale_depth, scale_rows, scale_cols",
                                   "Gradient of interpolate.");
  bind<&ops::grid_sample>("grid_sample", "x, grid, nearest, padding, align_corners", "Images read at the points of a grid.");
  bind<&ops::grid_sample_backward>("grid_sample_backward", "dy, x, grid, nearest, padding, align_corners",
                                   "Gradients of grid_sample for the images and the grid.");
}

}  // namespace tg::py
