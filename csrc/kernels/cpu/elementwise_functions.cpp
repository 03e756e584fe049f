// The elementwise functions that take longer: trigonometry, hyperbolic functions, activations and functions of statistics.
// Their formulas are in functors.h, their accuracy in simd_functions.h; everything else as in elementwise.cpp.
#include "kernels/cpu/elementwise_rows.h"

namespace tg::TG_ISA {

#define TG_ROW(name) unary_row<unary_##name>,
extern Status (*const unary_function_rows[unary_count - unary_basic_count])(const Launch&,
                                                                            const Strided<2>&) = {TG_UNARY_FUNCTIONS(TG_ROW)};
#undef TG_ROW
#define TG_ROW(name) binary_row<binary_##name>,
extern Status (*const binary_function_rows[binary_count - binary_basic_count])(const Launch&, const Strided<3>&) = {
    TG_BINARY_FUNCTIONS(TG_ROW)};
#undef TG_ROW

}  // namespace tg::TG_ISA
