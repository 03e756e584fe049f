// Layers whose weights are int8: the lines that make them Python functions.
#include "ops/quantized.h"

#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_quantized() {
  bind<&ops::quantized_linear, 1 << 14>("quantized_linear", "x, weight, scale, sums, bias, outputs, activation=\"none\"",
                                        "activation(x @ (scale * weight).T + bias), x quantised by rows.");
}

}  // namespace tg::py
