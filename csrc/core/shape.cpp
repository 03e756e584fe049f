#include "core/shape.h"

namespace tg {

std::string to_text(const Dims& dims) {
  std::string text = "(";
  for (int i = 0; i < dims.size; ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + (dims.size == 1 ? ",)" : ")");
}

int64_t element_count(const Dims& shape) {
  int64_t n = 1;
  bool overflow = false, empty = false;
  for (int64_t d : shape) {
    check(d >= 0, ErrorKind::runtime, "negative size {} in shape {}", d, shape);
    empty |= d == 0;
    overflow |= __builtin_mul_overflow(n, d, &n);
  }
  if (empty) return 0;
  check(!overflow && n < (int64_t{1} << 60), ErrorKind::memory, "shape {} has more elements than memory can hold", shape);
  return n;
}

Dims contiguous_strides(const Dims& shape) {
  Dims strides;
  strides.size = shape.size;
  int64_t step = 1;
  for (int i = shape.size; i--;) {
    strides[i] = step;
    int64_t next;  // overflows only where another dim is empty: nobody walks these strides
    if (!__builtin_mul_overflow(step, shape[i] > 0 ? shape[i] : 1, &next)) step = next;
  }
  return strides;
}

Dims broadcast_shapes(const char* op, const Dims& a, const Dims& b) {
  Dims out;
  out.size = a.size > b.size ? a.size : b.size;
  for (int i = 0; i < out.size; ++i) {
    const int ia = i - (out.size - a.size), ib = i - (out.size - b.size);
    const int64_t x = ia < 0 ? 1 : a[ia], y = ib < 0 ? 1 : b[ib];
    check(x == y || x == 1 || y == 1, ErrorKind::runtime,
          "{}: shapes {} and {} cannot be broadcast together: sizes {} and {} differ at dim {} of the result and neither is 1",
          op, a, b, x, y, i);
    out[i] = x == 1 ? y : x;
  }
  return out;
}

int wrap_dim(const char* op, int64_t dim, int ndim) {
  const int range = ndim ? ndim : 1;
  check(dim >= -range && dim < range, ErrorKind::index,
        "{}: Dimension out of range (expected to be in range of [{}, {}], but got {})", op, -range, range - 1, dim);
  return static_cast<int>(dim < 0 ? dim + range : dim);
}

}  // namespace tg
