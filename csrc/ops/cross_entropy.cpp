// Fused cross entropy of class numbers: one loss per row, and the row's log-sum-exp for the backward pass.
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/rows.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

CrossEntropy arguments(const char* op, const Array& logits, const Array& target, const std::optional<Array>& weight,
                       int64_t ignore_index, double label_smoothing) {
  check_floating(op, logits);
  check(logits.ndim() == 2, ErrorKind::runtime, "{}: expected logits of shape (N, C), got {}", op, logits.shape);
  check(target.dtype == DType::i64, ErrorKind::runtime, "{}: expected int64 class numbers as target, got {}", op, target.dtype);
  check(target.ndim() == 1 && target.shape[0] == logits.shape[0], ErrorKind::value,
        "{}: logits of shape {} need a target of shape ({},), got {}", op, logits.shape, logits.shape[0], target.shape);
  check(label_smoothing >= 0 && label_smoothing <= 1, ErrorKind::runtime, "{}: label_smoothing must lie in [0, 1], got {}", op,
        label_smoothing);
  if (weight)
    check(weight->ndim() == 1 && weight->shape[0] == logits.shape[1] && weight->dtype == logits.dtype, ErrorKind::runtime,
          "{}: expected a weight of shape ({},) and dtype {}, got {} {}", op, logits.shape[1], logits.dtype, weight->shape,
          weight->dtype);
  CrossEntropy c;
  c.logits = rows_of(logits);
  c.logits.rows = logits.shape[0];
  c.target = target.as<int64_t>();
  c.weight = weight ? weight->data() : nullptr;
  c.ignore_index = ignore_index;
  c.label_smoothing = label_smoothing;
  return c;
}

void check_target(Status status, int64_t classes) {
  check(status.code != Status::index_out_of_range, ErrorKind::index, "cross_entropy: target {} is out of range for {} classes",
        status.detail, classes);
  raise_unless_ok("cross_entropy", status);
}

}  // namespace

std::tuple<Array, Array> cross_entropy(const Array& logits, const Array& target, const std::optional<Array>& weight,
                                       int64_t ignore_index, double label_smoothing) {
  const Array x = contiguous(logits), t = contiguous(target);
  std::optional<Array> w;
  if (weight) w = contiguous(*weight);
  CrossEntropy c = arguments("cross_entropy", x, t, w, ignore_index, label_smoothing);
  Array loss = empty({x.shape[0]}, compute_type(x.dtype)), lse = empty({x.shape[0]}, compute_type(x.dtype));
  c.loss = loss.data();
  c.lse = lse.data();
  const auto kernel = table_of(x.device()).cross_entropy;
  if (!kernel) missing_kernel("cross_entropy", x.dtype);
  if (x.shape[0]) check_target(kernel(launch_on(x.device()), c), x.shape[1]);
  return {std::move(loss), std::move(lse)};
}

namespace {

// What the mean divides by: the weights of the targets that count, or their number.
double counted_weight(const Array& target, const std::optional<Array>& weight, int64_t ignore_index) {
  const int64_t* const t = target.as<int64_t>();
  if (!weight) {
    int64_t count = 0;
    for (int64_t i = 0; i < target.numel(); ++i) count += t[i] != ignore_index;
    return double(count);
  }
  const Array wide = weight->dtype == DType::f64 ? *weight : cast(*weight, DType::f64);
  const double* const w = wide.as<double>();
  double sum = 0;
  for (int64_t i = 0; i < target.numel(); ++i) {
    if (t[i] == ignore_index) continue;
    check_target(t[i] < 0 || t[i] >= wide.numel() ? Status{Status::index_out_of_range, t[i]} : Status{}, wide.numel());
    sum += w[t[i]];
  }
  return sum;
}

}  // namespace

std::tuple<Array, Array, Array> cross_entropy_reduced(const Array& logits, const Array& target,
                                                      const std::optional<Array>& weight, int64_t ignore_index,
                                                      double label_smoothing, bool mean, bool with_gradient) {
  const Array x = contiguous(logits), t = contiguous(target);
  std::optional<Array> w;
  if (weight) w = contiguous(*weight);
  CrossEntropy c = arguments("cross_entropy", x, t, w, ignore_index, label_smoothing);
  const DType compute = compute_type(x.dtype);
  Array losses = empty({x.shape[0]}, compute), lse = empty({x.shape[0]}, compute);
  Array dlogits = with_gradient ? empty(x.shape, x.dtype) : Array();
  const double divisor = mean ? counted_weight(t, w, ignore_index) : 1;
  c.loss = losses.data();
  c.lse = lse.data();
  c.dlogits = with_gradient ? dlogits.data() : nullptr;
  c.scale = 1 / divisor;
  const auto kernel = table_of(x.device()).cross_entropy;
  if (!kernel) missing_kernel("cross_entropy", x.dtype);
  if (x.shape[0]) check_target(kernel(launch_on(x.device()), c), x.shape[1]);
  Array loss = reduce(ReduceOp::sum, losses, std::nullopt, false);
  if (mean) binary_(BinaryOp::div, loss, Operand{Operand::real, nullptr, {divisor, 0}});
  loss.storage->version = 0;
  return {std::move(loss), std::move(lse), with_gradient ? std::move(dlogits) : empty({0}, x.dtype)};
}

Array cross_entropy_backward(const Array& dloss, const Array& logits, const Array& target, const std::optional<Array>& weight,
                             const Array& lse, int64_t ignore_index, double label_smoothing) {
  const Array x = contiguous(logits), t = contiguous(target), dl = contiguous(dloss);
  std::optional<Array> w;
  if (weight) w = contiguous(*weight);
  CrossEntropy c = arguments("cross_entropy_backward", x, t, w, ignore_index, label_smoothing);
  check(dl.shape == lse.shape && dl.dtype == lse.dtype, ErrorKind::runtime,
        "cross_entropy_backward: dloss {} {} and lse {} {} differ", dl.shape, dl.dtype, lse.shape, lse.dtype);
  c.lse = lse.data();
  Array dx = empty(x.shape, x.dtype);
  Rows rows = rows_of(dx);
  rows.rows = dx.shape[0];
  const auto kernel = table_of(x.device()).cross_entropy_backward;
  if (!kernel) missing_kernel("cross_entropy_backward", x.dtype);
  if (dx.numel()) check_target(kernel(launch_on(x.device()), c, dl.data(), rows), x.shape[1]);
  return dx;
}

}  // namespace tg::ops
