// Running sums and their relatives over any dim: the kernel sees (outer, size, inner).
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/order.h"

namespace tg::ops {
namespace {

Array scan(const char* op, ScanOp kind, const Array& input, int64_t dim, bool reverse = false, Array* indices = nullptr) {
  const int at = wrap_dim(op, dim, input.ndim());
  const bool adds = kind == ScanOp::sum || kind == ScanOp::prod;
  const Array x = contiguous(adds && !is_floating(input.dtype) && input.dtype != DType::i64 ? cast(input, DType::i64) : input);
  if (kind == ScanOp::logsumexp) check_floating(op, x);
  Array out = empty(x.shape, x.dtype);
  Scan s;
  s.op = kind;
  s.reverse = reverse;
  s.dtype = x.dtype;
  s.in = x.data();
  s.out = out.data();
  if (indices) {
    *indices = empty(x.shape, DType::i64);
    s.where = indices->as<int64_t>();
  }
  for (int d = 0; d < at; ++d) s.outer *= x.shape[d];
  s.size = x.ndim() ? x.shape[at] : 1;
  for (int d = at + 1; d < x.ndim(); ++d) s.inner *= x.shape[d];
  const auto kernel = table_of(x.device()).scan;
  if (!kernel || kernel(launch_on(x.device()), s).code == Status::missing) missing_kernel(op, x.dtype);
  return out;
}

std::tuple<Array, Array> scan_with_places(const char* op, ScanOp kind, const Array& x, int64_t dim) {
  Array indices;
  Array values = scan(op, kind, x, dim, false, &indices);
  return {std::move(values), std::move(indices)};
}

}  // namespace

Array cumsum(const Array& x, int64_t dim, bool reverse) { return scan("cumsum", ScanOp::sum, x, dim, reverse); }
Array cumprod(const Array& x, int64_t dim) { return scan("cumprod", ScanOp::prod, x, dim); }
Array logcumsumexp(const Array& x, int64_t dim, bool reverse) {
  return scan("logcumsumexp", ScanOp::logsumexp, x, dim, reverse);
}
std::tuple<Array, Array> cummax(const Array& x, int64_t dim) { return scan_with_places("cummax", ScanOp::max, x, dim); }
std::tuple<Array, Array> cummin(const Array& x, int64_t dim) { return scan_with_places("cummin", ScanOp::min, x, dim); }

}  // namespace tg::ops
