// softmax and log_softmax over any dim: the kernel works on rows and, where at least a few lie side by side, on rows across
// (kernels/columns.h). Otherwise the dim is moved last and back.
#include "kernels/columns.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/rows.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

using RowKernel = Status (*)(const Launch&, const Rows&, const Rows&);
using RowBackwardKernel = Status (*)(const Launch&, const Rows&, const Rows&, const Rows&);

Array dim_last(const Array& x, int dim) { return contiguous(dim == x.ndim() - 1 ? x : transpose(x, dim, -1)); }

// The rows of x's dim `at`, if the kernel takes them where they lie. x is contiguous.
std::optional<Rows> rows_along(const Array& x, int at) {
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < at; ++d) outer *= x.shape[d];
  for (int d = at + 1; d < x.ndim(); ++d) inner *= x.shape[d];
  if (inner < 8 || x.shape[at] > longest_across) return std::nullopt;
  return rows_across(x.data(), x.dtype, outer, x.shape[at], inner);
}

Array over_rows(const char* op, RowKernel kernel, const Array& x, int64_t dim) {
  check_floating(op, x);
  const int at = wrap_dim(op, dim, x.ndim());
  if (x.ndim() == 0) return reshape(over_rows(op, kernel, reshape(x, {1}), 0), {});
  if (kernel && x.numel() && at < x.ndim() - 1) {
    const Array in = contiguous(x);
    if (const auto rows = rows_along(in, at)) {
      const Array out = empty(x.shape, x.dtype);
      raise_unless_ok(op, kernel(launch_on(x.device()), *rows, *rows_along(out, at)));
      return out;
    }
  }
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
  if (kernel && y.numel() && at < y.ndim() - 1) {
    const Array y_in = contiguous(y), dy_in = contiguous(dy);
    if (const auto rows = rows_along(y_in, at)) {
      const Array dx = empty(y.shape, y.dtype);
      raise_unless_ok(op, kernel(launch_on(y.device()), *rows, *rows_along(dy_in, at), *rows_along(dx, at)));
      return dx;
    }
  }
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
