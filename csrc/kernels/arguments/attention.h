// What the attention kernels are given.
#pragma once
#include "kernels/arguments/random.h"
#include "kernels/views.h"

namespace tg {

// A tensor (batch, heads, rows, features) in any layout whose features lie side by side.
struct Heads {
  void* data = nullptr;
  int64_t batch_stride = 0, head_stride = 0, row_stride = 0;
};

// out = softmax(scale * q k^T + mask) v for every batch and head; `groups` heads of k and v, each shared by heads / groups
// neighbouring heads of q. A stride of 0 repeats.
struct Attention {
  DType dtype = DType::f32;  // of q, k, v, out and their gradients
  int64_t batch = 0, heads = 0, groups = 0;
  int64_t rows = 0, cols = 0;  // queries, keys
  int64_t size = 0, value_size = 0;
  Heads q, k, v, out;
  void* lse = nullptr;  // log-sum-exp of every row of scores, (batch, heads, rows) of the compute type; -infinity without a key
  double scale = 1;
  bool causal = false;         // row i sees keys 0..i
  const void* mask = nullptr;  // bool: true takes part; or the compute type: added to the scores
  DType mask_dtype = DType::b8;
  int64_t mask_strides[4] = {};  // batch, head, row, col
  // A weight is dropped with this probability: the one of (b, h, row, col) by element ((b heads + h) rows + row) cols4 + col
  // of the stream, with cols4 = cols rounded up to a multiple of 4.
  double dropout = 0;
  Random random;
};

struct AttentionGradients { Heads dout, dq, dk, dv; };

}  // namespace tg
