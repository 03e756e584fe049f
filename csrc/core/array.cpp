#include "core/array.h"

namespace tg {

Array empty(const Dims& shape, DType dtype) {
  Array a;
  const int64_t count = element_count(shape);
  a.storage = allocate(static_cast<size_t>(count) * size_of(dtype));
  a.dtype = dtype;
  a.shape = shape;
  a.strides = contiguous_strides(shape);
  return a;
}

Array empty_strided(const Dims& shape, const Dims& strides, DType dtype) {
  Array a;
  int64_t reach = element_count(shape) ? 1 : 0;
  for (int i = 0; i < shape.size && reach; ++i) reach += (shape[i] - 1) * strides[i];
  a.storage = allocate(static_cast<size_t>(reach) * size_of(dtype));
  a.dtype = dtype;
  a.shape = shape;
  a.strides = strides;
  return a;
}

Array empty_like(const Array& x, DType dtype) {
  if (x.contiguous() || !is_dense(x)) return empty(x.shape, dtype);
  return empty_strided(x.shape, x.strides, dtype);
}
Array empty_like(const Array& x) { return empty_like(x, x.dtype); }

namespace {
// Dims of more than one element, sorted by stride, smallest first.
int sorted_dims(const Array& x, int order[max_dims]) {
  int n = 0;
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.shape[i] == 1) continue;
    int j = n++;
    for (; j > 0 && x.strides[order[j - 1]] > x.strides[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  return n;
}
}  // namespace

bool has_overlap(const Array& x) {
  int order[max_dims];
  if (x.numel() == 0) return false;
  const int n = sorted_dims(x, order);
  int64_t reach = 0;  // the largest offset the smaller strides get to
  for (int i = 0; i < n; ++i) {
    const int64_t stride = x.strides[order[i]];
    if (stride <= reach) return true;
    reach += stride * (x.shape[order[i]] - 1);
  }
  return false;
}

bool is_dense(const Array& x) {
  int order[max_dims];
  const int n = sorted_dims(x, order);
  int64_t block = 1;
  for (int i = 0; i < n; ++i) {
    if (x.strides[order[i]] != block) return false;
    block *= x.shape[order[i]];
  }
  return true;
}

}  // namespace tg
