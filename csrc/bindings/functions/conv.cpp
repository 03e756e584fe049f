// Convolutions: the lines that make them Python functions.
#include "ops/conv.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {
namespace {

constexpr int64_t conv_threshold = 1 << 12;  // each element is used many times: let go of the GIL early

}  // namespace

void bind_conv() {
  bind<&ops::conv, conv_threshold>(
      "conv", "x, weight, bias=None, output_size=None, stride=1, padding=0, dilation=1, groups=1, activation=\"none\"",
      "activation(convolution of x with weight + bias) over one to three dims.");
  bind<&ops::conv_backward_input, conv_threshold>("conv_backward_input",
                                                  "dy, weight, input_size, stride=1, padding=0, dilation=1, groups=1",
                                                  "Gradient of conv for its input.");
  bind<&ops::conv_backward_weight, conv_threshold>("conv_backward_weight",
                                                   "dy, x, kernel_size, stride=1, padding=0, dilation=1, groups=1",
                                                   "Gradient of conv for its weight.");
}

}  // namespace tg::py
