// Indexing by number along one dim, and concatenation.
#include "ops/gather.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

void check_index(const char* op, const Array& index) {
  check(index.dtype == DType::i64, ErrorKind::type, "{}: expected int64 indexes, got {}", op, index.dtype);
  check(index.ndim() <= 1, ErrorKind::index, "{}: expected a 1-d index, got shape {}", op, index.shape);
}

// (outer, picked, inner) of a contiguous array around `dim`.
Indexed around(const Array& x, int dim, const Array& index) {
  Indexed v;
  v.dtype = x.dtype;
  v.index = index.as<int64_t>();
  v.count = index.numel();
  for (int i = 0; i < dim; ++i) v.outer *= x.shape[i];
  v.picked = x.ndim() ? x.shape[dim] : 1;
  for (int i = dim + 1; i < x.ndim(); ++i) v.inner *= x.shape[i];
  return v;
}

using IndexKernel = Status (*)(const Launch&, const Indexed&);
void run(const char* op, IndexKernel kernel, const Indexed& v, Device device, int dim) {
  if (!kernel) missing_kernel(op, v.dtype);
  const Status status = kernel(launch_on(device), v);
  check(status.code != Status::index_out_of_range, ErrorKind::index,
        "{}: index {} is out of bounds for dimension {} with size {}", op, status.detail, dim, v.picked);
  raise_unless_ok(op, status);
}

}  // namespace

Array index_select(const Array& x, int64_t dim, const Array& index) {
  check_index("index_select", index);
  const int at = wrap_dim("index_select", dim, x.ndim());
  const Array in = contiguous(x), idx = contiguous(index);
  Dims shape = x.shape;
  if (x.ndim()) shape[at] = idx.numel();
  Array out = empty(shape, x.dtype);
  if (idx.numel() == 0) return out;
  Indexed v = around(in, at, idx);
  v.in = in.data();
  v.out = out.data();
  run("index_select", table_of(x.device()).index_select, v, x.device(), at);
  return out;
}

Array index_add(const Array& dy, int64_t dim, const Array& index, int64_t size) {
  check_index("index_add", index);
  const int at = wrap_dim("index_add", dim, dy.ndim());
  check(dy.ndim() && dy.shape[at] == index.numel(), ErrorKind::runtime,
        "index_add: {} indexes for a source of shape {} along dim {}", index.numel(), dy.shape, at);
  const Array in = contiguous(dy), idx = contiguous(index);
  Dims shape = dy.shape;
  shape[at] = size;
  Array out = zeros(shape, dy.dtype);
  if (idx.numel() == 0) return out;
  Indexed v = around(out, at, idx);
  v.in = in.data();
  v.out = out.data();
  run("index_add", table_of(dy.device()).index_add, v, dy.device(), at);
  return out;
}

void index_copy_(Array& x, int64_t dim, const Array& index, const Array& source) {
  check_index("index_copy_", index);
  check_writable("index_copy", x);
  const int at = wrap_dim("index_copy_", dim, x.ndim());
  check(source.dtype == x.dtype, ErrorKind::runtime, "index_copy_: expected a source of dtype {}, got {}", x.dtype,
        source.dtype);
  Dims expected = x.shape;
  expected[at] = index.numel();
  check(source.shape == expected, ErrorKind::runtime, "index_copy_: expected a source of shape {}, got {}", expected,
        source.shape);
  const Array in = contiguous(source), idx = contiguous(index);
  Array out = contiguous(x);
  Indexed v = around(out, at, idx);
  v.in = in.data();
  v.out = out.data();
  run("index_copy_", table_of(x.device()).index_copy, v, x.device(), at);
  if (out.storage != x.storage) copy_(x, operand(out));
  else touch(x);
}

Array wrap_index(const Array& index, int64_t size, int64_t dim) {
  check(index.dtype == DType::i64, ErrorKind::index, "expected int64 indexes, got {}", index.dtype);
  if (index.numel() == 0) return index;
  const Array low = reduce(ReduceOp::min, index, std::nullopt, false), high = reduce(ReduceOp::max, index, std::nullopt, false);
  const int64_t least = *low.as<int64_t>(), most = *high.as<int64_t>();
  const bool outside = least < -size || most >= size;
  check(!outside, ErrorKind::index, "index {} is out of bounds for dimension {} with size {}", least < -size ? least : most,
        dim, size);
  if (least >= 0) return index;
  return binary(BinaryOp::remainder, operand(index), Operand{Operand::integer, nullptr, {double(size), size}});
}

Array cat(const std::vector<Array>& tensors, int64_t dim) {
  check(!tensors.empty(), ErrorKind::value, "cat: expected at least one tensor, got none");
  DType dtype = tensors[0].dtype;
  const Array* first = nullptr;  // an empty 1-d tensor joins anything, as in PyTorch
  for (const Array& t : tensors) {
    dtype = promote(dtype, t.dtype);
    if (!first && !(t.ndim() == 1 && t.shape[0] == 0)) first = &t;
  }
  if (!first) first = &tensors[0];
  check(first->ndim() > 0, ErrorKind::runtime, "cat: 0-d tensors cannot be joined; use stack()");
  const int at = wrap_dim("cat", dim, first->ndim());
  Dims shape = first->shape;
  shape[at] = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Array& t = tensors[i];
    if (t.ndim() == 1 && t.shape[0] == 0) continue;
    bool fits = t.ndim() == shape.size;
    for (int d = 0; d < shape.size && fits; ++d) fits = d == at || t.shape[d] == first->shape[d];
    check(fits, ErrorKind::runtime, "cat: tensor {} has shape {}, which differs from {} in a dim other than {}",
          static_cast<int64_t>(i), t.shape, first->shape, at);
    shape[at] += t.shape[at];
  }
  Array out = empty(shape, dtype);
  int64_t start = 0;
  for (const Array& t : tensors) {
    if (t.ndim() == 1 && t.shape[0] == 0) continue;
    Array part(out);
    part.shape[at] = t.shape[at];
    part.offset += start * out.strides[at];
    start += t.shape[at];
    if (t.numel()) copy_(part, operand(t));
  }
  out.storage->version = 0;
  return out;
}

}  // namespace tg::ops
