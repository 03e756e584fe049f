// Sorting, the best k and binary search: the kernels work on rows, so another dim is moved last and back.
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/order.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

// x as contiguous rows along dim `at`; a 0-d tensor is one row of one element.
Array rows_along(const Array& x, int at) {
  if (x.ndim() == 0) return contiguous(reshape(x, {1}));
  return contiguous(at == x.ndim() - 1 ? x : transpose(x, at, -1));
}
Array back(const Array& rows, int at, int ndim) {
  if (ndim == 0) return reshape(rows, {});
  return at == ndim - 1 ? rows : transpose(rows, at, -1);
}

}  // namespace

std::tuple<Array, Array> sort(const Array& x, int64_t dim, bool descending) {
  const int at = wrap_dim("sort", dim, x.ndim());
  const Array rows = rows_along(x, at);
  Array values = empty(rows.shape, x.dtype), indices = empty(rows.shape, DType::i64);
  if (rows.numel()) {
    const KernelTable& table = table_of(x.device());
    if (!table.sort) missing_kernel("sort", x.dtype);
    const Sort view{rows_of(rows), values.data(), indices.as<int64_t>(), descending};
    Launch launch = launch_on(x.device());
    const Array scratch = scratch_for(launch, table.sort_workspace(view, launch.threads));
    raise_unless_ok("sort", table.sort(launch, view));
  }
  return {back(values, at, x.ndim()), back(indices, at, x.ndim())};
}

std::tuple<Array, Array> topk(const Array& x, int64_t k, int64_t dim, bool largest) {
  const int at = wrap_dim("topk", dim, x.ndim());
  const Array rows = rows_along(x, at);
  const int64_t size = rows.shape[rows.ndim() - 1];
  check(k >= 0 && k <= size, ErrorKind::runtime, "topk: k must be between 0 and the size {} of dim {}, got {}", size, at, k);
  Dims shape = rows.shape;
  shape[shape.size - 1] = k;
  Array values = empty(shape, x.dtype), indices = empty(shape, DType::i64);
  if (values.numel()) {
    const KernelTable& table = table_of(x.device());
    if (!table.topk) missing_kernel("topk", x.dtype);
    const TopK view{rows_of(rows), values.data(), indices.as<int64_t>(), k, largest};
    Launch launch = launch_on(x.device());
    const Array scratch = scratch_for(launch, table.topk_workspace(view, launch.threads));
    raise_unless_ok("topk", table.topk(launch, view));
  }
  return {back(values, at, x.ndim()), back(indices, at, x.ndim())};
}

std::tuple<Array, Array> select_rank(const Array& x, int64_t dim, int64_t rank, int64_t kind) {
  const int at = wrap_dim("select_rank", dim, x.ndim());
  const Array rows = rows_along(x, at);
  const int64_t size = rows.shape[rows.ndim() - 1];
  check(kind >= 0 && kind <= 2, ErrorKind::value, "select_rank: unknown kind {}", kind);
  check(size > 0, ErrorKind::index, "select_rank: dim {} of shape {} is empty", at, x.shape);
  check(rank >= 0 && rank < size, ErrorKind::runtime, "select_rank: rank {} is out of range for size {}", rank, size);
  Dims shape = rows.shape;
  shape[shape.size - 1] = 1;
  Array values = empty(shape, x.dtype), indices = empty(shape, DType::i64);
  if (values.numel()) {
    const KernelTable& table = table_of(x.device());
    if (!table.select) missing_kernel("select_rank", x.dtype);
    const Select view{rows_of(rows), values.data(), indices.as<int64_t>(), static_cast<Select::Kind>(kind), rank};
    Launch launch = launch_on(x.device());
    const Array scratch = scratch_for(launch, table.select_workspace(view, launch.threads));
    raise_unless_ok("select_rank", table.select(launch, view));
  }
  return {back(values, at, x.ndim()), back(indices, at, x.ndim())};
}

Array searchsorted(const Array& sorted, const Array& values, bool right) {
  check(sorted.ndim() >= 1, ErrorKind::runtime, "searchsorted: the sorted sequence must have at least 1 dim");
  if (sorted.ndim() > 1) {
    bool fits = sorted.ndim() == values.ndim();
    for (int d = 0; fits && d < sorted.ndim() - 1; ++d) fits = sorted.shape[d] == values.shape[d];
    check(fits, ErrorKind::runtime,
          "searchsorted: the sorted sequences must be 1-d or have the dims of the values but the last; got {} and {}",
          sorted.shape, values.shape);
  }
  const DType dtype = promote(sorted.dtype, values.dtype);
  const Array a = contiguous(sorted.dtype == dtype ? sorted : cast(sorted, dtype));
  const Array b = contiguous(values.dtype == dtype ? values : cast(values, dtype));
  Array out = empty(values.shape, DType::i64);
  if (out.numel() == 0) return out;
  const auto kernel = table_of(values.device()).searchsorted;
  if (!kernel) missing_kernel("searchsorted", dtype);
  const int64_t length = a.shape[a.ndim() - 1], cols = b.ndim() ? b.shape[b.ndim() - 1] : 1;
  const int64_t rows = a.ndim() == 1 ? 1 : b.numel() / cols;
  SearchSorted v;
  v.sorted = Rows{a.data(), dtype, a.ndim() == 1 ? 1 : rows, length, length};
  v.values = Rows{b.data(), dtype, b.numel() / cols, cols, cols};
  v.out = out.as<int64_t>();
  v.right = right;
  raise_unless_ok("searchsorted", kernel(launch_on(values.device()), v));
  return out;
}

}  // namespace tg::ops
