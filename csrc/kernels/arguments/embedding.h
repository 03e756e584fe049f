// What the kernel of the embedding's gradient is given.
#pragma once
#include "kernels/views.h"

namespace tg {

struct EmbeddingBackward {   // dweight[index[i], :] += dy[i, :], in the order of i
  void* dweight = nullptr;   // (rows, cols), all of it is written
  const void* dy = nullptr;  // (count, cols)
  DType dtype = DType::f32;
  const int64_t* index = nullptr;  // count numbers in [0, rows)
  int64_t rows = 0, cols = 0, count = 0;
  int64_t padding_idx = -1;   // this row stays zero
  bool by_frequency = false;  // divide each row by how often it was picked
};

}  // namespace tg
