// Matrix products: the lines that make them Python functions.
#include "ops/matmul.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {
namespace {

constexpr int64_t matrix_threshold = 1 << 14;  // matrix products cost more per element: let go of the GIL earlier

}  // namespace

void bind_matmul() {
  bind<&ops::matmul, matrix_threshold>("matmul", "x, y", "Matrix product.");
  bind<&ops::linear, matrix_threshold>("linear", "x, weight, bias=None, activation=\"none\"",
                                       "activation(x @ weight.T + bias).");
  bind<&ops::linear_keep, matrix_threshold>("linear_keep", "x, weight, bias=None, activation=\"none\"",
                                            "linear and the value before the activation.");
}

}  // namespace tg::py
