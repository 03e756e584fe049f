// Reductions: the lines that make them Python functions.
#include "ops/reduce.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {
namespace {

template <ReduceOp op> Array reduce(const Array& x, const std::optional<Dims>& dim, bool keepdim) {
  return ops::reduce(op, x, dim, keepdim);
}

}  // namespace

void bind_reduce() {
#define TG_BIND(op) bind<&reduce<ReduceOp::op>>(#op, "x, dim=None, keepdim=False", #op " over dims; None is all of them.");
  TG_REDUCE_OPS(TG_BIND)
#undef TG_BIND

  bind<&ops::mean>("mean", "x, dim=None, keepdim=False", "Mean over dims.");
  bind<&ops::sum_to>("sum_to", "x, shape", "Sums the dims that were broadcast.");
}

}  // namespace tg::py
