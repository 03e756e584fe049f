// Padding: the lines that make it Python functions.
#include "ops/pad.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_pad() {
  bind<&ops::pad>("pad", "x, before, after, mode, value", "x with a border.");
  bind<&ops::pad_backward>("pad_backward", "dy, before, after, mode", "Gradient of pad for the modes that repeat elements.");
}

}  // namespace tg::py
