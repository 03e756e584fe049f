// Elementwise ops. An op ending in _ writes into its first argument.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array unary(UnaryOp op, const Array& x);
void unary_(UnaryOp op, Array& x);
Array binary(BinaryOp op, const Operand& x, const Operand& y);
void binary_(BinaryOp op, Array& x, const Operand& y);
Array ternary(TernaryOp op, const Array& x, const Operand& y, const Operand& z);
void ternary_(TernaryOp op, Array& x, const Operand& y, const Operand& z);
Array compare(CompareOp op, const Operand& x, const Operand& y);
Array where(const Array& condition, const Operand& x, const Operand& y);
const char* name_of(UnaryOp op);
const char* name_of(BinaryOp op);
const char* name_of(TernaryOp op);
const char* name_of(CompareOp op);

}  // namespace tg::ops
