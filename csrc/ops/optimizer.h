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

// Adaptive steps of other kinds; what their numbers mean stands in kernels/cpu/optimizer/steps.cpp.
using OptionalArrays = std::optional<std::vector<Array>>;
void rmsprop_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& square_avgs,
                  const OptionalArrays& momentum_buffers, const OptionalArrays& grad_avgs, double lr, double alpha, double eps,
                  double weight_decay, double momentum, bool maximize);
void adagrad_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& sums,
                  double lr, double eps, double weight_decay, bool maximize);
void adadelta_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& square_avgs,
                   const std::vector<Array>& acc_deltas, double lr, double rho, double eps, double weight_decay, bool maximize);
void nadam_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& exp_avgs,
                const std::vector<Array>& exp_avg_sqs, double lr, double lr_gradient, double beta1, double beta2, double eps,
                double weight_decay, double shrink, double inverse_root, bool maximize);
void radam_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& exp_avgs,
                const std::vector<Array>& exp_avg_sqs, double lr, double beta1, double beta2, double eps, double weight_decay,
                double shrink, bool plain, bool maximize);
void adamax_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& exp_avgs,
                 const std::vector<Array>& exp_infs, double lr, double beta1, double beta2, double eps, double weight_decay,
                 bool maximize);

// Gradient clipping: the norm of all tensors taken as one vector (p is 1, 2 or infinity), and one factor for all.
double total_norm(const std::vector<Array>& tensors, double p);
void scale_all_(std::vector<Array>& tensors, double factor);

}  // namespace tg::ops
