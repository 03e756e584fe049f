// softmax and log_softmax over any dim: the kernel works on rows, so another dim is moved last and back.
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/rows.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

using RowKernel = Status (*)(const Launch&, const Rows&, const Rows&);
using RowBackwardKernel = Status (*)(const Launch&, const Rows&, const Rows&, const Rows&);

Array dim_last(const Array& x, int dim) { return contiguous(dim == x.ndim() - 1 ? x : transpose(x, dim, -1)); }

Array over_rows(const char* op, RowKernel kernel, const Array& x, int64_t dim) {
  check_floating(op, x);
  const int at = wrap_dim(op, dim, x.ndim());
  if (x.ndim() == 0) return reshape(over_rows(op, kernel, reshape(x, {1}), 0), {});
  const Array rows = dim_last(x, at);
  Array out = empty(rows.shape, x.dtype);
  if (out.numel()) {
    if (!kernel) missing_kernel(op, x.dtype);
    raise_unless_ok(op, kernel(launch_on(x.device()), rows_of(rows), rows_of(out)));
  }
  return at == x.ndim() - 1 ? out : transpose(out, at, -1);
}

Array backward_over_rows(const char* op, RowBackwardKernel kernel, const Array& y, const Array& dy, int64_t dim) {
  check(y.shape == dy.shape && y.dtype == dy.dtype, ErrorKind::runtime, "{}: y {} {} and dy {} {} differ", op, y.shape, y.dtype,
        dy.shape, dy.dtype);
  const int at = wrap_dim(op, dim, y.ndim());
  if (y.ndim() == 0) return reshape(backward_over_rows(op, kernel, reshape(y, {1}), reshape(dy, {1}), 0), {});
  const Array y_rows = dim_last(y, at), dy_rows = dim_last(dy, at);
  Array dx = empty(y_rows.shape, y.dtype);
  if (dx.numel()) {
    if (!kernel) missing_kernel(op, y.dtype);
    raise_unless_ok(op, kernel(launch_on(y.device()), rows_of(y_rows), rows_of(dy_rows), rows_of(dx)));
  }
  return at == y.ndim() - 1 ? dx : transpose(dx, at, -1);
}

}  // namespace

Array softmax(const Array& x, int64_t dim) { return over_rows("softmax", table_of(x.device()).softmax, x, dim); }
Array log_softmax(const Array& x, int64_t dim) { return over_rows("log_softmax", table_of(x.device()).log_softmax, x, dim); }
Array logsumexp(const Array& x, int64_t dim) {
  check_floating("logsumexp", x);
  const int at = wrap_dim("logsumexp", dim, x.ndim());
  if (x.ndim() == 0) return reshape(logsumexp(reshape(x, {1}), 0), {});
  const Array rows = dim_last(x, at);
  Dims shape = rows.shape;
  const int64_t cols = shape[x.ndim() - 1];
  shape[x.ndim() - 1] = 1;
  Array out = empty(shape, x.dtype);
  if (out.numel()) {
    const auto kernel = table_of(x.device()).logsumexp;
    if (!kernel) missing_kernel("logsumexp", x.dtype);
    const Rows in{rows.data(), x.dtype, out.numel(), cols, cols};
    raise_unless_ok("logsumexp", kernel(launch_on(x.device()), in, rows_of(out)));
  }
  return squeeze(at == x.ndim() - 1 ? out : transpose(out, at, -1), at);
}

Array softmax_backward(const Array& y, const Array& dy, int64_t dim) {
  return backward_over_rows("softmax_backward", table_of(y.device()).softmax_backward, y, dy, dim);
}
Array log_softmax_backward(const Array& y, const Array& dy, int64_t dim) {
  return backward_over_rows("log_softmax_backward", table_of(y.device()).log_softmax_backward, y, dy, dim);
}

}  // namespace tg::ops
