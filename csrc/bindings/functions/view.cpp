// Views: the lines that make them Python functions.
#include "ops/view.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_view() {
  bind<&ops::view>("view", "x, shape", "The same memory in another shape.");
  bind<&ops::reshape>("reshape", "x, shape", "Another shape; a view where possible.");
  bind<&ops::permute>("permute", "x, dims", "Dims in another order.");
  bind<&ops::transpose>("transpose", "x, dim0, dim1", "Two dims swapped.");
  bind<&ops::expand>("expand", "x, shape", "Dims of size 1 repeated without copying.");
  bind<&ops::squeeze>("squeeze", "x, dim=None", "Dims of size 1 dropped.");
  bind<&ops::unsqueeze>("unsqueeze", "x, dim", "A dim of size 1 inserted.");
  bind<&ops::as_strided>("as_strided", "x, size, stride, storage_offset", "Any geometry on x's storage.");
  bind<&ops::index>("index", "x, key", "Basic indexing: ints, slices, None, ...");
  bind<&ops::index_scatter>("index_scatter", "dy, shape, key", "Zeros of `shape` with dy at key.");
  bind<&ops::window_gather>("window_gather", "x, window", "The part of x a view sees.");
  bind<&ops::window_scatter>("window_scatter", "x, window", "Zeros of the base's shape with x where the view sees.");
  bind<&ops::window_zero>("window_zero", "x, window", "x with zeros where the view sees.");
}

}  // namespace tg::py
