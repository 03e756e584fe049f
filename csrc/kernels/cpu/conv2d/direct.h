// Convolution by summing the products themselves: any kernel size, stride, padding, dilation and groups.
#pragma once
#include "kernels/arguments/conv.h"

namespace tg::TG_ISA {

Status direct_forward(const Launch&, const Conv2d&);
Status direct_backward_input(const Launch&, const Conv2d&);
Status direct_backward_weight(const Launch&, const Conv2d&);
size_t direct_forward_workspace(const Conv2d&, int threads);
size_t direct_backward_input_workspace(const Conv2d&, int threads);
size_t direct_backward_weight_workspace(const Conv2d&, int threads);

}  // namespace tg::TG_ISA
