// Matrix products: PyTorch's shape rules for 1-d, 2-d and batched operands, and the fused linear layer.
#include "ops/matmul.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

Matrix matrix_of(const Array& x, int row_dim, int col_dim) {
  return Matrix{x.data(), x.dtype, x.shape[row_dim], x.shape[col_dim], x.strides[row_dim], x.strides[col_dim]};
}

void check_operands(const char* op, const Array& x, const Array& y) {
  check(x.dtype == y.dtype, ErrorKind::runtime, "{}: expected two tensors of one dtype, got {} and {}", op, x.dtype, y.dtype);
  check(x.dtype != DType::b8, ErrorKind::runtime, "{}: bool tensors have no matrix product", op);
}

}  // namespace

void run_matmul(const char* op, const Matmul& product, Device device) {
  const KernelTable& table = table_of(device);
  if (!table.matmul) missing_kernel(op, product.c.dtype);
  Launch launch = launch_on(device);
  const Array scratch = scratch_for(launch, table.matmul_workspace ? table.matmul_workspace(product, launch.threads) : 0);
  const Status status = table.matmul(launch, product);
  if (status.code == Status::missing) missing_kernel(op, product.c.dtype);
  raise_unless_ok(op, status);
}

Array matmul(const Array& x0, const Array& y0) {
  check_operands("matmul", x0, y0);
  check(x0.ndim() && y0.ndim(), ErrorKind::runtime, "matmul: both arguments need at least 1 dim, got {}-d and {}-d", x0.ndim(),
        y0.ndim());
  const Array x = x0.ndim() == 1 ? unsqueeze(x0, 0) : x0;  // (1, K)
  const Array y = y0.ndim() == 1 ? unsqueeze(y0, 1) : y0;  // (K, 1)
  const int xn = x.ndim(), yn = y.ndim();
  check(x.shape[xn - 1] == y.shape[yn - 2], ErrorKind::runtime,
        "matmul: shapes {} and {} do not fit: {} columns against {} rows", x0.shape, y0.shape, x.shape[xn - 1],
        y.shape[yn - 2]);

  const Dims batch =
      xn == 2 && yn == 2 ? Dims{} : broadcast_shapes("matmul", Dims(xn - 2, x.shape.at), Dims(yn - 2, y.shape.at));
  Dims shape = batch;
  shape.push(x.shape[xn - 2]);
  shape.push(y.shape[yn - 1]);
  Array out = empty(shape, x.dtype);

  Matmul product;
  product.a = matrix_of(x, xn - 2, xn - 1);
  product.b = matrix_of(y, yn - 2, yn - 1);
  product.c = matrix_of(out, batch.size, batch.size + 1);
  product.c.col_stride = 1;
  auto stride = [&](const Array& z, int d) {
    const int own = d - (batch.size - (z.ndim() - 2));
    return own < 0 || z.shape[own] == 1 ? int64_t{0} : z.strides[own];
  };
  // a stack of rows times one matrix is one tall product
  if (batch.size && yn == 2 && x.contiguous()) {
    product.a.rows = product.c.rows = out.shape[batch.size] * element_count(batch);
    product.a.row_stride = product.a.cols;
    product.c.row_stride = product.c.cols;
  } else {
    for (int d = 0; d < batch.size; ++d) {
      if (batch[d] == 1) continue;
      const int at = product.batch_ndim++;
      product.batch_shape[at] = batch[d];
      product.a_strides[at] = stride(x, d);
      product.b_strides[at] = stride(y, d);
      product.c_strides[at] = out.strides[d];
    }
  }
  if (out.numel()) run_matmul("matmul", product, out.device());
  if (x0.ndim() == 1) out = squeeze(out, out.ndim() - 2);
  if (y0.ndim() == 1) out = squeeze(out, out.ndim() - 1);
  return out;
}

namespace {
Array linear_into(const Array& x, const Array& weight, const std::optional<Array>& bias, Activation activation,
                  Array* pre_activation) {
  check_operands("linear", x, weight);
  check(weight.ndim() == 2, ErrorKind::runtime, "linear: expected a 2-d weight (out_features, in_features), got shape {}",
        weight.shape);
  check(x.ndim() >= 1, ErrorKind::runtime, "linear: expected an input of at least 1 dim, got a 0-d tensor");
  const int64_t in = weight.shape[1], out_features = weight.shape[0];
  check(x.shape[x.ndim() - 1] == in, ErrorKind::runtime,
        "linear: an input of shape {} has {} features, the weight of shape {} expects {}", x.shape, x.shape[x.ndim() - 1],
        weight.shape, in);
  Array bias_row;
  if (bias) {
    check(bias->dtype == x.dtype, ErrorKind::runtime, "linear: expected a bias of dtype {}, got {}", x.dtype, bias->dtype);
    check(bias->ndim() == 1 && bias->shape[0] == out_features, ErrorKind::runtime,
          "linear: expected a bias of shape ({},), got {}", out_features, bias->shape);
    bias_row = contiguous(*bias);
  }
  Dims shape = x.shape;
  shape[x.ndim() - 1] = out_features;
  Array out = empty(shape, x.dtype);
  if (pre_activation) *pre_activation = empty(shape, x.dtype);
  if (out.numel() == 0) return out;

  const int64_t rows = out.numel() / out_features;
  const Array flat = x.ndim() == 2 ? x : reshape(x, {rows, in});
  Matmul product;
  product.a = matrix_of(flat, 0, 1);
  product.b = matrix_of(weight, 1, 0);  // (in, out): the transposed weight
  product.c = Matrix{out.data(), out.dtype, rows, out_features, out_features, 1};
  product.bias = bias ? bias_row.data() : nullptr;
  product.activation = activation;
  product.pre_activation = pre_activation ? pre_activation->data() : nullptr;
  run_matmul("linear", product, out.device());
  return out;
}
}  // namespace

Array linear(const Array& x, const Array& weight, const std::optional<Array>& bias, Activation activation) {
  return linear_into(x, weight, bias, activation, nullptr);
}

std::tuple<Array, Array> linear_keep(const Array& x, const Array& weight, const std::optional<Array>& bias,
                                     Activation activation) {
  Array before;
  Array out = linear_into(x, weight, bias, activation, &before);
  return {std::move(out), std::move(before)};
}

}  // namespace tg::ops
