// Losses: checks, shapes, and the views of the kernels.
#include "ops/loss.h"

#include "kernels/kernel_table.h"
#include "ops/copy.h"

namespace tg::ops {
namespace {

void check_pair(const char* op, const Array& x, const Array& y) {
  check_floating(op, x);
  check(x.shape == y.shape && x.dtype == y.dtype, ErrorKind::runtime, "{}: input {} {} and target {} {} differ", op, x.shape,
        x.dtype, y.shape, y.dtype);
}

// The arrays an op's view points into: contiguous, alive as long as the view.
struct Soft {
  Array x, t;
  std::optional<Array> w;
  SoftCrossEntropy view;

  Soft(const char* op, const Array& logits, const Array& target, const std::optional<Array>& weight) {
    check_pair(op, logits, target);
    check(logits.ndim() == 2, ErrorKind::runtime, "{}: expected logits of shape (N, C), got {}", op, logits.shape);
    x = contiguous(logits), t = contiguous(target);
    if (weight) {
      check(weight->ndim() == 1 && weight->shape[0] == x.shape[1] && weight->dtype == x.dtype, ErrorKind::runtime,
            "{}: expected a weight of shape ({},) and dtype {}, got {} {}", op, x.shape[1], x.dtype, weight->shape,
            weight->dtype);
      w = contiguous(*weight);
    }
    view.logits = rows_of(x), view.target = rows_of(t);
    view.logits.rows = view.target.rows = x.shape[0];
    view.weight = w ? w->data() : nullptr;
  }
};

PointwiseLoss pointwise(const char* op, const Array& x, const Array& y, int64_t kind, double parameter, int64_t reduction) {
  check(kind >= 0 && kind <= PointwiseLoss::kl_div_log, ErrorKind::value, "{}: there is no loss number {}", op, kind);
  check(reduction >= 0 && reduction <= 2, ErrorKind::value, "{}: there is no reduction number {}", op, reduction);
  PointwiseLoss a;
  a.kind = static_cast<PointwiseLoss::Kind>(kind);
  a.dtype = x.dtype;
  a.count = x.numel();
  a.x = x.data(), a.y = y.data();
  a.parameter = parameter;
  a.scale = reduction == 2 ? 1 / static_cast<double>(x.numel()) : 1;
  return a;
}

struct Ctc {
  Array x, targets, inputs, lengths, offsets;
  CtcLoss view;

  Ctc(const char* op, const Array& log_probs, const Array& targets0, const Array& input_lengths, const Array& target_lengths,
      int64_t blank, bool zero_infinity) {
    check(log_probs.dtype == DType::f32 || log_probs.dtype == DType::f64, ErrorKind::runtime,
          "{}: expected float32 or float64 log_probs, got {}", op, log_probs.dtype);
    check(log_probs.ndim() == 3, ErrorKind::runtime, "{}: expected log_probs of shape (T, N, C), got {}", op, log_probs.shape);
    view.time = log_probs.shape[0], view.batch = log_probs.shape[1], view.classes = log_probs.shape[2];
    check(blank >= 0 && blank < view.classes, ErrorKind::runtime, "{}: blank must be in label range 0..{}, got {}", op,
          view.classes - 1, blank);
    for (const Array* a : {&targets0, &input_lengths, &target_lengths})
      check(a->dtype == DType::i64, ErrorKind::runtime, "{}: expected int64 targets and lengths, got {}", op, a->dtype);
    for (const Array* a : {&input_lengths, &target_lengths})
      check(a->ndim() == 1 && a->shape[0] == view.batch, ErrorKind::runtime,
            "{}: input_lengths and target_lengths must be of size batch_size {}, got shape {}", op, view.batch, a->shape);
    check(targets0.ndim() == 1 || (targets0.ndim() == 2 && targets0.shape[0] == view.batch), ErrorKind::runtime,
          "{}: expected targets of shape ({}, S) or (sum of target_lengths,), got {}", op, view.batch, targets0.shape);
    x = contiguous(log_probs), targets = contiguous(targets0);
    inputs = contiguous(input_lengths), lengths = contiguous(target_lengths);
    offsets = empty({view.batch}, DType::i64);
    const bool padded = targets.ndim() == 2;
    int64_t next = 0, longest = 0;
    for (int64_t n = 0; n < view.batch; ++n) {
      const int64_t steps = inputs.as<int64_t>()[n], size = lengths.as<int64_t>()[n];
      check(steps >= 0 && steps <= view.time, ErrorKind::runtime,
            "{}: expected input_lengths to lie in 0..{}, got {} for sample {}", op, view.time, steps, n);
      const int64_t room = padded ? targets.shape[1] : targets.shape[0] - next;
      check(size >= 0 && size <= room, ErrorKind::runtime,
            "{}: sample {} has a target length of {}, but targets of shape {} leave {}", op, n, size, targets.shape, room);
      offsets.as<int64_t>()[n] = padded ? n * targets.shape[1] : next;
      next += size;
      longest = longest < size ? size : longest;
      for (int64_t s = 0; s < size; ++s) {
        const int64_t label = targets.as<int64_t>()[offsets.as<int64_t>()[n] + s];
        check(label >= 0 && label < view.classes, ErrorKind::index, "{}: label {} of sample {} is out of range for {} classes",
              op, label, n, view.classes);
      }
    }
    check(padded || next == targets.shape[0], ErrorKind::runtime,
          "{}: the target_lengths add up to {}, but there are {} targets", op, next, targets.shape[0]);
    view.dtype = x.dtype;
    view.states = 2 * longest + 1;
    view.blank = blank;
    view.log_probs = x.data();
    view.targets = targets.as<int64_t>(), view.offsets = offsets.as<int64_t>();
    view.input_lengths = inputs.as<int64_t>(), view.target_lengths = lengths.as<int64_t>();
    view.zero_infinity = zero_infinity;
  }
};

}  // namespace

std::tuple<Array, Array> soft_cross_entropy(const Array& logits, const Array& target, const std::optional<Array>& weight) {
  Soft s("soft_cross_entropy", logits, target, weight);
  const DType compute = compute_type(s.x.dtype);
  Array loss = empty({s.x.shape[0]}, compute), lse = empty({s.x.shape[0]}, compute);
  s.view.loss = loss.data(), s.view.lse = lse.data();
  const auto kernel = table_of(s.x.device()).soft_cross_entropy;
  if (!kernel) missing_kernel("soft_cross_entropy", s.x.dtype);
  if (s.x.shape[0]) raise_unless_ok("soft_cross_entropy", kernel(launch_on(s.x.device()), s.view));
  return {std::move(loss), std::move(lse)};
}

Array soft_cross_entropy_backward(const Array& dloss, const Array& logits, const Array& target,
                                  const std::optional<Array>& weight, const Array& lse) {
  const char* op = "soft_cross_entropy_backward";
  Soft s(op, logits, target, weight);
  const Array dl = contiguous(dloss);
  check(dl.shape == lse.shape && dl.dtype == lse.dtype && lse.ndim() == 1 && lse.shape[0] == s.x.shape[0] &&
            lse.dtype == compute_type(s.x.dtype),
        ErrorKind::runtime, "{}: dloss {} {} and lse {} {} do not fit logits of shape {}", op, dl.shape, dl.dtype, lse.shape,
        lse.dtype, s.x.shape);
  const Array kept = contiguous(lse);
  s.view.lse = kept.data();
  Array dx = empty(s.x.shape, s.x.dtype);
  Rows rows = rows_of(dx);
  const auto kernel = table_of(s.x.device()).soft_cross_entropy_backward;
  if (!kernel) missing_kernel(op, s.x.dtype);
  if (dx.numel()) raise_unless_ok(op, kernel(launch_on(s.x.device()), s.view, dl.data(), rows));
  return dx;
}

Array pointwise_loss(const Array& x0, const Array& y0, int64_t kind, double parameter, int64_t reduction) {
  const char* op = "pointwise_loss";
  check_pair(op, x0, y0);
  const Array x = contiguous(x0), y = contiguous(y0);
  PointwiseLoss a = pointwise(op, x, y, kind, parameter, reduction);
  Array out = reduction == 0 ? empty(x.shape, x.dtype) : empty({}, compute_type(x.dtype));
  (reduction == 0 ? a.out : a.sum) = out.data();
  if (reduction == 0 && a.count == 0) return out;
  const KernelTable& table = table_of(x.device());
  if (!table.pointwise_loss) missing_kernel(op, x.dtype);
  Launch launch = launch_on(x.device());
  const Array scratch = scratch_for(launch, table.pointwise_loss_workspace(a));
  const Status status = table.pointwise_loss(launch, a);
  check(status.code != Status::index_out_of_range, ErrorKind::runtime,
        "binary_cross_entropy: all elements of input should be between 0 and 1; apply a sigmoid first, or use "
        "binary_cross_entropy_with_logits");
  raise_unless_ok(op, status);
  return out.dtype == x.dtype ? out : cast(out, x.dtype);
}

Array pointwise_loss_backward(const Array& dloss, const Array& x0, const Array& y0, int64_t kind, double parameter,
                              int64_t reduction) {
  const char* op = "pointwise_loss_backward";
  check_pair(op, x0, y0);
  const Array x = contiguous(x0), y = contiguous(y0), dl = contiguous(dloss);
  check(dl.dtype == x.dtype && (reduction == 0 ? dl.shape == x.shape : dl.numel() == 1), ErrorKind::runtime,
        "{}: dloss {} {} does not fit an input {} {}", op, dl.shape, dl.dtype, x.shape, x.dtype);
  const PointwiseLoss a = pointwise(op, x, y, kind, parameter, reduction);
  Array dx = empty(x.shape, x.dtype);
  const auto kernel = table_of(x.device()).pointwise_loss_backward;
  if (!kernel) missing_kernel(op, x.dtype);
  if (a.count) raise_unless_ok(op, kernel(launch_on(x.device()), a, dl.data(), reduction == 0, dx.data()));
  return dx;
}

std::tuple<Array, Array> ctc_loss(const Array& log_probs, const Array& targets, const Array& input_lengths,
                                  const Array& target_lengths, int64_t blank, bool zero_infinity) {
  Ctc c("ctc_loss", log_probs, targets, input_lengths, target_lengths, blank, zero_infinity);
  Array loss = empty({c.view.batch}, c.x.dtype), alpha = empty({c.view.batch, c.view.time, c.view.states + 2}, c.x.dtype);
  c.view.loss = loss.data(), c.view.alpha = alpha.data();
  const KernelTable& table = table_of(c.x.device());
  if (!table.ctc_loss) missing_kernel("ctc_loss", c.x.dtype);
  Launch launch = launch_on(c.x.device());
  const Array scratch = scratch_for(launch, table.ctc_loss_workspace(c.view));
  if (c.view.batch) raise_unless_ok("ctc_loss", table.ctc_loss(launch, c.view));
  return {std::move(loss), std::move(alpha)};
}

Array ctc_loss_backward(const Array& dloss, const Array& log_probs, const Array& targets, const Array& input_lengths,
                        const Array& target_lengths, const Array& loss, const Array& alpha, int64_t blank, bool zero_infinity) {
  Ctc c("ctc_loss_backward", log_probs, targets, input_lengths, target_lengths, blank, zero_infinity);
  const Dims samples{c.view.batch}, table_shape{c.view.batch, c.view.time, c.view.states + 2};
  check(dloss.shape == samples && loss.shape == samples && alpha.shape == table_shape && dloss.dtype == c.x.dtype &&
            loss.dtype == c.x.dtype && alpha.dtype == c.x.dtype,
        ErrorKind::runtime, "ctc_loss_backward: dloss {}, loss {} and alpha {} do not fit log_probs of shape {}", dloss.shape,
        loss.shape, alpha.shape, c.x.shape);
  const Array dl = contiguous(dloss), kept_loss = contiguous(loss), kept_alpha = contiguous(alpha);
  c.view.loss = kept_loss.data(), c.view.alpha = kept_alpha.data();
  Array dx = empty(c.x.shape, c.x.dtype);
  const KernelTable& table = table_of(c.x.device());
  if (!table.ctc_loss_backward) missing_kernel("ctc_loss_backward", c.x.dtype);
  Launch launch = launch_on(c.x.device());
  const Array scratch = scratch_for(launch, table.ctc_loss_workspace(c.view));
  if (dx.numel()) raise_unless_ok("ctc_loss_backward", table.ctc_loss_backward(launch, c.view, dl.data(), dx.data()));
  return dx;
}

}  // namespace tg::ops
