// Softmax and cross entropy: ops over rows (softmax.cpp, cross_entropy.cpp).
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array softmax(const Array& x, int64_t dim);
Array logsumexp(const Array& x, int64_t dim);  // the dim goes away
Array softmax_backward(const Array& y, const Array& dy, int64_t dim);
Array log_softmax(const Array& x, int64_t dim);
Array log_softmax_backward(const Array& y, const Array& dy, int64_t dim);
std::tuple<Array, Array> cross_entropy(const Array& logits, const Array& target, const std::optional<Array>& weight,
                                       int64_t ignore_index, double label_smoothing);
// (the mean or the sum of the losses; log-sum-exp per row; if asked for, the gradient of the first for the logits, else empty)
std::tuple<Array, Array, Array> cross_entropy_reduced(const Array& logits, const Array& target,
                                                      const std::optional<Array>& weight, int64_t ignore_index,
                                                      double label_smoothing, bool mean, bool with_gradient);
Array cross_entropy_backward(const Array& dloss, const Array& logits, const Array& target, const std::optional<Array>& weight,
                             const Array& lse, int64_t ignore_index, double label_smoothing);

}  // namespace tg::ops
