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

}  // namespace tg
