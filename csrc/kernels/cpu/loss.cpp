// cross_entropy: log_softmax and negative log likelihood of class numbers in one pass over the logits.
//
// With log p[c] = x[c] - lse, lse = log sum_k e^x[k], class weights w (1 if none), target t and smoothing s over C classes:
//
//   loss     = (1 - s) w[t] (lse - x[t])  +  s/C sum_c w[c] (lse - x[c])
//   dx[c]    = dloss (  p[c] ((1 - s) w[t] + s/C sum_k w[k])  -  s/C w[c]  -  [c = t] (1 - s) w[t]  )
//
// for each of N rows of C logits; a row whose target is ignore_index has loss 0 and gradient 0. Averaging over the batch is
// left to the caller, who passes its derivative in `dloss`.
//
// Where the caller knows dloss beforehand (one number for all rows: the loss is a mean or a sum), the forward pass leaves the
// gradient, too. The row is in the cache and its exponentials are there: e^(x - max) waits in dx for the sum.
//
//     x row   [ ........ ]  -> max -> dx row [ e^(x - max) ] -> sum, loss -> dx row [ p scale (..) - .. ]
//
// Cost: one exponential a logit each way; the forward pass reads the logits twice (the second time from the cache) and
// writes two numbers a row; the backward pass reads and writes each logit once. Both in one: one exponential, one read and one
// write of memory a logit. Memory sets the pace.
//
// Numerics: computed in float32 (double for double); loss and lse are kept in that type. lse - x[t] is formed as
// (max - x[t]) + log sum e^(x - max), which does not cancel when the logits are large.
#include "kernels/arguments/loss.h"
#include "core/parallel.h"
#include "kernels/cpu/streamed_rows.h"

namespace tg::TG_ISA {

// What all rows of one call share.
template <class S> struct Classes {
  using T = Compute<S>;
  const S* weight;    // null: all 1
  int64_t count;      // C
  T hard, soft;       // 1 - s, s/C
  T soft_weight_sum;  // s/C sum_c w[c]

  explicit Classes(const CrossEntropy& loss) : weight(static_cast<const S*>(loss.weight)), count(loss.logits.cols) {
    hard = T(1 - loss.label_smoothing);
    soft = count > 0 ? T(loss.label_smoothing / double(count)) : T(0);
    const T sum = sum_of<T>(count, [&](int64_t i, int64_t n) TG_INLINE_LAMBDA { return weights(i, n); });
    soft_weight_sum = soft != 0 ? soft * sum : T(0);  // 0 times an infinite weight is not wanted
  }
  // Lanes past n are 0.
  TG_INLINE Vec<T> weights(int64_t i, int64_t n) const {
    static constexpr T ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    return weight ? Vec<T>::load(weight + i, n) : Vec<T>::load(ones, n);
  }
  TG_INLINE T weight_of(int64_t c) const {
    if (!weight) return 1;
    if constexpr (sizeof(S) == 2) return to_float(weight[c]);
    else return weight[c];
  }
};

template <class T> struct RowLoss { T loss, lse; };

template <class S> static void zero_row(S* dx, int64_t cols) { __builtin_memset(dx, 0, size_t(cols) * sizeof(S)); }

template <class S> static RowLoss<Compute<S>> loss_of_row(const S* x, int64_t target, const Classes<S>& classes) {
  using T = Compute<S>;
  const T high = max_of<T>(x, classes.count);
  const Vec<T> shift(high);
  const T log_sum = log_of(sum_of<T, 2>(classes.count, [&](int64_t i, int64_t n) TG_INLINE_LAMBDA {
    return exp(Vec<T>::load(x + i, n, -Format<T>::infinity) - shift);
  }));
  T target_logit;
  if constexpr (sizeof(S) == 2) target_logit = to_float(x[target]);
  else target_logit = x[target];
  T loss = classes.hard * classes.weight_of(target) * ((high - target_logit) + log_sum);
  if (classes.soft != 0) {
    // sum_c w[c] (max - x[c]); lanes past the end hold max, hence 0.
    const T below = sum_of<T>(classes.count, [&](int64_t i, int64_t n) TG_INLINE_LAMBDA {
      return classes.weights(i, n) * (shift - Vec<T>::load(x + i, n, high));
    });
    loss += classes.soft * below + classes.soft_weight_sum * log_sum;
  }
  return {loss, high + log_sum};
}

// The loss of a row and its gradient times `scale`. The exponentials wait in `kept`, which may be dx.
template <bool streamed, class S>
static RowLoss<Compute<S>> loss_and_gradient_through(const S* x, S* dx, Compute<S>* kept, int64_t target, Compute<S> scale,
                                                     const Classes<S>& classes) {
  using T = Compute<S>;
  const T high = max_of<T>(x, classes.count);
  const Vec<T> shift(high);
  T target_logit;
  if constexpr (sizeof(S) == 2) target_logit = to_float(x[target]);
  else target_logit = x[target];
  const T sum = sum_of<T, 2>(classes.count, [&](int64_t i, int64_t n) TG_INLINE_LAMBDA {
    const Vec<T> e = exp(Vec<T>::load(x + i, n, -Format<T>::infinity) - shift);
    e.store(kept + i, n);
    return e;
  });
  const T log_sum = log_of(sum), target_weight = classes.hard * classes.weight_of(target);
  T loss = target_weight * ((high - target_logit) + log_sum);
  if (classes.soft != 0) {
    const T below = sum_of<T>(classes.count, [&](int64_t i, int64_t n) TG_INLINE_LAMBDA {
      return classes.weights(i, n) * (shift - Vec<T>::load(x + i, n, high));
    });
    loss += classes.soft * below + classes.soft_weight_sum * log_sum;
  }
  const Vec<T> factor(scale * (target_weight + classes.soft_weight_sum) / sum), soft(scale * classes.soft);
  const auto gradient = [&](int64_t i, int64_t n) TG_INLINE_LAMBDA {
    const Vec<T> g = Vec<T>::load(kept + i, n) * factor;
    return classes.soft != 0 ? g - soft * classes.weights(i, n) : g;
  };
  const Vec<T> at_target = gradient(target, 1) - Vec<T>(scale * target_weight);  // before dx may overwrite kept
  for_each_register<T, 4>(classes.count,
                          [&](int64_t i, int64_t n, int) TG_INLINE_LAMBDA { put<streamed>(gradient(i, n), dx + i, n); });
  if constexpr (streamed) stream_end();  // before the one below
  at_target.store(dx + target, 1);
  return {loss, high + log_sum};
}

template <class S>
static void gradient_of_row(const S* x, S* dx, int64_t target, Compute<S> lse, Compute<S> dloss, const Classes<S>& classes);

template <bool streamed, class S>
static RowLoss<Compute<S>> loss_and_gradient_of_row(const S* x, S* dx, int64_t target, Compute<S> scale,
                                                    const Classes<S>& classes) {
  using T = Compute<S>;
  if constexpr (streamed) {
    T kept[kept_elements];
    if (classes.count <= kept_elements) return loss_and_gradient_through<true>(x, dx, kept, target, scale, classes);
    return loss_and_gradient_through<false>(x, dx, dx, target, scale, classes);
  } else if constexpr (sizeof(S) == sizeof(T)) {
    return loss_and_gradient_through<false>(x, dx, dx, target, scale, classes);
  } else {  // in dx the exponentials would be rounded to 16 bits
    T kept[4096];
    if (classes.count <= 4096) return loss_and_gradient_through<false>(x, dx, kept, target, scale, classes);
    const RowLoss<T> r = loss_of_row<S>(x, target, classes);
    gradient_of_row<S>(x, dx, target, r.lse, scale, classes);
    return r;
  }
}

template <class S>
static void gradient_of_row(const S* x, S* dx, int64_t target, Compute<S> lse, Compute<S> dloss, const Classes<S>& classes) {
  using T = Compute<S>;
  const T target_weight = classes.hard * classes.weight_of(target);
  const Vec<T> shift(lse), upstream(dloss), total(target_weight + classes.soft_weight_sum), soft(classes.soft);
  auto gradient = [&](Vec<T> logits, int64_t i, int64_t n, T own) TG_INLINE_LAMBDA {
    Vec<T> g = exp(logits - shift) * total;
    if (classes.soft != 0) g -= soft * classes.weights(i, n);
    return upstream * (g - Vec<T>(own));
  };
  const Vec<T> at_target = gradient(Vec<T>::load(x + target, 1), target, 1, target_weight);  // before dx may overwrite x
  for_each_register<T, 2>(classes.count, [&](int64_t i, int64_t n, int) TG_INLINE_LAMBDA {
    gradient(Vec<T>::load(x + i, n), i, n, T(0)).store(dx + i, n);
  });
  at_target.store(dx + target, 1);
}

// --- rows of the table ------------------------------------------------------------------------------------------------
static Status check_targets(const CrossEntropy& loss) {
  for (int64_t i = 0; i < loss.logits.rows; ++i) {
    const int64_t t = loss.target[i];
    if (t != loss.ignore_index && (t < 0 || t >= loss.logits.cols)) return {Status::index_out_of_range, t};
  }
  return {};
}

Status cross_entropy(const Launch& launch, const CrossEntropy& loss) {
  if (const Status status = check_targets(loss); status.code != Status::ok) return status;
  return visit_floating(loss.logits.dtype, [&]<class S>() {
    using T = Compute<S>;
    const Classes<S> classes(loss);
    T* const out = static_cast<T*>(loss.loss);
    T* const lse = static_cast<T*>(loss.lse);
    const bool streamed = loss.dlogits && rows_are_streamed<S>(loss.dlogits, loss.logits.rows, loss.logits.cols);
    parallel_for(launch, loss.logits.rows, rows_per_piece(loss.logits.cols), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t target = loss.target[i], cols = loss.logits.cols;
        const bool ignored = target == loss.ignore_index;
        const S* const x = row<const S>(loss.logits, i);
        S* const dx = loss.dlogits ? static_cast<S*>(loss.dlogits) + i * cols : nullptr;
        RowLoss<T> r{};
        if (!ignored && streamed) r = loss_and_gradient_of_row<sizeof(S) == sizeof(T)>(x, dx, target, T(loss.scale), classes);
        else if (!ignored && dx) r = loss_and_gradient_of_row<false>(x, dx, target, T(loss.scale), classes);
        else if (!ignored) r = loss_of_row(x, target, classes);
        else if (dx) zero_row(dx, cols);
        out[i] = r.loss;
        lse[i] = r.lse;
      }
    });
    return Status{};
  });
}

Status cross_entropy_backward(const Launch& launch, const CrossEntropy& loss, const void* dloss, const Rows& dlogits) {
  if (const Status status = check_targets(loss); status.code != Status::ok) return status;
  return visit_floating(loss.logits.dtype, [&]<class S>() {
    using T = Compute<S>;
    const Classes<S> classes(loss);
    const T* const lse = static_cast<const T*>(loss.lse);
    const T* const upstream = static_cast<const T*>(dloss);
    parallel_for(launch, loss.logits.rows, rows_per_piece(loss.logits.cols), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t target = loss.target[i];
        if (target == loss.ignore_index) zero_row(row<S>(dlogits, i), loss.logits.cols);
        else gradient_of_row(row<const S>(loss.logits, i), row<S>(dlogits, i), target, lse[i], upstream[i], classes);
      }
    });
    return Status{};
  });
}

}  // namespace tg::TG_ISA
