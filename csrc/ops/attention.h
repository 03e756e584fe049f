// Scaled dot product attention.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// (output, log-sum-exp of every row of scores)
std::tuple<Array, Array> attention(const Array& query, const Array& key, const Array& value, const std::optional<Array>& mask,
                                   double scale, bool is_causal, double dropout_p, int64_t seed, int64_t offset);
// (dquery, dkey, dvalue)
std::tuple<Array, Array, Array> attention_backward(const Array& dy, const Array& query, const Array& key, const Array& value,
                                                   const std::optional<Array>& mask, const Array& out, const Array& lse,
                                                   double scale, bool is_causal, double dropout_p, int64_t seed,
                                                   int64_t offset);

}  // namespace tg::ops
