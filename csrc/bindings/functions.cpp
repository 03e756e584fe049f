// Every op that Python can call, one line each: name, parameters, what it does.
#include "bindings/functions.h"

#include "bindings/convert.h"

namespace tg::py {
namespace {

constexpr int64_t matrix_threshold = 1 << 14;  // matrix products cost more per element: let go of the GIL earlier

template <UnaryOp op> Array unary(const Array& x) { return ops::unary(op, x); }
template <UnaryOp op> void unary_(Array& x) { ops::unary_(op, x); }
template <BinaryOp op> Array binary(const ops::Operand& x, const ops::Operand& y) { return ops::binary(op, x, y); }
template <BinaryOp op> void binary_(Array& x, const ops::Operand& y) { ops::binary_(op, x, y); }
template <CompareOp op> Array compare(const ops::Operand& x, const ops::Operand& y) { return ops::compare(op, x, y); }
template <ReduceOp op> Array reduce(const Array& x, const std::optional<Dims>& dim, bool keepdim) {
  return ops::reduce(op, x, dim, keepdim);
}
Array empty_of(const Dims& shape, DType dtype) { return empty(shape, dtype); }
void fill_(Array& x, const ops::Operand& value) {
  check(value.kind != ops::Operand::tensor || value.array->ndim() == 0, ErrorKind::runtime,
        "fill_: expected a number or a 0-d tensor");
  ops::copy_(x, value);
}
bool shares_storage(const Array& x, const Array& y) { return x.storage == y.storage; }

}  // namespace

void bind_functions() {
#define TG_BIND(op)                                                      \
  bind<&unary<UnaryOp::op>>(#op, "x", #op " of every element.");         \
  bind<&unary_<UnaryOp::op>>(#op "_", "x", #op " of every element, in place.");
  TG_UNARY_OPS(TG_BIND)
#undef TG_BIND
#define TG_BIND(op)                                                                  \
  bind<&binary<BinaryOp::op>>(#op, "x, y", #op " of two broadcast operands.");       \
  bind<&binary_<BinaryOp::op>>(#op "_", "x, y", #op " of two operands, written over x.");
  TG_BINARY_OPS(TG_BIND)
#undef TG_BIND
#define TG_BIND(op) bind<&compare<CompareOp::op>>(#op, "x, y", "x " #op " y as bool.");
  TG_COMPARE_OPS(TG_BIND)
#undef TG_BIND
#define TG_BIND(op) bind<&reduce<ReduceOp::op>>(#op, "x, dim=None, keepdim=False", #op " over dims; None is all of them.");
  TG_REDUCE_OPS(TG_BIND)
#undef TG_BIND

  bind<&ops::where>("where", "condition, x, y", "x where the condition holds, else y.");
  bind<&ops::full>("full", "shape, value, dtype", "A tensor filled with one value.");
  bind<&empty_of>("empty", "shape, dtype", "A tensor whose values are not set.");
  bind<&ops::clone>("clone", "x", "A copy.");
  bind<&ops::contiguous>("contiguous", "x", "The same values in row-major order.");
  bind<&ops::cast>("cast", "x, dtype", "A converted copy.");
  bind<&ops::copy_>("copy_", "x, value", "Writes value over x.");
  bind<&fill_>("fill_", "x, value", "Writes one number over x.");

  bind<&ops::view>("view", "x, shape", "The same memory in another shape.");
  bind<&ops::reshape>("reshape", "x, shape", "Another shape; a view where possible.");
  bind<&ops::permute>("permute", "x, dims", "Dims in another order.");
  bind<&ops::transpose>("transpose", "x, dim0, dim1", "Two dims swapped.");
  bind<&ops::expand>("expand", "x, shape", "Dims of size 1 repeated without copying.");
  bind<&ops::squeeze>("squeeze", "x, dim=None", "Dims of size 1 dropped.");
  bind<&ops::unsqueeze>("unsqueeze", "x, dim", "A dim of size 1 inserted.");
  bind<&ops::as_strided>("as_strided", "x, size, stride, storage_offset", "Any geometry on x's storage.");
  bind<&ops::index>("index", "x, key", "Basic indexing: ints, slices, None, ...");
  bind<&ops::index_scatter>("index_scatter", "dy, shape, key", "Zeros of `shape` with dy at key.");
  bind<&ops::window_gather>("window_gather", "x, window", "The part of x a view sees.");
  bind<&ops::window_scatter>("window_scatter", "x, window", "Zeros of the base's shape with x where the view sees.");
  bind<&ops::window_zero>("window_zero", "x, window", "x with zeros where the view sees.");

  bind<&ops::mean>("mean", "x, dim=None, keepdim=False", "Mean over dims.");
  bind<&ops::sum_to>("sum_to", "x, shape", "Sums the dims that were broadcast.");

  bind<&ops::matmul, matrix_threshold>("matmul", "x, y", "Matrix product.");
  bind<&ops::linear, matrix_threshold>("linear", "x, weight, bias=None, activation=\"none\"",
                                       "activation(x @ weight.T + bias).");
  bind<&ops::linear_keep, matrix_threshold>("linear_keep", "x, weight, bias=None, activation=\"none\"",
                                            "linear and the value before the activation.");

  bind<&ops::softmax>("softmax", "x, dim", "exp(x) / sum(exp(x)) over one dim.");
  bind<&ops::softmax_backward>("softmax_backward", "y, dy, dim", "Gradient of softmax from its output.");
  bind<&ops::log_softmax>("log_softmax", "x, dim", "log(softmax(x)) over one dim.");
  bind<&ops::log_softmax_backward>("log_softmax_backward", "y, dy, dim", "Gradient of log_softmax from its output.");
  bind<&ops::cross_entropy>("cross_entropy", "logits, target, weight, ignore_index, label_smoothing",
                            "Loss per row, and its log-sum-exp.");
  bind<&ops::cross_entropy_backward>("cross_entropy_backward",
                                     "dloss, logits, target, weight, lse, ignore_index, label_smoothing",
                                     "Gradient of cross_entropy.");

  bind<&ops::index_select>("index_select", "x, dim, index", "Slices of x by number.");
  bind<&ops::index_add>("index_add", "dy, dim, index, size", "Zeros of `size` along dim plus dy's slices by number.");
  bind<&ops::index_copy_>("index_copy_", "x, dim, index, source", "Writes slices of source over x by number.");
  bind<&ops::wrap_index>("wrap_index", "index, size, dim", "Checks indexes and makes negative ones positive.");
  bind<&ops::cat>("cat", "tensors, dim=0", "Tensors joined along a dim.");

  bind<&ops::uniform_>("uniform_", "x, low, high, seed, offset", "Philox uniform numbers in [low, high).");
  bind<&ops::normal_>("normal_", "x, mean, std, seed, offset", "Philox normal numbers.");
  bind<&ops::randint_>("randint_", "x, low, high, seed, offset", "Philox integers in [low, high).");

  bind<&ops::sgd_step>("sgd_step",
                       "params, grads, momentum_buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first_step",
                       "One SGD step over all parameters.");
  bind<&ops::adam_step>("adam_step",
                        "params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, lr, beta1, beta2, eps, weight_decay, step, "
                        "decoupled, amsgrad, maximize",
                        "One Adam or AdamW step over all parameters.");
  bind<&shares_storage>("shares_storage", "x, y", "Do two tensors live on the same storage?");
}

}  // namespace tg::py
