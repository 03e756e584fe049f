// Optimiser steps: the lines that make them Python functions.
#include "ops/optimizer.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_optimizer() {
  bind<&ops::sgd_step>("sgd_step",
                       "params, grads, momentum_buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first_step",
                       "One SGD step over all parameters.");
  bind<&ops::adam_step>("adam_step",
                        "params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, lr, beta1, beta2, eps, weight_decay, step, "
                        "decoupled, amsgrad, maximize",
                        "One Adam or AdamW step over all parameters.");
}

}  // namespace tg::py
