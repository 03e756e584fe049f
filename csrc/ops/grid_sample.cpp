// Images read at any points: shapes and one call of the kernel.
#include "ops/grid_sample.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"

namespace tg::ops {
namespace {

GridSample view_of(const char* op, const Array& x, const Array& grid, bool nearest, int64_t padding, bool align_corners) {
  check_floating(op, x);
  check(x.ndim() == 4 && grid.ndim() == 4 && grid.shape[3] == 2 && grid.shape[0] == x.shape[0] && grid.dtype == x.dtype,
        ErrorKind::runtime, "{}: expected images (N, C, H, W) and a grid (N, H', W', 2) of their dtype, got {} {} and {} {}",
        op, x.shape, x.dtype, grid.shape, grid.dtype);
  check(padding >= 0 && padding <= 2, ErrorKind::value, "{}: unknown padding {}", op, padding);
  check(x.shape[2] > 0 && x.shape[3] > 0, ErrorKind::runtime, "{}: expected images with pixels, got shape {}", op, x.shape);
  constexpr int64_t most = (int64_t{1} << 31) - 1;
  check(x.shape[2] <= most / x.shape[3], ErrorKind::not_implemented, "{}: images of more than 2^31 pixels are not supported",
        op);
  GridSample v;
  v.dtype = x.dtype;
  v.batch = x.shape[0], v.channels = x.shape[1], v.rows = x.shape[2], v.cols = x.shape[3];
  v.places = grid.shape[1] * grid.shape[2];
  v.nearest = nearest;
  v.align_corners = align_corners;
  v.padding = static_cast<GridSample::Border>(padding);
  return v;
}

bool is_16_bit(const Array& x) { return x.dtype == DType::bf16 || x.dtype == DType::f16; }

}  // namespace

Array grid_sample(const Array& x, const Array& grid, bool nearest, int64_t padding, bool align_corners) {
  const GridSample v = view_of("grid_sample", x, grid, nearest, padding, align_corners);
  if (is_16_bit(x))
    return cast(grid_sample(cast(x, DType::f32), cast(grid, DType::f32), nearest, padding, align_corners), x.dtype);
  Array out = empty({v.batch, v.channels, grid.shape[1], grid.shape[2]}, x.dtype);
  if (out.numel() == 0) return out;
  const auto kernel = table_of(x.device()).grid_sample;
  if (!kernel) missing_kernel("grid_sample", x.dtype);
  const Array in = contiguous(x), points = contiguous(grid);
  raise_unless_ok("grid_sample", kernel(launch_on(x.device()), v, in.data(), points.data(), out.data()));
  return out;
}

std::tuple<Array, Array> grid_sample_backward(const Array& dy0, const Array& x, const Array& grid, bool nearest,
                                              int64_t padding, bool align_corners) {
  const GridSample v = view_of("grid_sample_backward", x, grid, nearest, padding, align_corners);
  const Dims shape{v.batch, v.channels, grid.shape[1], grid.shape[2]};
  check(dy0.shape == shape, ErrorKind::runtime, "grid_sample_backward: expected a gradient of shape {}, got {}", shape,
        dy0.shape);
  if (is_16_bit(x)) {
    auto [dx, dgrid] = grid_sample_backward(cast(dy0, DType::f32), cast(x, DType::f32), cast(grid, DType::f32), nearest,
                                            padding, align_corners);
    return {cast(dx, x.dtype), cast(dgrid, x.dtype)};
  }
  if (dy0.numel() == 0) return {zeros(x.shape, x.dtype), zeros(grid.shape, x.dtype)};
  const auto kernel = table_of(x.device()).grid_sample_backward;
  if (!kernel) missing_kernel("grid_sample_backward", x.dtype);
  const Array dy = contiguous(dy0.dtype == x.dtype ? dy0 : cast(dy0, x.dtype)), in = contiguous(x), points = contiguous(grid);
  Array dx = empty(x.shape, x.dtype), dgrid = empty(grid.shape, x.dtype);
  raise_unless_ok("grid_sample_backward",
                  kernel(launch_on(x.device()), v, dy.data(), in.data(), points.data(), dx.data(), dgrid.data()));
  return {std::move(dx), std::move(dgrid)};
}

}  // namespace tg::ops
