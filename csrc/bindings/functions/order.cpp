// Order and single elements: the lines that make them Python functions.
#include "ops/order.h"
#include "bindings/convert.h"
#include "bindings/functions.h"
#include "ops/positions.h"

namespace tg::py {

void bind_order() {
  bind<&ops::cumsum>("cumsum", "x, dim, reverse=False", "Running sum along a dim, from its end if reverse.");
  bind<&ops::cumprod>("cumprod", "x, dim", "Running product along a dim.");
  bind<&ops::logcumsumexp>("logcumsumexp", "x, dim, reverse=False", "Logarithm of the running sum of exp(x) along a dim.");
  bind<&ops::cummax>("cummax", "x, dim", "Running maximum along a dim, and where it was.");
  bind<&ops::cummin>("cummin", "x, dim", "Running minimum along a dim, and where it was.");
  bind<&ops::sort>("sort", "x, dim=-1, descending=False", "Sorted along a dim, stable, and where each value was.");
  bind<&ops::topk>("topk", "x, k, dim=-1, largest=True", "The best k along a dim in order, and where they were.");
  bind<&ops::select_rank>("select_rank", "x, dim, rank, kind",
                          "The element at a place of the sorted order (0), the median (1), without NaN (2), and its place.");
  bind<&ops::searchsorted>("searchsorted", "sorted, values, right=False", "How many of a sorted row are below each value.");
  bind<&ops::gather>("gather", "x, dim, index", "Elements of x by number along a dim.");
  bind<&ops::scatter>("scatter", "x, dim, index, src, operation", "x with src combined where the index points.");
  bind<&ops::scatter_>("scatter_", "x, dim, index, src, operation", "`scatter` written over x.");
  bind<&ops::flip>("flip", "x, dim", "x with one dim reversed.");
  bind<&ops::roll>("roll", "x, shift, dim", "x rolled along one dim.");
  bind<&ops::triangle>("triangle", "x, diagonal, lower", "The lower or upper triangle of matrices, zeros elsewhere.");
  bind<&ops::bincount>("bincount", "x, minlength", "How often each number occurs in an int64 vector.");
  bind<&ops::nonzero>("nonzero", "x", "The places of the elements that are not zero.");
}

}  // namespace tg::py
