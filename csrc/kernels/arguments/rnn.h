// What the kernels of recurrent layers are given: one layer, one direction, the steps of a whole sequence.
//
// Rows of all steps lie one after the other: first the `batch_sizes[0]` rows of step 0, then those of step 1, ... Row b of
// every step belongs to sequence b, and no step has more rows than the one before.
#pragma once
#include "kernels/views.h"

namespace tg {

struct Recurrent {
  DType dtype = DType::f32;
  int64_t steps = 0, batch = 0, rows = 0, hidden = 0;  // T, B (of the first step), N = all rows, H
  const int64_t* batch_sizes = nullptr;                // T numbers, or null: `batch` at every step
  bool reverse = false;                                // from the last step to the first
  bool relu = false;                                   // rnn: relu instead of tanh
  const void* weight_hh = nullptr;                     // (gates * H, H), or null: its product with h is in `z` already
  // One step may bring x's part as well, and `z` then comes in empty: x (B, features), weight_ih (gates * H, features) and the
  // biases (gates * H), without bias_hn.
  const void *x = nullptr, *weight_ih = nullptr, *bias = nullptr;
  int64_t features = 0;
  const void* bias_hn = nullptr;  // gru: (H), added to the product for n; or null
  const void* h0 = nullptr;       // (B, H)
  const void* c0 = nullptr;       // (B, H), lstm
  // Comes in with what x gives each gate, biases included, and goes out with what the backward pass wants:
  //   lstm (N, 5 H)  i f g o c;  gru (N, 4 H)  r z n and the product for n;  rnn: nothing, z is y itself
  void* z = nullptr;
  void* y = nullptr;   // (N, H)
  void* hn = nullptr;  // (B, H)
  void* cn = nullptr;  // (B, H), lstm
};

struct RecurrentBackward {
  Recurrent forward;          // z and y as the forward pass left them; hn and cn are not used
  const void* dy = nullptr;   // (N, H), or null for zeros
  const void* dhn = nullptr;  // (B, H), or null
  const void* dcn = nullptr;  // (B, H), or null
  // The gradient before the gates' functions: lstm (N, 4 H) i f g o;  rnn (N, H);  gru (N, 4 H): n as x sees it, then r z n as
  // h sees them.
  void* dz = nullptr;
  int64_t dz_stride = 0;
  void* h_before = nullptr;  // (N, H): the h that each row started from; or null
  bool wants_dh0 = true;
  void* dh0 = nullptr;  // (B, H); without weight_hh only what does not go through it
  void* dc0 = nullptr;  // (B, H), lstm
};

}  // namespace tg
