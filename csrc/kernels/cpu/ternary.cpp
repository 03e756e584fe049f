// Elementwise functions of three operands: out[i] = f(a[i], b[i], c[i]). Formulas in functors.h, loops in elementwise_rows.h.
// Cost: 16 bytes an element of float32 where all three are arrays; a number costs nothing.
#include "kernels/cpu/elementwise_rows.h"

namespace tg::TG_ISA {

#define TG_ROW(name) ternary_row<ternary_##name>,
extern Status (*const ternary_rows[ternary_count])(const Launch&, const Strided<4>&) = {TG_TERNARY_OPS(TG_ROW)};
#undef TG_ROW

}  // namespace tg::TG_ISA
