// What the kernels that address single elements are given.
#pragma once
#include "kernels/views.h"

namespace tg {

enum class ScatterOp : uint8_t { write, add, multiply, maximum, minimum };

// Elements of x by number along one dim, one for every element of the index:
//
//   element i = (i0, i1, ...) of the index stands for   x[sum_d i_d walk_d + index[i] step]
//
// walk is 0 for the indexed dim and x's stride for the others. The index is contiguous; dims are merged where all operands allow.
struct Positions {
  void* x = nullptr;
  void* values = nullptr;  // gather writes them, scatter reads them
  const int64_t* index = nullptr;
  DType dtype = DType::f32;
  ScatterOp op = ScatterOp::write;
  int ndim = 0;
  int64_t shape[max_dims], walk[max_dims], value_strides[max_dims];
  int64_t size = 0, step = 0;  // of x along the indexed dim
  bool fresh = false;          // x of scatter is a new copy, which an error throws away: no need to check all numbers first
};

// The places of the true elements of a contiguous mask, in order. The mask is cut into pieces of piece_elements; first the
// trues of each piece are counted, then each piece writes its places from starts[piece] on.
struct Nonzero {
  static constexpr int64_t piece_elements = 1 << 16;
  const bool* mask = nullptr;
  int ndim = 0;
  int64_t shape[max_dims], count = 0;  // count: elements of the mask
  int64_t* starts = nullptr;           // one for each piece; nonzero_count leaves its trues here
  int64_t* out = nullptr;              // (trues, ndim)
};

}  // namespace tg
