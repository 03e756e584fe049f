// Elementwise ops: the lines that make them Python functions.
#include "ops/elementwise.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {
namespace {

template <UnaryOp op> Array unary(const Array& x) { return ops::unary(op, x); }
template <UnaryOp op> void unary_(Array& x) { ops::unary_(op, x); }
template <BinaryOp op> Array binary(const ops::Operand& x, const ops::Operand& y) { return ops::binary(op, x, y); }
template <BinaryOp op> void binary_(Array& x, const ops::Operand& y) { ops::binary_(op, x, y); }
template <TernaryOp op> Array ternary(const Array& x, const ops::Operand& y, const ops::Operand& z) {
  return ops::ternary(op, x, y, z);
}
template <TernaryOp op> void ternary_(Array& x, const ops::Operand& y, const ops::Operand& z) { ops::ternary_(op, x, y, z); }
template <CompareOp op> Array compare(const ops::Operand& x, const ops::Operand& y) { return ops::compare(op, x, y); }

}  // namespace

void bind_elementwise() {
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
#define TG_BIND(op)                                                                         \
  bind<&ternary<TernaryOp::op>>(#op, "x, y, z", #op " of three broadcast operands.");       \
  bind<&ternary_<TernaryOp::op>>(#op "_", "x, y, z", #op " of three operands, written over x.");
  TG_TERNARY_OPS(TG_BIND)
#undef TG_BIND
#define TG_BIND(op) bind<&compare<CompareOp::op>>(#op, "x, y", "x " #op " y as bool.");
  TG_COMPARE_OPS(TG_BIND)
#undef TG_BIND

  bind<&ops::where>("where", "condition, x, y", "x where the condition holds, else y.");
}

}  // namespace tg::py
