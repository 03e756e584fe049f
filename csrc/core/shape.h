// Dims: a short list of sizes or strides with inline room, and the arithmetic of shapes.
#pragma once
#include <cstring>
#include <string>

#include "core/error.h"
#include "kernels/views.h"

namespace tg {

struct Dims {
  int size = 0;
  int64_t at[max_dims];

  Dims() = default;
  Dims(std::initializer_list<int64_t> values) {
    for (int64_t v : values) at[size++] = v;
  }
  Dims(int count, const int64_t* values) : size(count) { std::memcpy(at, values, sizeof(int64_t) * count); }
  int64_t& operator[](int i) { return at[i]; }
  int64_t operator[](int i) const { return at[i]; }
  const int64_t* begin() const { return at; }
  const int64_t* end() const { return at + size; }
  void push(int64_t v) {
    check(size < max_dims, ErrorKind::runtime, "tilegrad tensors have at most {} dimensions", max_dims);
    at[size++] = v;
  }
  bool operator==(const Dims& o) const { return size == o.size && !std::memcmp(at, o.at, sizeof(int64_t) * size); }
};

std::string to_text(const Dims& dims);  // "(2, 3)"

// The number of elements; an overflow of int64 is a MemoryError, a negative size a RuntimeError.
int64_t element_count(const Dims& shape);
Dims contiguous_strides(const Dims& shape);

// The shape two operands broadcast to; `op` is named in the error.
Dims broadcast_shapes(const char* op, const Dims& a, const Dims& b);

// A dim in [-ndim, ndim) made non-negative. A 0-d tensor accepts -1 and 0, as in PyTorch.
int wrap_dim(const char* op, int64_t dim, int ndim);

}  // namespace tg
