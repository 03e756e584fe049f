// Optimiser steps over all parameters in one kernel call.
#include "ops/optimizer.h"

#include <limits>

#include "kernels/kernel_table.h"
#include "ops/copy.h"

namespace tg::ops {
namespace {

// Collects raw pointers for the kernel and checks that every buffer matches its parameter.
class Buffers {
 public:
  Buffers(const char* op, const std::vector<Array>& parameters, bool written = true) : op_(op), parameters_(parameters) {
    for (const Array& p : parameters) {
      check(p.dtype == parameters[0].dtype && (p.dtype == DType::f32 || p.dtype == DType::f64), ErrorKind::runtime,
            "{}: expected parameters of one dtype, float32 or float64, got {} and {}", op, parameters[0].dtype, p.dtype);
      check(p.contiguous(), ErrorKind::runtime, "{}: expected contiguous parameters, got strides {} for shape {}", op,
            p.strides, p.shape);
      if (written) check_writable(op, p, "");
      pointers_.push_back(p.data());
      sizes_.push_back(p.numel());
    }
  }
  std::vector<void*> matching(const char* what, const std::vector<Array>& buffers) const {
    check(buffers.size() == parameters_.size(), ErrorKind::value, "{}: {} parameters but {} {}", op_,
          static_cast<int64_t>(parameters_.size()), static_cast<int64_t>(buffers.size()), what);
    std::vector<void*> out;
    for (size_t i = 0; i < buffers.size(); ++i) {
      const Array &b = buffers[i], &p = parameters_[i];
      check(b.shape == p.shape && b.dtype == p.dtype && b.contiguous(), ErrorKind::runtime,
            "{}: {} {} has shape {} and dtype {}, its parameter {} and {}; both must be contiguous", op_, what,
            static_cast<int64_t>(i), b.shape, b.dtype, p.shape, p.dtype);
      out.push_back(b.data());
    }
    return out;
  }
  std::vector<void*> matching(const char* what, const std::optional<std::vector<Array>>& buffers) const {
    return buffers ? matching(what, *buffers) : std::vector<void*>();
  }
  ParameterList list() {
    ParameterList l;
    l.count = static_cast<int64_t>(pointers_.size());
    l.dtype = parameters_.empty() ? DType::f32 : parameters_[0].dtype;
    l.parameters = pointers_.data();
    l.sizes = sizes_.data();
    return l;
  }

 private:
  const char* op_;
  const std::vector<Array>& parameters_;
  std::vector<void*> pointers_;
  std::vector<int64_t> sizes_;
};

void run(const char* op, std::vector<Array>& parameters, const std::vector<Array>& gradients, const OptionalArrays& first,
         const OptionalArrays& second, const OptionalArrays& third, const AdaptiveStep& step) {
  if (parameters.empty()) return;
  Buffers buffers(op, parameters);
  const auto grads = buffers.matching("gradients", gradients);
  const auto one = buffers.matching("first buffers", first), two = buffers.matching("second buffers", second);
  const auto three = buffers.matching("third buffers", third);
  ParameterList list = buffers.list();
  list.gradients = grads.data();
  list.first = first ? one.data() : nullptr;
  list.second = second ? two.data() : nullptr;
  list.third = third ? three.data() : nullptr;
  const auto kernel = table_of(parameters[0].device()).adaptive;
  if (!kernel) missing_kernel(op, list.dtype);
  raise_unless_ok(op, kernel(launch_on(parameters[0].device()), list, step));
  for (Array& p : parameters) touch(p);
}

}  // namespace

void sgd_step(std::vector<Array>& parameters, const std::vector<Array>& gradients,
              const std::optional<std::vector<Array>>& momentum_buffers, double lr, double momentum, double dampening,
              double weight_decay, bool nesterov, bool maximize, bool first_step) {
  if (parameters.empty()) return;
  Buffers buffers("sgd_step", parameters);
  const auto grads = buffers.matching("gradients", gradients);
  std::vector<void*> first;
  if (momentum_buffers) first = buffers.matching("momentum_buffers", *momentum_buffers);
  check(momentum == 0 || momentum_buffers, ErrorKind::value, "sgd_step: momentum {} needs momentum_buffers", momentum);
  ParameterList list = buffers.list();
  list.gradients = grads.data();
  list.first = momentum_buffers ? first.data() : nullptr;
  const auto kernel = table_of(parameters[0].device()).sgd;
  if (!kernel) missing_kernel("sgd_step", list.dtype);
  raise_unless_ok("sgd_step", kernel(launch_on(parameters[0].device()), list,
                                     {lr, momentum, dampening, weight_decay, nesterov, maximize, first_step}));
  for (Array& p : parameters) touch(p);
}

void adam_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, std::vector<Array>& exp_avgs,
               std::vector<Array>& exp_avg_sqs, const std::optional<std::vector<Array>>& max_exp_avg_sqs, double lr,
               double beta1, double beta2, double eps, double weight_decay, int64_t step, bool decoupled, bool amsgrad,
               bool maximize) {
  if (parameters.empty()) return;
  Buffers buffers("adam_step", parameters);
  const auto grads = buffers.matching("gradients", gradients);
  const auto first = buffers.matching("exp_avgs", exp_avgs), second = buffers.matching("exp_avg_sqs", exp_avg_sqs);
  std::vector<void*> third;
  if (max_exp_avg_sqs) third = buffers.matching("max_exp_avg_sqs", *max_exp_avg_sqs);
  check(!amsgrad || max_exp_avg_sqs, ErrorKind::value, "adam_step: amsgrad needs max_exp_avg_sqs");
  ParameterList list = buffers.list();
  list.gradients = grads.data();
  list.first = first.data();
  list.second = second.data();
  list.third = max_exp_avg_sqs ? third.data() : nullptr;
  const auto kernel = table_of(parameters[0].device()).adam;
  if (!kernel) missing_kernel("adam_step", list.dtype);
  raise_unless_ok("adam_step", kernel(launch_on(parameters[0].device()), list,
                                      {lr, beta1, beta2, eps, weight_decay, step, decoupled, amsgrad, maximize}));
  for (Array& p : parameters) touch(p);
}

void rmsprop_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& square_avgs,
                  const OptionalArrays& momentum_buffers, const OptionalArrays& grad_avgs, double lr, double alpha, double eps,
                  double weight_decay, double momentum, bool maximize) {
  check(momentum == 0 || momentum_buffers, ErrorKind::value, "rmsprop_step: momentum {} needs momentum_buffers", momentum);
  AdaptiveStep step{AdaptiveStep::rmsprop, lr};
  step.beta1 = momentum, step.beta2 = alpha, step.eps = eps, step.weight_decay = weight_decay;
  step.maximize = maximize, step.centred = grad_avgs.has_value();
  run("rmsprop_step", parameters, gradients, momentum_buffers, square_avgs, grad_avgs, step);
}

void adagrad_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& sums,
                  double lr, double eps, double weight_decay, bool maximize) {
  AdaptiveStep step{AdaptiveStep::adagrad, lr};
  step.eps = eps, step.weight_decay = weight_decay, step.maximize = maximize;
  run("adagrad_step", parameters, gradients, std::nullopt, sums, std::nullopt, step);
}

void adadelta_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& square_avgs,
                   const std::vector<Array>& acc_deltas, double lr, double rho, double eps, double weight_decay,
                   bool maximize) {
  AdaptiveStep step{AdaptiveStep::adadelta, lr};
  step.beta2 = rho, step.eps = eps, step.weight_decay = weight_decay, step.maximize = maximize;
  run("adadelta_step", parameters, gradients, acc_deltas, square_avgs, std::nullopt, step);
}

void nadam_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& exp_avgs,
                const std::vector<Array>& exp_avg_sqs, double lr, double lr_gradient, double beta1, double beta2, double eps,
                double weight_decay, double shrink, double inverse_root, bool maximize) {
  AdaptiveStep step{AdaptiveStep::nadam, lr, lr_gradient, beta1, beta2, eps, weight_decay, shrink, inverse_root, maximize};
  run("nadam_step", parameters, gradients, exp_avgs, exp_avg_sqs, std::nullopt, step);
}

void radam_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& exp_avgs,
                const std::vector<Array>& exp_avg_sqs, double lr, double beta1, double beta2, double eps, double weight_decay,
                double shrink, bool plain, bool maximize) {
  AdaptiveStep step{AdaptiveStep::radam, lr, 0, beta1, beta2, eps, weight_decay, shrink, 1, maximize, plain};
  run("radam_step", parameters, gradients, exp_avgs, exp_avg_sqs, std::nullopt, step);
}

void adamax_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, const std::vector<Array>& exp_avgs,
                 const std::vector<Array>& exp_infs, double lr, double beta1, double beta2, double eps, double weight_decay,
                 bool maximize) {
  AdaptiveStep step{AdaptiveStep::adamax, lr, 0, beta1, beta2, eps, weight_decay, 1, 1, maximize};
  run("adamax_step", parameters, gradients, exp_avgs, exp_infs, std::nullopt, step);
}

double total_norm(const std::vector<Array>& tensors, double p) {
  if (tensors.empty()) return 0;
  check(p == 1 || p == 2 || p == std::numeric_limits<double>::infinity(), ErrorKind::value,
        "total_norm: expected a norm of order 1, 2 or inf, got {}", p);
  Buffers buffers("total_norm", tensors, false);
  ParameterList list = buffers.list();
  list.gradients = list.parameters;
  const KernelTable& table = table_of(tensors[0].device());
  if (!table.total_norm) missing_kernel("total_norm", list.dtype);
  Launch launch = launch_on(tensors[0].device());
  const Array scratch = scratch_for(launch, table.total_norm_workspace(list));
  double out = 0;
  raise_unless_ok("total_norm", table.total_norm(launch, list, p, &out));
  return out;
}

void scale_all_(std::vector<Array>& tensors, double factor) {
  if (tensors.empty()) return;
  Buffers buffers("scale_all_", tensors);
  const auto kernel = table_of(tensors[0].device()).scale_all;
  if (!kernel) missing_kernel("scale_all_", tensors[0].dtype);
  raise_unless_ok("scale_all_", kernel(launch_on(tensors[0].device()), buffers.list(), factor));
  for (Array& t : tensors) touch(t);
}

}  // namespace tg::ops
