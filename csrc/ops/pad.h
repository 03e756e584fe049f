// Padding.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// `before` and `after` have one entry per dim, negative ones cut; mode: 0 constant, 1 reflect, 2 replicate, 3 circular.
Array pad(const Array& x, const Dims& before, const Dims& after, int64_t mode, const Operand& value);
Array pad_backward(const Array& dy, const Dims& before, const Dims& after, int64_t mode);  // the sums over what pad repeated

}  // namespace tg::ops
