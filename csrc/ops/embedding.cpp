// Embeddings: the forward pass picks rows (index_select), the backward pass sums them by row of the table.
#include "ops/embedding.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/gather.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

void check_index_type(const char* op, const Array& index) {
  check(index.dtype == DType::i64, ErrorKind::type, "{}: expected int64 numbers, got {}", op, index.dtype);
}

}  // namespace

Array embedding(const Array& weight, const Array& index, int64_t, bool) {
  check_index_type("embedding", index);
  check(weight.ndim() == 2, ErrorKind::runtime, "embedding: 'weight' must be 2-D (num_embeddings, embedding_dim), got shape {}",
        weight.shape);
  const int64_t rows = weight.shape[0];
  if (index.numel()) {
    const Array low = reduce(ReduceOp::min, index, std::nullopt, false),
                high = reduce(ReduceOp::max, index, std::nullopt, false);
    const int64_t least = *low.as<int64_t>(), most = *high.as<int64_t>();
    check(least >= 0 && most < rows, ErrorKind::index, "embedding: index out of range in self: {} in a table of {} rows",
          least < 0 ? least : most, rows);
  }
  Dims shape = index.shape;
  shape.push(weight.shape[1]);
  return reshape(index_select(weight, 0, index.ndim() == 1 ? index : reshape(index, {index.numel()})), shape);
}

Array embedding_backward(const Array& dy, const Array& index, int64_t rows, int64_t padding_idx, bool by_frequency) {
  check_index_type("embedding_backward", index);
  check_floating("embedding_backward", dy);
  check(rows >= 0, ErrorKind::value, "embedding_backward: a table cannot have {} rows", rows);
  bool fits = dy.ndim() == index.ndim() + 1;
  for (int d = 0; d < index.ndim() && fits; ++d) fits = dy.shape[d] == index.shape[d];
  check(fits, ErrorKind::runtime, "embedding_backward: dy of shape {} does not fit an index of shape {}", dy.shape,
        index.shape);
  const Array in = contiguous(dy), numbers = contiguous(index);
  Array dweight = empty({rows, dy.shape[dy.ndim() - 1]}, dy.dtype);
  if (dweight.shape[1] == 0) return dweight;  // a table without columns may have any number of rows
  const KernelTable& table = table_of(dy.device());
  if (!table.embedding_backward) missing_kernel("embedding_backward", dy.dtype);
  EmbeddingBackward e;
  e.dweight = dweight.data(), e.dy = in.data(), e.dtype = dy.dtype;
  e.index = numbers.as<int64_t>();
  e.rows = rows, e.cols = dweight.shape[1], e.count = numbers.numel();
  e.padding_idx = padding_idx, e.by_frequency = by_frequency;
  Launch launch = launch_on(dy.device());
  const Array scratch = scratch_for(launch, table.embedding_backward_workspace(e));
  const Status status = table.embedding_backward(launch, e);
  check(status.code != Status::index_out_of_range, ErrorKind::index,
        "embedding_backward: index out of range in self: {} in a table of {} rows", status.detail, rows);
  raise_unless_ok("embedding_backward", status);
  return dweight;
}

}  // namespace tg::ops
