// Reductions: which dims are kept, which are gathered, and one kernel call.
#include "ops/reduce.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

unsigned dim_mask(const char* op, const std::optional<Dims>& dims, int ndim) {
  if (!dims || dims->size == 0) return (1u << ndim) - 1;  // no dims, or an empty list: all of them, as in PyTorch
  unsigned mask = 0;
  for (int64_t d : *dims) {
    const int dim = wrap_dim(op, d, ndim);
    if (ndim == 0) continue;
    check(!(mask >> dim & 1), ErrorKind::runtime, "{}: dim {} occurs twice in {}", op, dim, *dims);
    mask |= 1u << dim;
  }
  return mask;
}

void append(int& ndim, int64_t* shape, int64_t* strides, int64_t size, int64_t stride) {
  if (size == 1) return;
  if (ndim && strides[ndim - 1] == stride * size) {
    shape[ndim - 1] *= size;
    strides[ndim - 1] = stride;
  } else {
    shape[ndim] = size;
    strides[ndim++] = stride;
  }
}

}  // namespace

Array reduce(ReduceOp op, const Array& input, const std::optional<Dims>& dims, bool keepdim) {
  const char* name = name_of(op);
  const unsigned mask = dim_mask(name, dims, input.ndim());
  if (op == ReduceOp::deviations) check_floating("var", input);
  const bool squares = op == ReduceOp::sum_squares, adds = op == ReduceOp::sum || op == ReduceOp::prod || squares;
  const Array x = squares && !is_floating(input.dtype) && input.dtype != DType::i64 ? cast(input, DType::i64) : input;
  DType dtype = adds && !is_floating(x.dtype) ? DType::i64 : x.dtype;
  if (op == ReduceOp::argmax || op == ReduceOp::argmin) dtype = DType::i64;
  if (op == ReduceOp::any || op == ReduceOp::all) dtype = DType::b8;

  Reduction r;
  Dims out_shape, kept_shape;
  bool gathers_nothing = false;
  for (int i = 0; i < x.ndim(); ++i) {
    const int64_t size = x.shape[i];
    if (mask >> i & 1) {
      append(r.reduced_ndim, r.reduced_shape, r.reduced_strides, size, x.strides[i]);
      gathers_nothing |= size == 0;
      if (keepdim) out_shape.push(1);
    } else {
      append(r.kept_ndim, r.kept_shape, r.kept_strides, size, x.strides[i]);
      out_shape.push(size);
    }
  }
  Array out = empty(out_shape, dtype);
  if (out.numel() == 0) return out;
  const bool has_identity = adds || op == ReduceOp::deviations || op == ReduceOp::any || op == ReduceOp::all;
  check(has_identity || !gathers_nothing, ErrorKind::index,
        "{}: a tensor of shape {} has no elements to reduce and {} has no identity", name, x.shape, name);
  r.out = out.data();
  r.in = x.data();
  r.out_dtype = out.dtype;
  r.in_dtype = x.dtype;
  const auto kernel = table_of(x.device()).reduce[static_cast<int>(op)];
  if (!kernel) missing_kernel(name, x.dtype);
  const Status status = kernel(launch_on(x.device()), r);
  if (status.code == Status::missing) missing_kernel(name, x.dtype);
  raise_unless_ok(name, status);
  return out;
}

Array mean(const Array& x, const std::optional<Dims>& dims, bool keepdim) {
  check_floating("mean", x);
  Array out = reduce(ReduceOp::sum, x, dims, keepdim);
  const unsigned mask = dim_mask("mean", dims, x.ndim());
  double count = 1;
  for (int i = 0; i < x.ndim(); ++i)
    if (mask >> i & 1) count *= static_cast<double>(x.shape[i]);
  Operand divisor{Operand::real, nullptr, {count, 0}};
  binary_(BinaryOp::div, out, divisor);
  out.storage->version = 0;
  return out;
}

Array sum_to(const Array& x, const Dims& shape) {
  if (x.shape == shape) return x;
  const int lead = x.ndim() - shape.size;
  check(lead >= 0, ErrorKind::runtime, "sum_to: shape {} cannot be summed to {}", x.shape, shape);
  Dims dims;
  for (int i = 0; i < x.ndim(); ++i) {
    const int64_t size = i < lead ? 1 : shape[i - lead];
    check(size == 1 || size == x.shape[i], ErrorKind::runtime, "sum_to: shape {} cannot be summed to {}", x.shape, shape);
    if (i < lead || (size == 1 && x.shape[i] != 1)) dims.push(i);
  }
  if (dims.size == 0) return x;
  Array out = reduce(ReduceOp::sum, x, dims, true);
  return view(out, shape);
}

}  // namespace tg::ops
