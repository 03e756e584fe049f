// The ops: arrays in, arrays out. An op checks its arguments, works out the result's shape and dtype, allocates it, picks
// the table of the device and calls one kernel. No loops over data here; no Python. Every public op is declared on this page.
#pragma once
#include <optional>
#include <tuple>
#include <vector>

#include "core/array.h"
#include "core/context.h"
#include "kernels/op_list.h"

namespace tg::ops {

// An argument that is a tensor or a Python number. Numbers take part in promotion by kind only, as in PyTorch.
struct Operand {
  enum Kind { boolean, integer, real, tensor } kind = tensor;
  const Array* array = nullptr;
  Scalar number;
};
DType result_type(const Operand& x, const Operand& y);

// --- elementwise (elementwise.cpp): an Op ending in _ writes into its first argument
Array unary(UnaryOp op, const Array& x);
void unary_(UnaryOp op, Array& x);
Array binary(BinaryOp op, const Operand& x, const Operand& y);
void binary_(BinaryOp op, Array& x, const Operand& y);
Array compare(CompareOp op, const Operand& x, const Operand& y);
Array where(const Array& condition, const Operand& x, const Operand& y);
const char* name_of(UnaryOp op);
const char* name_of(BinaryOp op);
const char* name_of(CompareOp op);
const char* name_of(ReduceOp op);

// --- creation and copies (copy.cpp)
Array full(const Dims& shape, const Operand& value, DType dtype);
Array clone(const Array& x);                  // keeps a dense layout
Array contiguous(const Array& x);             // x itself where it is contiguous already
Array cast(const Array& x, DType dtype);      // always a new array
void copy_(Array& x, const Operand& source);  // broadcasts and converts

// --- views (view.cpp): new geometry, same storage
Array view(const Array& x, const Dims& shape);     // one size may be -1; RuntimeError where the strides do not allow it
Array reshape(const Array& x, const Dims& shape);  // view, or a copy where a view is impossible
Array permute(const Array& x, const Dims& order);
Array transpose(const Array& x, int64_t dim0, int64_t dim1);
Array expand(const Array& x, const Dims& shape);  // -1 keeps a size
Array squeeze(const Array& x, std::optional<int64_t> dim);
Array unsqueeze(const Array& x, int64_t dim);
Array as_strided(const Array& x, const Dims& shape, const Dims& strides, int64_t offset);

// One entry of a basic index.
struct IndexEntry {
  enum Kind { select, slice, new_axis, ellipsis } kind;
  int64_t start = 0, stop = 0, step = 1;  // `select` uses start; a slice was not clamped yet
  bool has_start = false, has_stop = false;
};
Array index(const Array& x, const std::vector<IndexEntry>& key);
Array index_scatter(const Array& dy, const Dims& shape, const std::vector<IndexEntry>& key);  // zeros with dy at key

// What a view sees of its base, for in-place changes through views: geometry relative to the base's first element.
struct Window {
  Dims base_shape, base_strides, shape, strides;
  int64_t offset = 0;
};
Array window_gather(const Array& x, const Window& w);   // x has base_shape: the part the view sees
Array window_scatter(const Array& x, const Window& w);  // x has the view's shape: zeros elsewhere, overlaps add up
Array window_zero(const Array& x, const Window& w);     // x has base_shape: a copy with zeros where the view sees

// --- reductions (reduce.cpp); no dims = all of them
Array reduce(ReduceOp op, const Array& x, const std::optional<Dims>& dims, bool keepdim);
Array mean(const Array& x, const std::optional<Dims>& dims, bool keepdim);
Array sum_to(const Array& x, const Dims& shape);  // un-broadcast: sums the dims that were broadcast

// --- matrix products (matmul.cpp)
Array matmul(const Array& x, const Array& y);
Array linear(const Array& x, const Array& weight, const std::optional<Array>& bias, Activation activation);
std::tuple<Array, Array> linear_keep(const Array& x, const Array& weight, const std::optional<Array>& bias,
                                     Activation activation);

// --- rows (softmax.cpp, cross_entropy.cpp)
Array softmax(const Array& x, int64_t dim);
Array softmax_backward(const Array& y, const Array& dy, int64_t dim);
Array log_softmax(const Array& x, int64_t dim);
Array log_softmax_backward(const Array& y, const Array& dy, int64_t dim);
std::tuple<Array, Array> cross_entropy(const Array& logits, const Array& target, const std::optional<Array>& weight,
                                       int64_t ignore_index, double label_smoothing);
Array cross_entropy_backward(const Array& dloss, const Array& logits, const Array& target, const std::optional<Array>& weight,
                             const Array& lse, int64_t ignore_index, double label_smoothing);

// --- indexing (gather.cpp)
Array index_select(const Array& x, int64_t dim, const Array& index);
Array index_add(const Array& dy, int64_t dim, const Array& index, int64_t size);  // zeros of `size` along dim, plus dy's slices
void index_copy_(Array& x, int64_t dim, const Array& index, const Array& source);
Array wrap_index(const Array& index, int64_t size, int64_t dim);  // negative made positive; IndexError names the value
Array cat(const std::vector<Array>& tensors, int64_t dim);

// --- random (random.cpp)
void uniform_(Array& x, double low, double high, int64_t seed, int64_t offset);
void normal_(Array& x, double mean, double std, int64_t seed, int64_t offset);
void randint_(Array& x, int64_t low, int64_t high, int64_t seed, int64_t offset);

// --- optimisers (optimizer.cpp)
void sgd_step(std::vector<Array>& parameters, const std::vector<Array>& gradients,
              const std::optional<std::vector<Array>>& momentum_buffers, double lr, double momentum, double dampening,
              double weight_decay, bool nesterov, bool maximize, bool first_step);
void adam_step(std::vector<Array>& parameters, const std::vector<Array>& gradients, std::vector<Array>& exp_avgs,
               std::vector<Array>& exp_avg_sqs, const std::optional<std::vector<Array>>& max_exp_avg_sqs, double lr,
               double beta1, double beta2, double eps, double weight_decay, int64_t step, bool decoupled, bool amsgrad,
               bool maximize);

// --- shared by the ops
// The answer of a kernel as an exception; `op` is named in it.
void raise_unless_ok(const char* op, Status status);
[[noreturn]] void missing_kernel(const char* op, DType dtype);
void check_writable(const char* op, const Array& x,
                    const char* suffix = "_");  // in-place targets: no read-only memory, no self-overlap
void check_floating(const char* op, const Array& x);
inline void touch(Array& x) { x.storage->version.fetch_add(1, std::memory_order_relaxed); }  // after every in-place change
inline Rows rows_of(const Array& x) {                                                        // contiguous, last dim = columns
  const int64_t cols = x.shape[x.ndim() - 1];
  return Rows{x.data(), x.dtype, cols ? x.numel() / cols : 0, cols, cols};
}

}  // namespace tg::ops
