// What the kernels that move elements to other places of one dim, or keep a part of each matrix, are given.
#pragma once
#include "kernels/views.h"

namespace tg {

// Both contiguous, seen as (outer, size, inner); elements of element_bytes, whose type does not matter.
struct AlongDim {
  void* out = nullptr;
  const void* in = nullptr;
  int element_bytes = 4;
  int64_t outer = 1, size = 0, inner = 1;
  int64_t shift = 0;  // of roll: 0 <= shift < size
};

// Contiguous matrices (count, rows, cols).
struct Triangle {
  void* out = nullptr;
  const void* in = nullptr;
  int element_bytes = 4;
  int64_t count = 1, rows = 0, cols = 0;
  int64_t diagonal = 0;  // the last one that is kept
  bool lower = true;
};

}  // namespace tg
