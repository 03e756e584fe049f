// gather, scatter and nonzero: checks, the merging of dims, and one kernel call.
#include "ops/positions.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

void check_places(const char* op, const Array& x, int at, const Array& index) {
  check(index.dtype == DType::i64, ErrorKind::type, "{}: expected int64 indexes, got {}", op, index.dtype);
  check(index.ndim() == x.ndim(), ErrorKind::runtime,
        "{}: the index of shape {} must have as many dims as the tensor of shape {}", op, index.shape, x.shape);
  for (int d = 0; d < x.ndim(); ++d)
    check(d == at || index.shape[d] <= x.shape[d], ErrorKind::runtime,
          "{}: index of shape {} is larger than the tensor of shape {} in dim {}, which is not dim {}", op, index.shape,
          x.shape, d, at);
}

// The view of the kernel, dims merged where x and the values can be walked as one.
Positions positions(const Array& x, int at, const Array& index, const Array& values) {
  Positions v;
  v.x = x.data();
  v.values = values.data();
  v.index = index.as<int64_t>();
  v.dtype = x.dtype;
  v.size = x.ndim() ? x.shape[at] : 1;
  v.step = x.ndim() ? x.strides[at] : 1;
  for (int d = 0; d < index.ndim(); ++d) {
    const int64_t size = index.shape[d], walk = d == at ? 0 : x.strides[d], stride = values.strides[d];
    if (size == 1) continue;
    const int last = v.ndim - 1;
    const bool both_walk = last >= 0 && (walk == 0) == (v.walk[last] == 0);
    if (both_walk && v.walk[last] == walk * size && v.value_strides[last] == stride * size) {
      v.shape[last] *= size;
      v.walk[last] = walk;
      v.value_strides[last] = stride;
    } else {
      v.shape[v.ndim] = size;
      v.walk[v.ndim] = walk;
      v.value_strides[v.ndim++] = stride;
    }
  }
  if (v.ndim == 0) v.shape[0] = v.value_strides[0] = 1, v.walk[0] = 0, v.ndim = 1;
  return v;
}

void run(const char* op, Status (*kernel)(const Launch&, const Positions&), const Positions& v, const Array& x, int at) {
  if (!kernel) missing_kernel(op, v.dtype);
  const Status status = kernel(launch_on(x.device()), v);
  check(status.code != Status::index_out_of_range, ErrorKind::index,
        "{}: index {} is out of bounds for dimension {} with size {}", op, status.detail, at, v.size);
  raise_unless_ok(op, status);
}

}  // namespace

Array gather(const Array& x, int64_t dim, const Array& index) {
  const int at = wrap_dim("gather", dim, x.ndim());
  check_places("gather", x, at, index);
  const Array places = contiguous(index);
  Array out = empty(index.shape, x.dtype);
  if (out.numel() == 0) return out;
  run("gather", table_of(x.device()).gather, positions(x, at, places, out), x, at);
  return out;
}

namespace {

void scatter_into(Array& x, int64_t dim, const Array& index, const Array& src, int64_t op, bool fresh) {
  const int at = wrap_dim("scatter", dim, x.ndim());
  check(op >= 0 && op <= static_cast<int64_t>(ScatterOp::minimum), ErrorKind::value, "scatter: unknown operation {}", op);
  check_places("scatter", x, at, index);
  check_writable("scatter", x);
  check(src.dtype == x.dtype, ErrorKind::runtime, "scatter: expected a source of dtype {}, got {}", x.dtype, src.dtype);
  bool fits = src.ndim() == index.ndim();
  for (int d = 0; fits && d < src.ndim(); ++d) fits = index.shape[d] <= src.shape[d];
  check(fits, ErrorKind::runtime, "scatter: index of shape {} is larger than the source of shape {}", index.shape, src.shape);
  if (index.numel() == 0) return;
  const Array places = contiguous(index), values = src.storage == x.storage ? clone(src) : src;
  Positions v = positions(x, at, places, values);
  v.op = static_cast<ScatterOp>(op);
  v.fresh = fresh;
  run("scatter", table_of(x.device()).scatter, v, x, at);
}

}  // namespace

void scatter_(Array& x, int64_t dim, const Array& index, const Array& src, int64_t op) {
  scatter_into(x, dim, index, src, op, false);
  touch(x);
}

Array scatter(const Array& x, int64_t dim, const Array& index, const Array& src, int64_t op) {
  Array out = empty(x.shape, x.dtype);
  copy_(out, operand(x));
  scatter_into(out, dim, index, src, op, true);
  return out;
}

Array bincount(const Array& x, int64_t minlength) {
  check(x.ndim() == 1 && x.dtype == DType::i64, ErrorKind::runtime, "bincount: expected a vector of int64, got {} {}", x.shape,
        x.dtype);
  if (x.numel() == 0) return zeros({minlength}, DType::i64);
  const int64_t low = *reduce(ReduceOp::min, x, std::nullopt, false).as<int64_t>();
  const int64_t high = *reduce(ReduceOp::max, x, std::nullopt, false).as<int64_t>();
  check(low >= 0, ErrorKind::runtime, "bincount only supports 1-d non-negative integral inputs, got {}", low);
  Array out = zeros({high < minlength ? minlength : high + 1}, DType::i64);
  Array one = full({1}, Operand{Operand::integer, nullptr, {1, 1}}, DType::i64);
  one.shape = x.shape;
  one.strides[0] = 0;
  scatter_into(out, 0, x, one, static_cast<int64_t>(ScatterOp::add), true);
  out.storage->version = 0;
  return out;
}

Array nonzero(const Array& x) {
  Array mask = contiguous(x);
  if (x.dtype != DType::b8) mask = contiguous(compare(CompareOp::ne, operand(mask), Operand{Operand::integer, nullptr, {}}));
  const KernelTable& table = table_of(x.device());
  if (!table.nonzero || !table.nonzero_count) missing_kernel("nonzero", x.dtype);
  Nonzero v;
  v.mask = mask.as<bool>();
  v.ndim = x.ndim();
  v.count = mask.numel();
  for (int d = 0; d < v.ndim; ++d) v.shape[d] = mask.shape[d];
  if (v.ndim == 0) v.shape[0] = 1;
  const int64_t pieces = (v.count + Nonzero::piece_elements - 1) / Nonzero::piece_elements;
  Array starts = empty({pieces}, DType::i64);
  v.starts = starts.as<int64_t>();
  int64_t total = 0;
  if (v.count) table.nonzero_count(launch_on(x.device()), v);
  for (int64_t i = 0; i < pieces; ++i) {
    const int64_t here = v.starts[i];
    v.starts[i] = total;
    total += here;
  }
  Array out = empty({total, x.ndim()}, DType::i64);
  v.out = out.as<int64_t>();
  if (total && v.ndim) table.nonzero(launch_on(x.device()), v);
  return out;
}

}  // namespace tg::ops
