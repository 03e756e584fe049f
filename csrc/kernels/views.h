// Views: what a kernel is given. Plain structs named by geometry; pointers, sizes and strides, nothing owned.
// All strides count elements, never bytes. Structs are PODs so that a CUDA launcher can pass them by value.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace tg {

inline constexpr int max_dims = 8;

// What a kernel answers. `detail` carries the offending value (an index out of range, a CUDA error code).
struct Status {
  enum Code : int32_t { ok, missing, index_out_of_range, device_error } code = ok;
  int64_t detail = 0;
};

// How a kernel is to run. `workspace` is what the row's _workspace twin asked for.
struct Launch {
  void* stream = nullptr;
  void* workspace = nullptr;
  int threads = 1;
};

// A number that travels inside a view (so it reaches a GPU as a kernel argument).
struct Scalar {
  double real = 0;
  int64_t integer = 0;
};

// N operands walked over one shape, innermost dimension last; operand 0 is the output. Dimensions are already collapsed:
// size-1 dims are gone and neighbours that can be walked as one are merged. A null `data` means the operand is `scalar`.
template <int N> struct Strided {
  int ndim = 0;
  int64_t shape[max_dims];
  struct Operand {
    void* data = nullptr;
    DType dtype = DType::f32;
    Scalar scalar;
    int64_t strides[max_dims];
  } operand[N];
};

// Rows of equal length; elements of a row lie side by side.
struct Rows {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0, row_stride = 0;
};

struct Matrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0, row_stride = 0, col_stride = 0;
};

enum class Activation : uint8_t { none, relu, gelu, gelu_tanh, tanh, sigmoid };

// c[i] = activation(a[i] @ b[i] + bias) for every i of the batch; with `accumulate` c's old value is added before the activation.
// a is (M, K), b is (K, N), c is (M, N), each in any stride combination for a and b; c has col_stride 1.
struct Matmul {
  Matrix a, b, c;  // the first of each batch
  int batch_ndim = 0;
  int64_t batch_shape[max_dims];
  int64_t a_strides[max_dims], b_strides[max_dims], c_strides[max_dims];
  const void* bias = nullptr;      // N values of c's dtype, or null
  void* pre_activation = nullptr;  // where to keep the value before the activation (c's geometry and dtype), or null
  Activation activation = Activation::none;
  bool accumulate = false;
};

// A reduction: the output is walked over `kept` dims and each output element gathers the `reduced` dims of the input.
// Both groups are collapsed, innermost last. The output is contiguous over the kept dims.
struct Reduction {
  void* out = nullptr;  // dtype of the op: the input's for sum/max, int64 for argmax, bool for any/all
  const void* in = nullptr;
  DType out_dtype = DType::f32, in_dtype = DType::f32;
  int kept_ndim = 0, reduced_ndim = 0;
  int64_t kept_shape[max_dims], kept_strides[max_dims];
  int64_t reduced_shape[max_dims], reduced_strides[max_dims];
};

// Rows picked by number: out[i, :] = in[index[i], :] and its reverse. `in` is seen as (outer, picked, inner), contiguous.
struct Indexed {
  void* out = nullptr;
  const void* in = nullptr;
  DType dtype = DType::f32;
  const int64_t* index = nullptr;  // count values in [-picked, picked)
  int64_t outer = 1, picked = 0, count = 0, inner = 1;
};

// Many flat buffers handled in one call: what an optimiser step works on. All arrays have `count` entries; a buffer kind
// that the algorithm does not use is null.
struct ParameterList {
  int64_t count = 0;
  DType dtype = DType::f32;
  void* const* parameters = nullptr;
  const void* const* gradients = nullptr;
  void* const* first = nullptr;   // momentum buffer / first moment
  void* const* second = nullptr;  // second moment
  void* const* third = nullptr;   // maximum of second moments (amsgrad)
  const int64_t* sizes = nullptr;
};

}  // namespace tg
