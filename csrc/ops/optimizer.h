// Optimiser steps: one call over all parameters.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

void sgd_step(std::vector<Array>& parameters, const std::vector<Array>& gradients,
              const std::optional<std::vector<Array>>& momentum_buffers, double lr, double momentum, double dampening,
              double weight_decay, bool nesterov, bool maximize, bool first_step);
void adam_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, std::vector<Array>& exp_avgs,
               std::vector<Array>& exp_avg_sqs, const std::optional<std::vector<Array>>& max_exp_avg_sqs, double lr,
               double beta1, double beta2, double eps, double weight_decay, int64_t step, bool decoupled, bool amsgrad,
               bool maximize);

}  // namespace tg::ops
