// What the kernels of padding are given.
#pragma once
#include "kernels/views.h"

namespace tg {

enum class PadMode : int32_t { constant, reflect, replicate, circular };

// Place j of a padded dim shows place j - before of the inner one, continued beyond its ends as the mode says. A negative
// `before` cuts. `padded` is contiguous. pad writes it; pad_backward reads it and adds it up in `inner`.
struct Pad {
  PadMode mode = PadMode::constant;
  DType dtype = DType::f32;
  int ndim = 1;
  int64_t shape[max_dims], padded_shape[max_dims], strides[max_dims], before[max_dims];  // shape and strides of the inner side
  int first_padded = 0;         // dims below this one have the same size on both sides
  const void* value = nullptr;  // what stands outside in constant mode
};

}  // namespace tg
