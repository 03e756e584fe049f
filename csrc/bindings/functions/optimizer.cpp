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
  bind<&ops::rmsprop_step>(
      "rmsprop_step",
      "params, grads, square_avgs, momentum_buffers, grad_avgs, lr, alpha, eps, weight_decay, momentum, maximize",
      "One RMSprop step over all parameters.");
  bind<&ops::adagrad_step>("adagrad_step", "params, grads, sums, lr, eps, weight_decay, maximize",
                           "One Adagrad step over all parameters.");
  bind<&ops::adadelta_step>("adadelta_step", "params, grads, square_avgs, acc_deltas, lr, rho, eps, weight_decay, maximize",
                            "One Adadelta step over all parameters.");
  bind<&ops::nadam_step>("nadam_step",
                         "params, grads, exp_avgs, exp_avg_sqs, lr, lr_gradient, beta1, beta2, eps, weight_decay, shrink, "
                         "inverse_root, maximize",
                         "One NAdam step over all parameters.");
  bind<&ops::radam_step>("radam_step",
                         "params, grads, exp_avgs, exp_avg_sqs, lr, beta1, beta2, eps, weight_decay, shrink, plain, maximize",
                         "One RAdam step over all parameters.");
  bind<&ops::adamax_step>("adamax_step", "params, grads, exp_avgs, exp_infs, lr, beta1, beta2, eps, weight_decay, maximize",
                          "One Adamax step over all parameters.");
  bind<&ops::total_norm>("total_norm", "tensors, p", "The norm of all tensors taken as one vector; p is 1, 2 or inf.");
  bind<&ops::scale_all_>("scale_all_", "tensors, factor", "Multiplies every tensor by the factor, in place.");
}

}  // namespace tg::py
