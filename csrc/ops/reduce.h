// Reductions; no dims = all of them.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array reduce(ReduceOp op, const Array& x, const std::optional<Dims>& dims, bool keepdim);
Array mean(const Array& x, const std::optional<Dims>& dims, bool keepdim);
Array sum_to(const Array& x, const Dims& shape);  // un-broadcast: sums the dims that were broadcast

const char* name_of(ReduceOp op);

}  // namespace tg::ops
