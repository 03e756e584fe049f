// Rows whose elements do not lie side by side, for the kernels that take them (softmax.cpp): x (outer, n, inner) normalised over
// its middle dim has outer * inner rows of n elements, `inner` elements apart. Such rows carry the row stride -inner.
#pragma once
#include "kernels/views.h"

namespace tg {

inline Rows rows_across(void* data, DType dtype, int64_t outer, int64_t n, int64_t inner) {
  Rows r;
  r.data = data, r.dtype = dtype;
  r.rows = outer * inner, r.cols = n, r.row_stride = -inner;
  return r;
}
inline bool lie_across(const Rows& r) { return r.row_stride < 0; }
inline constexpr int64_t longest_across = 2048;  // elements of such a row that the kernels take

}  // namespace tg
