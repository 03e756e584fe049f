// Optimiser steps over all parameters in one kernel call.
#include "ops/optimizer.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"

namespace tg::ops {
namespace {

// Collects raw pointers for the kernel and checks that every buffer matches its parameter.
class Buffers {
 public:
  Buffers(const char* op, const std::vector<Array>& parameters) : op_(op), parameters_(parameters) {
    for (const Array& p : parameters) {
      check(p.dtype == parameters[0].dtype && (p.dtype == DType::f32 || p.dtype == DType::f64), ErrorKind::runtime,
            "{}: expected parameters of one dtype, float32 or float64, got {} and {}", op, parameters[0].dtype, p.dtype);
      check(p.contiguous(), ErrorKind::runtime, "{}: expected contiguous parameters, got strides {} for shape {}", op,
            p.strides, p.shape);
      check_writable(op, p, "");
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

}  // namespace tg::ops
