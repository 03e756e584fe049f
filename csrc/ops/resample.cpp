// Interpolation and average pooling: a tap table for each dim, then one or two calls of the kernel.
#include "ops/resample.h"

#include <cmath>

#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/pool.h"
#include "ops/taps.h"

namespace tg::ops {
namespace {

using Tables = std::vector<TapTable>;

// Divisors that are powers of two become part of the weights: exact, and cheaper.
void fold_divisors(TapTable& t) {
  int exponent;
  for (double d : t.divisor)
    if (std::frexp(d, &exponent) != 0.5) return;
  for (size_t o = 0; o < t.divisor.size(); ++o)
    for (int64_t k = t.first[o]; k < t.first[o + 1]; ++k) t.weight[k] /= t.divisor[o];
  t.divisor.clear();
}

void run(const char* op, Resample& v, const Array& in, Array& out) {
  const KernelTable& table = table_of(in.device());
  if (!table.resample) missing_kernel(op, in.dtype);
  v.dtype = in.dtype;
  Launch launch = launch_on(in.device());
  const Array scratch = scratch_for(launch, table.resample_workspace(v));
  raise_unless_ok(op, table.resample(launch, v, in.data(), out.data()));
}

// x's last dims through their tables.
Array apply(const char* op, const Array& x0, Tables& tables) {
  const int dims = static_cast<int>(tables.size());
  const Array x = contiguous(x0);
  Dims shape = x.shape;
  int64_t planes = 1;
  for (int d = 0; d < x.ndim() - dims; ++d) planes *= x.shape[d];
  for (int d = 0; d < dims; ++d) shape[x.ndim() - dims + d] = tables[d].out;
  Array out = empty(shape, x.dtype);
  if (out.numel() == 0) return out;
  for (auto& t : tables) fold_divisors(t);
  Resample v;
  v.planes = planes;
  v.cols = tables[dims - 1].view();
  if (dims > 1) v.rows = tables[dims - 2].view();
  if (dims < 3) {
    run(op, v, x, out);
    return out;
  }
  // three dims: the images first, then the depth of whole images
  const TapTable& depth = tables[0];
  Array images = empty({planes, depth.in, tables[1].out, tables[2].out}, x.dtype);
  v.planes = planes * depth.in;
  run(op, v, x, images);
  Resample deep;
  deep.planes = planes;
  deep.rows = depth.view();
  deep.cols.in = deep.cols.out = tables[1].out * tables[2].out;
  run(op, deep, images, out);
  return out;
}

void check_dims(const char* op, const Array& x, const Dims& size) {
  check_floating(op, x);
  check(size.size >= 1 && size.size <= 3, ErrorKind::runtime, "{}: expected 1 to 3 sizes, got {}", op, size);
  check(x.ndim() >= size.size, ErrorKind::runtime, "{}: {} sizes for a tensor of shape {}", op, size.size, x.shape);
}

Tables interpolation_tables(const char* op, DType dtype, const Dims& in, const Dims& out, int64_t mode, bool align_corners,
                            bool antialias, const double (&scales)[3]) {
  check(mode >= 0 && mode <= 4, ErrorKind::value, "{}: unknown mode {}", op, mode);
  Tables tables;
  for (int d = 0; d < in.size; ++d) {
    check(in[d] > 0 && out[d] > 0, ErrorKind::runtime,
          "{}: Input and output sizes should be greater than 0, but got input {} and output {}", op, in, out);
    const double scale = scales[3 - in.size + d];
    check(scale >= 0 && std::isfinite(scale), ErrorKind::runtime, "{}: expected scales greater than 0, got {}", op, scale);
    tables.push_back(interpolation_taps(
        in[d], out[d], {static_cast<Interpolation>(mode), align_corners, antialias, scale, dtype != DType::f64}));
  }
  return tables;
}

// Has x no planes to bring to this size? MemoryError, before any table is made, where the result would not fit.
bool without_planes(const Array& x, const Dims& size, Array& out) {
  Dims shape = x.shape;
  for (int d = 0; d < size.size; ++d) {
    if (size[d] <= 0) return false;  // an error that the tables report
    shape[x.ndim() - size.size + d] = size[d];
  }
  Array room = empty(shape, x.dtype);
  if (room.numel() > 0) return false;
  out = room;
  return true;
}

Dims last_dims(const Array& x, int count) { return Dims(count, x.shape.begin() + (x.ndim() - count)); }

Tables average_tables(const char* op, const Dims& in, const Dims& kernel, const Dims& stride, const Dims& padding,
                      bool ceil_mode, bool count_include_pad, int64_t divisor_override) {
  const Dims ones{1, 1, 1};
  const Dims dilation(kernel.size, ones.begin());
  check_windows(op, in, kernel, stride, padding, dilation);
  Tables tables;
  for (int d = 0; d < in.size; ++d) {
    const Window w{kernel[d], stride[d], padding[d], 1};
    tables.push_back(average_taps(in[d], window_count(op, in[d], w, ceil_mode), w, count_include_pad));
    if (divisor_override)
      for (double& divisor : tables.back().divisor) divisor = d == 0 ? static_cast<double>(divisor_override) : 1.0;
  }
  return tables;
}

}  // namespace

Array interpolate(const Array& x, const Dims& size, int64_t mode, bool align_corners, bool antialias, double scale_depth,
                  double scale_rows, double scale_cols) {
  check_dims("interpolate", x, size);
  if (Array out; without_planes(x, size, out)) return out;
  Tables tables = interpolation_tables("interpolate", x.dtype, last_dims(x, size.size), size, mode, align_corners, antialias,
                                       {scale_depth, scale_rows, scale_cols});
  return apply("interpolate", x, tables);
}

Array interpolate_backward(const Array& dy, const Dims& in_size, int64_t mode, bool align_corners, bool antialias,
                           double scale_depth, double scale_rows, double scale_cols) {
  check_dims("interpolate_backward", dy, in_size);
  if (Array out; without_planes(dy, in_size, out)) return out;
  Tables tables = interpolation_tables("interpolate_backward", dy.dtype, in_size, last_dims(dy, in_size.size), mode,
                                       align_corners, antialias, {scale_depth, scale_rows, scale_cols});
  for (auto& t : tables) t = transposed(t);
  return apply("interpolate_backward", dy, tables);
}

Array avg_pool(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, bool ceil_mode,
               bool count_include_pad, int64_t divisor_override) {
  check_dims("avg_pool", x, kernel);
  Tables tables = average_tables("avg_pool", last_dims(x, kernel.size), kernel, stride, padding, ceil_mode, count_include_pad,
                                 divisor_override);
  return apply("avg_pool", x, tables);
}

Array avg_pool_backward(const Array& dy, const Dims& in_size, const Dims& kernel, const Dims& stride, const Dims& padding,
                        bool ceil_mode, bool count_include_pad, int64_t divisor_override) {
  check_dims("avg_pool_backward", dy, in_size);
  Tables tables =
      average_tables("avg_pool_backward", in_size, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override);
  for (int d = 0; d < in_size.size; ++d) {
    const int64_t size = dy.shape[dy.ndim() - in_size.size + d];
    check(tables[d].out == size, ErrorKind::runtime, "avg_pool_backward: expected a gradient of size {} in dim {}, got {}",
          tables[d].out, d, size);
    tables[d] = transposed(tables[d]);
  }
  return apply("avg_pool_backward", dy, tables);
}

}  // namespace tg::ops
