// Matrix products.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

void run_matmul(const char* op, const Matmul& product, Device device);  // with the scratch that it asks for
Array matmul(const Array& x, const Array& y);
Array linear(const Array& x, const Array& weight, const std::optional<Array>& bias, Activation activation);
std::tuple<Array, Array> linear_keep(const Array& x, const Array& weight, const std::optional<Array>& bias,
                                     Activation activation);

}  // namespace tg::ops
