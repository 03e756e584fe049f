// Creation and copies.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array full(const Dims& shape, const Operand& value, DType dtype);
Array zeros(const Dims& shape, DType dtype);
Array clone(const Array& x);                  // keeps a dense layout
Array contiguous(const Array& x);             // x itself where it is contiguous already
Array cast(const Array& x, DType dtype);      // always a new array
void copy_(Array& x, const Operand& source);  // broadcasts and converts

}  // namespace tg::ops
