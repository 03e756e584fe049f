// Indexing by numbers.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array index_select(const Array& x, int64_t dim, const Array& index);
Array index_add(const Array& dy, int64_t dim, const Array& index, int64_t size);  // zeros of `size` along dim, plus dy's slices
void index_copy_(Array& x, int64_t dim, const Array& index, const Array& source);
Array wrap_index(const Array& index, int64_t size, int64_t dim);  // negative made positive; IndexError names the value
Array cat(const std::vector<Array>& tensors, int64_t dim);

}  // namespace tg::ops
