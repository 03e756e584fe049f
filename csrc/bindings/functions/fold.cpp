// Sliding windows: the lines that make them Python functions.
#include "ops/fold.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_fold() {
  bind<&ops::unfold>("unfold", "x, kernel, dilation, padding, stride", "The windows of images as columns.");
  bind<&ops::fold>("fold", "columns, size, kernel, dilation, padding, stride", "Columns added up into images.");
}

}  // namespace tg::py
