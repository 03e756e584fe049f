// The fast algorithms of common shapes, between which conv2d.cpp chooses. Each has
//   *_suits      whether it can do this product of this view, and is worth it; the rest of its functions ask for that
//   *_workspace  scratch in bytes, for Launch.workspace
//   *_forward, *_backward_input, *_backward_weight: y, x or weight of the view from the other two
#pragma once
#include "kernels/arguments/conv.h"

namespace tg::TG_ISA {

using Pass = ConvPass;

// winograd.cpp: 3x3 and 5x5 of images or of a volume's planes, stride 1, any dilation, float32. The tile is the number of output lines and columns made at once: 4
// for 3x3, or 2 where there are few tiles or the view asks for precision; 2 for 5x5; 0 where another algorithm is faster or must
// be taken.
int winograd_tile(const Conv3d&, Pass);
size_t winograd_workspace(const Conv3d&, int threads, Pass, int tile);
Status winograd_forward(const Launch&, const Conv3d&, int tile);
Status winograd_backward_input(const Launch&, const Conv3d&, int tile);
Status winograd_backward_weight(const Launch&, const Conv3d&, int tile);

// pointwise.cpp: 1x1, stride 1, no padding.
bool pointwise_suits(const Conv2d&, Pass);
size_t pointwise_workspace(const Conv2d&, int threads, Pass);
Status pointwise_forward(const Launch&, const Conv2d&);
Status pointwise_backward_input(const Launch&, const Conv2d&);
Status pointwise_backward_weight(const Launch&, const Conv2d&);

// depthwise.cpp: one input channel per group.
bool depthwise_suits(const Conv2d&, Pass);
size_t depthwise_workspace(const Conv2d&, int threads, Pass);
Status depthwise_forward(const Launch&, const Conv2d&);
Status depthwise_backward_input(const Launch&, const Conv2d&);
Status depthwise_backward_weight(const Launch&, const Conv2d&);

}  // namespace tg::TG_ISA
