// Embeddings: rows of a table by number.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array embedding(const Array& weight, const Array& index, int64_t padding_idx, bool by_frequency);
Array embedding_backward(const Array& dy, const Array& index, int64_t rows, int64_t padding_idx, bool by_frequency);

}  // namespace tg::ops
