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
};

}  // namespace tg
