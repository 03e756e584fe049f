// cross_entropy against probabilities, over rows of C logits, without storing log_softmax.
//
//   loss = sum_c w[c] t[c] (lse - x[c]),    lse = log sum_k e^x[k]          w: class weights, 1 if none
//   dx[c] = dloss (e^(x[c] - lse) sum_k w[k] t[k]  -  w[c] t[c])
//
// Shapes: logits, targets, dx (N, C); loss, lse (N). Rows are walked while they are in the first cache: three times forward (the
// maximum, the exponentials, the loss), twice backward.
//
// Cost: one exponential a logit each way. Numerics: computed in float32 (double for double); lse - x[c] is formed as
// (max - x[c]) + log sum e^(x - max), which does not cancel when the logits are large. Targets are taken as they are: they need
// not add up to 1. A target of 0 counts nothing, even where the logit is -infinity.
#include "core/parallel.h"
#include "kernels/arguments/loss.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

// w[c] t[c]; 0 past the end.
template <class S> TG_INLINE Vec<Compute<S>> share(const S* target, const S* weight, int64_t i, int64_t n) {
  using T = Compute<S>;
  const Vec<T> t = Vec<T>::load(target + i, n);
  return weight ? t * Vec<T>::load(weight + i, n) : t;
}

template <class S> static void soft_row(const SoftCrossEntropy& a, int64_t r) {
  using T = Compute<S>;
  const S *const x = row<const S>(a.logits, r), *const target = row<const S>(a.target, r);
  const S* const weight = static_cast<const S*>(a.weight);
  const int64_t n = a.logits.cols;
  const T high = max_of<T>(x, n);
  const Vec<T> shift(high);
  const T log_sum = log_of(sum_of<T, 2>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    return exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - shift);
  }));
  const Vec<T> rest(log_sum), zero(T(0));
  static_cast<T*>(a.lse)[r] = high + log_sum;
  static_cast<T*>(a.loss)[r] = sum_of<T>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    const Vec<T> s = share(target, weight, i, count);
    return select(s == zero, zero, s * ((shift - Vec<T>::load(x + i, count)) + rest));
  });
}

template <class S> static void soft_row_backward(const SoftCrossEntropy& a, Compute<S> dloss, S* dx, int64_t r) {
  using T = Compute<S>;
  const S *const x = row<const S>(a.logits, r), *const target = row<const S>(a.target, r);
  const S* const weight = static_cast<const S*>(a.weight);
  const int64_t n = a.logits.cols;
  const Vec<T> total(sum_of<T>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA { return share(target, weight, i, count); }));
  const Vec<T> lse(static_cast<const T*>(a.lse)[r]), upstream(dloss);
  for_each_register<T, 2>(n, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    const Vec<T> p = exp(Vec<T>::load(x + i, count) - lse);
    (upstream * (p * total - share(target, weight, i, count))).store(dx + i, count);
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status soft_cross_entropy(const Launch& launch, const SoftCrossEntropy& a) {
  return visit_floating(a.logits.dtype, [&]<class S>() {
    parallel_for(launch, a.logits.rows, rows_per_piece(a.logits.cols), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) soft_row<S>(a, r);
    });
    return Status{};
  });
}

Status soft_cross_entropy_backward(const Launch& launch, const SoftCrossEntropy& a, const void* dloss, const Rows& dlogits) {
  return visit_floating(a.logits.dtype, [&]<class S>() {
    parallel_for(launch, a.logits.rows, rows_per_piece(a.logits.cols), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        soft_row_backward<S>(a, static_cast<const Compute<S>*>(dloss)[r], row<S>(dlogits, r), r);
    });
    return Status{};
  });
}

}  // namespace tg::TG_ISA
