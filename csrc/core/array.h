// Array: what a tensor is without autograd: storage, where in it, shape, strides, element type. Copying an Array copies the
// description and shares the storage.
#pragma once
#include <cstring>
#include <utility>

#include "core/allocator.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "core/storage.h"

namespace tg {

struct Array {
  Storage* storage = nullptr;
  int64_t offset = 0;  // elements
  DType dtype = DType::f32;
  Dims shape, strides;  // strides in elements

  Array() = default;
  Array(const Array& o) : storage(o.storage), offset(o.offset), dtype(o.dtype) {
    copy_dims(o);
    retain(storage);
  }
  Array(Array&& o) noexcept : storage(std::exchange(o.storage, nullptr)), offset(o.offset), dtype(o.dtype) { copy_dims(o); }
  Array& operator=(Array o) noexcept {
    std::swap(storage, o.storage);
    offset = o.offset;
    dtype = o.dtype;
    copy_dims(o);
    return *this;
  }
  ~Array() { release(storage); }

  int ndim() const { return shape.size; }
  Device device() const { return storage->device; }
  int64_t numel() const {
    uint64_t n = 1;  // sizes beside a 0 may be huge: unsigned numbers wrap
    for (int i = 0; i < shape.size; ++i) n *= static_cast<uint64_t>(shape.at[i]);
    return static_cast<int64_t>(n);
  }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype); }
  bool contiguous() const {
    int64_t n = 1;
    for (int i = shape.size; i--;) {
      if (shape.at[i] != 1 && strides.at[i] != n) return shape_has_zero();
      n *= shape.at[i];
    }
    return true;
  }
  char* data() const { return storage->data + offset * size_of(dtype); }
  template <class T> T* as() const { return reinterpret_cast<T*>(data()); }

 private:
  void copy_dims(const Array& o) {
    shape.size = o.shape.size;
    strides.size = o.strides.size;
    for (int i = 0; i < shape.size; ++i) shape.at[i] = o.shape.at[i], strides.at[i] = o.strides.at[i];
  }
  bool shape_has_zero() const {
    for (int64_t d : shape)
      if (d == 0) return true;
    return false;
  }
};

Array empty(const Dims& shape, DType dtype);
Array empty_strided(const Dims& shape, const Dims& strides, DType dtype);  // storage as large as the strides reach
Array empty_like(const Array& x);                                          // same shape and dtype; keeps a dense layout
Array empty_like(const Array& x, DType dtype);

// Do two different indexes reach the same element? Such an array cannot be written in place.
bool has_overlap(const Array& x);
// Are the elements one gapless block in some order of the dims?
bool is_dense(const Array& x);

}  // namespace tg
