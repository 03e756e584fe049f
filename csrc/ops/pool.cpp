// Maximum pooling: a tap table for each dim, then one call of the kernel.
#include "ops/pool.h"

#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/taps.h"

namespace tg::ops {

void check_windows(const char* op, const Dims& in, const Dims& kernel, const Dims& stride, const Dims& padding,
                   const Dims& dilation) {
  const int dims = kernel.size;
  check(dims == in.size && stride.size == dims && padding.size == dims && dilation.size == dims, ErrorKind::runtime,
        "{}: expected one kernel size, stride, padding and dilation for each of {} dims, got {}, {}, {} and {}", op, in.size,
        kernel, stride, padding, dilation);
  for (int d = 0; d < dims; ++d) {
    constexpr int64_t most = (int64_t{1} << 31) - 1;
    check(kernel[d] > 0, ErrorKind::runtime, "{}: kernel size should be greater than zero, but got {}", op, kernel);
    check(stride[d] != 0, ErrorKind::runtime, "{}: stride should not be zero, but got {}", op, stride);
    check(stride[d] > 0, ErrorKind::runtime, "{}: stride should be greater than zero, but got {}", op, stride);
    check(padding[d] >= 0, ErrorKind::runtime, "{}: pad must be non-negative, but got pad: {}", op, padding);
    check(dilation[d] > 0, ErrorKind::runtime, "{}: dilation should be greater than zero, but got {}", op, dilation);
    check(kernel[d] <= most && stride[d] <= most && padding[d] <= most && dilation[d] <= most, ErrorKind::runtime,
          "{}: kernel size {}, stride {}, padding {} and dilation {} must be less than 2^31", op, kernel, stride, padding,
          dilation);
    const int64_t reach = dilation[d] * (kernel[d] - 1) + 1;
    check(padding[d] <= reach / 2, ErrorKind::runtime,
          "{}: pad should be at most half of effective kernel size, but got pad={}, kernel_size={} and dilation={}", op,
          padding[d], kernel[d], dilation[d]);
    check(in[d] > 0, ErrorKind::runtime,
          "{}: expected a tensor with non-zero sizes (only the batch may be empty), but got sizes {} to pool over", op, in);
  }
}

namespace {

// The windows over x's last dims, and what is needed to call the kernel.
struct Windows {
  TapTable tables[3];
  Pool view;
  Dims out_shape;

  Windows(const char* op, const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
          bool ceil_mode) {
    check_floating(op, x);
    const bool adaptive = kernel.size == 0;
    const int dims = stride.size, lead = x.ndim() - dims;
    check(dims >= 1 && dims <= 3 && lead >= 0, ErrorKind::runtime, "{}: {} window sizes for a tensor of shape {}", op, dims,
          x.shape);
    const Dims in(dims, x.shape.begin() + lead);
    if (!adaptive) check_windows(op, in, kernel, stride, padding, dilation);
    out_shape = x.shape;
    if (adaptive) {
      for (int d = 0; d < dims; ++d) {
        check(stride[d] >= 0, ErrorKind::runtime, "{}: elements of output_size must be greater than or equal to 0, got {}", op,
              stride);
        check(in[d] > 0, ErrorKind::runtime,
              "{}: Expected input to have non-zero size for non-batch dimensions, but input has sizes {}", op, x.shape);
        out_shape[lead + d] = stride[d];
      }
      if (empty(out_shape, x.dtype).numel() == 0) return;  // MemoryError before the tables of such a result are made
    }
    for (int d = 0; d < 3; ++d) {
      TapTable& t = tables[d];
      const int own = d - (3 - dims);
      if (own < 0) {
        t.tap(0, 1);
        t.end_of_place();
      } else if (adaptive) {
        t = adaptive_taps(in[own], stride[own]);
      } else {
        const Window w{kernel[own], stride[own], padding[own], dilation[own]};
        t = window_taps(in[own], window_count(op, in[own], w, ceil_mode), w);
      }
      make_even(op, t);
      if (own >= 0) out_shape[lead + own] = t.out;
    }
    const int64_t window_rows = (tables[0].out ? tables[0].first[1] : 0) * (tables[1].out ? tables[1].first[1] : 0);
    check(window_rows < (1 << 24), ErrorKind::not_implemented, "{}: windows of more than 2^24 rows are not supported", op);
    view.dtype = x.dtype;
    view.planes = 1;
    for (int d = 0; d < lead; ++d) view.planes *= x.shape[d];
    view.depth = tables[0].view(), view.rows = tables[1].view(), view.cols = tables[2].view();
  }
};

void run(const char* op, const Windows& w, const Array& x, Array& out, Array* places) {
  if (out.numel() == 0) return;
  const KernelTable& table = table_of(x.device());
  if (!table.max_pool) missing_kernel(op, x.dtype);
  const Array in = contiguous(x);
  Launch launch = launch_on(x.device());
  const Array scratch = scratch_for(launch, table.max_pool_workspace(w.view));
  raise_unless_ok(op, table.max_pool(launch, w.view, in.data(), out.data(), places ? places->as<int64_t>() : nullptr));
}

}  // namespace

Array max_pool(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
               bool ceil_mode) {
  const Windows w("max_pool", x, kernel, stride, padding, dilation, ceil_mode);
  Array out = empty(w.out_shape, x.dtype);
  run("max_pool", w, x, out, nullptr);
  return out;
}

std::tuple<Array, Array> max_pool_with_indices(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding,
                                               const Dims& dilation, bool ceil_mode) {
  const Windows w("max_pool", x, kernel, stride, padding, dilation, ceil_mode);
  Array out = empty(w.out_shape, x.dtype), places = empty(w.out_shape, DType::i64);
  run("max_pool", w, x, out, &places);
  return {std::move(out), std::move(places)};
}

Array max_pool_backward(const Array& dy0, const Array& x0, const Dims& kernel, const Dims& stride, const Dims& padding,
                        const Dims& dilation, bool ceil_mode) {
  if (dy0.dtype != x0.dtype) return max_pool_backward(dy0, cast(x0, dy0.dtype), kernel, stride, padding, dilation, ceil_mode);
  if (x0.dtype == DType::bf16 || x0.dtype == DType::f16)  // sums of gradients run in float32
    return cast(max_pool_backward(cast(dy0, DType::f32), cast(x0, DType::f32), kernel, stride, padding, dilation, ceil_mode),
                x0.dtype);
  const Windows w("max_pool_backward", x0, kernel, stride, padding, dilation, ceil_mode);
  check(dy0.shape == w.out_shape, ErrorKind::runtime, "max_pool_backward: expected a gradient of shape {}, got {}", w.out_shape,
        dy0.shape);
  if (dy0.numel() == 0) return zeros(x0.shape, x0.dtype);
  const KernelTable& table = table_of(x0.device());
  if (!table.max_pool_backward) missing_kernel("max_pool_backward", x0.dtype);
  const Array x = contiguous(x0), dy = contiguous(dy0);
  Array dx = empty(x.shape, x.dtype);
  Launch launch = launch_on(x.device());
  const Array scratch = scratch_for(launch, table.max_pool_workspace(w.view));
  raise_unless_ok("max_pool_backward", table.max_pool_backward(launch, w.view, x.data(), dy.data(), dx.data()));
  return dx;
}

}  // namespace tg::ops
