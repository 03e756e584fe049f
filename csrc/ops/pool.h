// Maximum pooling of the last 1 to 3 dims.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// Errors in PyTorch's words for windows that make no sense.
void check_windows(const char* op, const Dims& in, const Dims& kernel, const Dims& stride, const Dims& padding,
                   const Dims& dilation);

// The window of each dim; an empty `kernel` means adaptive windows that give the sizes `stride`.
Array max_pool(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
               bool ceil_mode);
// Also the place of each maximum in its plane, int64.
std::tuple<Array, Array> max_pool_with_indices(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding,
                                               const Dims& dilation, bool ceil_mode);
Array max_pool_backward(const Array& dy, const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding,
                        const Dims& dilation, bool ceil_mode);

}  // namespace tg::ops
