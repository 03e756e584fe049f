// What the int8 linear layer is given.
#pragma once
#include "kernels/views.h"

namespace tg {

// y = activation(x w^T + bias), w in int8. A panel is 16 outputs; four neighbouring inputs of one output lie side by side:
// weight[panel][k / 4][output % 16][k % 4], filled up with zeros.
struct QuantizedLinear {
  static constexpr int64_t panel = 16, terms = 4, most_inputs = 65536;  // more could overflow the 32-bit sums
  const float* x = nullptr;                                             // (rows, inputs), contiguous
  int64_t rows = 0, inputs = 0, outputs = 0;
  const int8_t* weight = nullptr;
  const float* scale = nullptr;   // (panels * 16): w = scale * weight
  const int32_t* sums = nullptr;  // (panels * 16): of weight over the inputs
  const float* bias = nullptr;    // (outputs) or null
  Activation activation = Activation::none;
  float* y = nullptr;  // (rows, outputs), contiguous
  int64_t panels() const { return (outputs + panel - 1) / panel; }
  int64_t steps() const { return (inputs + terms - 1) / terms; }
  int64_t panel_bytes() const { return steps() * panel * terms; }
};

}  // namespace tg
