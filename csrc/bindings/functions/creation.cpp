// Creation and copies: the lines that make them Python functions.
#include "bindings/convert.h"
#include "bindings/functions.h"
#include "ops/copy.h"

namespace tg::py {
namespace {

Array empty_of(const Dims& shape, DType dtype) { return empty(shape, dtype); }
void fill_(Array& x, const ops::Operand& value) {
  check(value.kind != ops::Operand::tensor || value.array->ndim() == 0, ErrorKind::runtime,
        "fill_: expected a number or a 0-d tensor");
  ops::copy_(x, value);
}
bool shares_storage(const Array& x, const Array& y) { return x.storage == y.storage; }

}  // namespace

void bind_creation() {
  bind<&ops::full>("full", "shape, value, dtype", "A tensor filled with one value.");
  bind<&empty_of>("empty", "shape, dtype", "A tensor whose values are not set.");
  bind<&ops::clone>("clone", "x", "A copy.");
  bind<&ops::contiguous>("contiguous", "x", "The same values in row-major order.");
  bind<&ops::cast>("cast", "x, dtype", "A converted copy.");
  bind<&ops::copy_>("copy_", "x, value", "Writes value over x.");
  bind<&fill_>("fill_", "x, value", "Writes one number over x.");

  bind<&shares_storage>("shares_storage", "x, y", "Do two tensors live on the same storage?");
}

}  // namespace tg::py
