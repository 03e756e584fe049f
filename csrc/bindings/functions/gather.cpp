// Indexing by numbers: the lines that make them Python functions.
#include "ops/gather.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_gather() {
  bind<&ops::index_select>("index_select", "x, dim, index", "Slices of x by number.");
  bind<&ops::index_add>("index_add", "dy, dim, index, size", "Zeros of `size` along dim plus dy's slices by number.");
  bind<&ops::index_copy_>("index_copy_", "x, dim, index, source", "Writes slices of source over x by number.");
  bind<&ops::wrap_index>("wrap_index", "index, size, dim", "Checks indexes and makes negative ones positive.");
  bind<&ops::cat>("cat", "tensors, dim=0", "Tensors joined along a dim.");
}

}  // namespace tg::py
