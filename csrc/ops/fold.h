// Sliding windows as columns, and their sum back into images.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// (N, C, H, W) to (N, C kh kw, windows); all options have two entries.
Array unfold(const Array& x, const Dims& kernel, const Dims& dilation, const Dims& padding, const Dims& stride);
// (N, C kh kw, windows) to (N, C, H, W): what overlaps is added, window place by window place.
Array fold(const Array& columns, const Dims& size, const Dims& kernel, const Dims& dilation, const Dims& padding,
           const Dims& stride);

}  // namespace tg::ops
