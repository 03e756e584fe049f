// Losses beside cross_entropy of class numbers (rows.h).
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// Loss and log-sum-exp of every row; target and logits (N, C).
std::tuple<Array, Array> soft_cross_entropy(const Array& logits, const Array& target, const std::optional<Array>& weight);
Array soft_cross_entropy_backward(const Array& dloss, const Array& logits, const Array& target,
                                  const std::optional<Array>& weight, const Array& lse);

// kind: the number of a PointwiseLoss::Kind. reduction: "none", "sum" or "mean" as 0, 1, 2.
Array pointwise_loss(const Array& x, const Array& y, int64_t kind, double parameter, int64_t reduction);
Array pointwise_loss_backward(const Array& dloss, const Array& x, const Array& y, int64_t kind, double parameter,
                              int64_t reduction);

// Loss of every sample, and alpha for the backward pass. targets: (N, S) padded, or all labels in one row.
std::tuple<Array, Array> ctc_loss(const Array& log_probs, const Array& targets, const Array& input_lengths,
                                  const Array& target_lengths, int64_t blank, bool zero_infinity);
Array ctc_loss_backward(const Array& dloss, const Array& log_probs, const Array& targets, const Array& input_lengths,
                        const Array& target_lengths, const Array& loss, const Array& alpha, int64_t blank, bool zero_infinity);

}  // namespace tg::ops
