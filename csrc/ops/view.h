// Views: new geometry, same storage.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array view(const Array& x, const Dims& shape);     // one size may be -1; RuntimeError where the strides do not allow it
Array reshape(const Array& x, const Dims& shape);  // view, or a copy where a view is impossible
Array permute(const Array& x, const Dims& order);
Array transpose(const Array& x, int64_t dim0, int64_t dim1);
Array expand(const Array& x, const Dims& shape);  // -1 keeps a size
Array squeeze(const Array& x, std::optional<int64_t> dim);
Array unsqueeze(const Array& x, int64_t dim);
Array as_strided(const Array& x, const Dims& shape, const Dims& strides, int64_t offset);

// One entry of a basic index.
struct IndexEntry {
  enum Kind { select, slice, new_axis, ellipsis } kind;
  int64_t start = 0, stop = 0, step = 1;  // `select` uses start; a slice was not clamped yet
  bool has_start = false, has_stop = false;
};
Array index(const Array& x, const std::vector<IndexEntry>& key);
Array index_scatter(const Array& dy, const Dims& shape, const std::vector<IndexEntry>& key);  // zeros with dy at key

// What a view sees of its base, for in-place changes through views: geometry relative to the base's first element.
struct Window {
  Dims base_shape, base_strides, shape, strides;
  int64_t offset = 0;
};
Array window_gather(const Array& x, const Window& w);   // x has base_shape: the part the view sees
Array window_scatter(const Array& x, const Window& w);  // x has the view's shape: zeros elsewhere, overlaps add up
Array window_zero(const Array& x, const Window& w);     // x has base_shape: a copy with zeros where the view sees

}  // namespace tg::ops
