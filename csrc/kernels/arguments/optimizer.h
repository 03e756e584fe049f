// What the kernels of the optimisers are given beside the parameters.
#pragma once
#include "kernels/views.h"

namespace tg {

struct SgdStep {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize, first_step;
};
struct AdamStep {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;
  bool decoupled, amsgrad, maximize;
};
// RMSprop, Adagrad, Adadelta, NAdam, RAdam, Adamax: what each makes of these numbers stands in cpu/optimizer/steps.cpp.
struct AdaptiveStep {
  enum Algorithm : int64_t { rmsprop, adagrad, adadelta, nadam, radam, adamax } algorithm;
  double lr, lr_gradient = 0;  // step sizes of this step, corrections included
  double beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  double shrink = 1;        // p is multiplied by it first: decoupled weight decay
  double inverse_root = 1;  // factor of sqrt(v)
  bool maximize = false, plain = false, centred = false;
};

}  // namespace tg
