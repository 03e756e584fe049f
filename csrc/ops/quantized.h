// Layers whose weights are int8.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// x (..., inputs) float32, weight (panels, inputs / 4, 16, 4) int8, scale and sums (panels * 16), bias (outputs).
Array quantized_linear(const Array& x, const Array& weight, const Array& scale, const Array& sums,
                       const std::optional<Array>& bias, int64_t outputs, Activation activation);

}  // namespace tg::ops
