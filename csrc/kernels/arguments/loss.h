// What the kernels of the losses are given.
#pragma once
#include "kernels/views.h"

namespace tg {

struct CrossEntropy {               // fused log_softmax + negative log likelihood of class numbers, over the rows of `logits`
  Rows logits;                      // (N, C)
  const int64_t* target = nullptr;  // N class numbers
  const void* weight = nullptr;     // C class weights of the logits' dtype, or null
  void* loss = nullptr;             // N losses (0 where ignored), compute dtype
  void* lse = nullptr;              // N log-sum-exp values kept for the backward pass, compute dtype
  int64_t ignore_index = -100;
  double label_smoothing = 0;
  void* dlogits = nullptr;  // (N, C), contiguous, or null: the gradient of `scale` times the sum of the losses, made on the way
  double scale = 1;
};

struct SoftCrossEntropy {                // cross entropy of class probabilities, over the rows of `logits`
  Rows logits, target;                   // (N, C), one dtype
  const void* weight = nullptr;          // C class weights of the logits' dtype, or null
  void *loss = nullptr, *lse = nullptr;  // N each, compute dtype
};

struct PointwiseLoss {  // of x and y, `count` contiguous elements each; the formulas stand in cpu/pointwise_loss.cpp
  enum Kind : int64_t { mse, l1, smooth_l1, huber, bce, bce_with_logits, kl_div, kl_div_log } kind = mse;
  DType dtype = DType::f32;
  int64_t count = 0;
  const void *x = nullptr, *y = nullptr;
  void *out = nullptr,
       *sum = nullptr;              // one loss an element (dtype), or scale times their sum (compute dtype); the other is null
  double parameter = 1, scale = 1;  // beta or delta; backward, the factor of every derivative
};

struct CtcLoss {
  DType dtype = DType::f32;
  int64_t time = 0, batch = 0, classes = 0, states = 1, blank = 0;    // states: 2 * the longest target + 1
  const void* log_probs = nullptr;                                    // (time, batch, classes)
  const int64_t *targets = nullptr, *offsets = nullptr;               // sample n's labels begin at targets + offsets[n]
  const int64_t *input_lengths = nullptr, *target_lengths = nullptr;  // batch each
  void *loss = nullptr, *alpha = nullptr;                             // (batch), (batch, time, states + 2)
  bool zero_infinity = false;
};

}  // namespace tg
