// flip, roll and triangle: (outer, size, inner) around a dim, or stacks of matrices, and one kernel call.
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/positions.h"

namespace tg::ops {
namespace {

Array along_dim(const char* op, Status (*kernel)(const Launch&, const AlongDim&), const Array& x, int64_t dim, int64_t shift) {
  const int at = wrap_dim(op, dim, x.ndim());
  const Array in = contiguous(x);
  Array out = empty(x.shape, x.dtype);
  if (out.numel() == 0) return out;
  AlongDim v;
  v.in = in.data();
  v.out = out.data();
  v.element_bytes = size_of(x.dtype);
  for (int d = 0; d < at; ++d) v.outer *= x.shape[d];
  v.size = x.ndim() ? x.shape[at] : 1;
  for (int d = at + 1; d < x.ndim(); ++d) v.inner *= x.shape[d];
  v.shift = ((shift % v.size) + v.size) % v.size;
  if (!kernel) missing_kernel(op, x.dtype);
  raise_unless_ok(op, kernel(launch_on(x.device()), v));
  return out;
}

}  // namespace

Array flip(const Array& x, int64_t dim) { return along_dim("flip", table_of(x.device()).flip, x, dim, 0); }
Array roll(const Array& x, int64_t shift, int64_t dim) { return along_dim("roll", table_of(x.device()).roll, x, dim, shift); }

Array triangle(const Array& x, int64_t diagonal, bool lower) {
  check(x.ndim() >= 2, ErrorKind::runtime, "{}: expected at least 2 dims, got shape {}", lower ? "tril" : "triu", x.shape);
  const Array in = contiguous(x);
  Array out = empty(x.shape, x.dtype);
  if (out.numel() == 0) return out;
  Triangle v;
  v.in = in.data();
  v.out = out.data();
  v.element_bytes = size_of(x.dtype);
  v.rows = x.shape[x.ndim() - 2];
  v.cols = x.shape[x.ndim() - 1];
  v.count = x.numel() / (v.rows * v.cols);
  const int64_t limit = v.rows + v.cols;  // beyond it nothing changes
  v.diagonal = diagonal > limit ? limit : diagonal < -limit ? -limit : diagonal;
  v.lower = lower;
  const auto kernel = table_of(x.device()).triangle;
  if (!kernel) missing_kernel("triangle", x.dtype);
  raise_unless_ok("triangle", kernel(launch_on(x.device()), v));
  return out;
}

}  // namespace tg::ops
