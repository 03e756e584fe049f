// Views: new geometry on the same storage, and the three moves between a base and what a view sees of it.
#include "ops/view.h"
#include "ops/copy.h"
#include "ops/reduce.h"

namespace tg::ops {
namespace {

Array with_geometry(const Array& x, const Dims& shape, const Dims& strides, int64_t offset) {
  Array out(x);
  out.shape = shape;
  out.strides = strides;
  out.offset = offset;
  return out;
}

Dims resolve(const char* op, const Dims& shape, int64_t count, const Dims& from) {
  Dims out = shape;
  int unknown = -1;
  int64_t known = 1;
  bool overflow = false, empty = false;
  for (int i = 0; i < shape.size; ++i) {
    if (shape[i] == -1) {
      check(unknown < 0, ErrorKind::runtime, "{}: only one size can be -1, got {}", op, shape);
      unknown = i;
    } else {
      check(shape[i] >= 0, ErrorKind::runtime, "{}: negative size {} in shape {}", op, shape[i], shape);
      empty |= shape[i] == 0;
      overflow |= __builtin_mul_overflow(known, shape[i], &known);
    }
  }
  if (empty) known = 0;
  check(empty || !overflow, ErrorKind::runtime,
        "{}: shape {} has more elements than memory can hold, the tensor of shape {} has {}", op, shape, from, count);
  if (unknown >= 0) {
    check(known != 0, ErrorKind::runtime, "{}: the size -1 in {} cannot be worked out for a tensor without elements", op,
          shape);
    check(count % known == 0, ErrorKind::runtime, "{}: shape {} does not fit a tensor of shape {} with {} elements", op, shape,
          from, count);
    out[unknown] = count / known;
  } else {
    check(known == count, ErrorKind::runtime, "{}: shape {} has {} elements, the tensor of shape {} has {}", op, shape, known,
          from, count);
  }
  return out;
}

// Strides for `shape` on x's memory, when the dims of x that each new dim covers can be walked as one.
bool view_strides(const Array& x, const Dims& shape, Dims& strides) {
  strides.size = shape.size;
  if (x.contiguous()) {
    strides = contiguous_strides(shape);
    return true;
  }
  int dim = shape.size - 1;
  int64_t chunk = 1, covered = 1;  // elements in the current run of mergeable dims of x, and of new dims placed in it
  int64_t base = 0;
  for (int i = x.ndim(); i--;) {
    if (chunk == 1) base = x.strides[i];
    chunk *= x.shape[i];
    const bool ends = i == 0 || (x.shape[i - 1] != 1 && x.strides[i - 1] != chunk * base);
    if (!ends) continue;
    while (dim >= 0 && (covered < chunk || shape[dim] == 1)) {
      strides[dim] = covered * base;
      covered *= shape[dim--];
    }
    if (covered != chunk) return false;
    chunk = covered = 1;
  }
  return dim == -1;
}

}  // namespace

Array view(const Array& x, const Dims& shape) {
  const Dims target = resolve("view", shape, x.numel(), x.shape);
  Dims strides;
  check(view_strides(x, target, strides), ErrorKind::runtime,
        "view: shape {} cannot be laid over a tensor of shape {} and strides {} without a copy; use reshape() or "
        "contiguous().view()",
        target, x.shape, x.strides);
  return with_geometry(x, target, strides, x.offset);
}

Array reshape(const Array& x, const Dims& shape) {
  const Dims target = resolve("reshape", shape, x.numel(), x.shape);
  Dims strides;
  if (view_strides(x, target, strides)) return with_geometry(x, target, strides, x.offset);
  return view(contiguous(x), target);
}

Array permute(const Array& x, const Dims& order) {
  check(order.size == x.ndim(), ErrorKind::runtime, "permute: got {} dims {} for a {}-d tensor", order.size, order, x.ndim());
  Dims shape, strides;
  unsigned seen = 0;
  for (int64_t d : order) {
    const int dim = wrap_dim("permute", d, x.ndim());
    check(!(seen >> dim & 1), ErrorKind::runtime, "permute: dim {} occurs twice in {}", dim, order);
    seen |= 1u << dim;
    shape.push(x.shape[dim]);
    strides.push(x.strides[dim]);
  }
  return with_geometry(x, shape, strides, x.offset);
}

Array transpose(const Array& x, int64_t dim0, int64_t dim1) {
  const int a = wrap_dim("transpose", dim0, x.ndim()), b = wrap_dim("transpose", dim1, x.ndim());
  Array out(x);
  if (x.ndim() == 0) return out;
  std::swap(out.shape[a], out.shape[b]);
  std::swap(out.strides[a], out.strides[b]);
  return out;
}

Array expand(const Array& x, const Dims& shape) {
  const int lead = shape.size - x.ndim();
  check(lead >= 0, ErrorKind::runtime, "expand: shape {} has fewer dims than the tensor of shape {}", shape, x.shape);
  Dims target = shape, strides;
  strides.size = shape.size;
  for (int i = 0; i < shape.size; ++i) {
    const int own = i - lead;
    if (target[i] == -1) {
      check(own >= 0, ErrorKind::runtime, "expand: -1 cannot stand for a new leading dim in {}", shape);
      target[i] = x.shape[own];
    }
    check(target[i] >= 0, ErrorKind::runtime, "expand: negative size {} in shape {}", target[i], shape);
    const int64_t size = own < 0 ? 1 : x.shape[own];
    check(size == target[i] || size == 1, ErrorKind::runtime,
          "expand: size {} of dim {} cannot become {}; only dims of size 1 expand (tensor of shape {} to {})", size, i,
          target[i], x.shape, shape);
    strides[i] = own < 0 || (size == 1 && target[i] != 1) ? 0 : x.strides[own];
  }
  element_count(target);  // an error where no memory could hold the result
  return with_geometry(x, target, strides, x.offset);
}

Array squeeze(const Array& x, std::optional<int64_t> dim) {
  const int only = dim ? wrap_dim("squeeze", *dim, x.ndim()) : -1;
  Dims shape, strides;
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.shape[i] == 1 && (!dim || i == only)) continue;
    shape.push(x.shape[i]);
    strides.push(x.strides[i]);
  }
  return with_geometry(x, shape, strides, x.offset);
}

Array unsqueeze(const Array& x, int64_t dim) {
  const int at = wrap_dim("unsqueeze", dim, x.ndim() + 1);
  Dims shape, strides;
  for (int i = 0; i <= x.ndim(); ++i) {
    if (i == at) {
      shape.push(1);
      strides.push(i < x.ndim() ? x.shape[i] * x.strides[i] : 1);
    }
    if (i < x.ndim()) {
      shape.push(x.shape[i]);
      strides.push(x.strides[i]);
    }
  }
  return with_geometry(x, shape, strides, x.offset);
}

Array as_strided(const Array& x, const Dims& shape, const Dims& strides, int64_t offset) {
  check(shape.size == strides.size, ErrorKind::runtime, "as_strided: shape {} and strides {} differ in length", shape, strides);
  const bool empty = element_count(shape) == 0;
  const auto stored = static_cast<int64_t>(x.storage->bytes) / size_of(x.dtype);
  int64_t last = offset, reach = 0;
  bool overflow = false;
  for (int i = 0; i < shape.size; ++i) {
    check(strides[i] >= 0, ErrorKind::runtime, "as_strided: negative stride {} in {}", strides[i], strides);
    overflow |= __builtin_mul_overflow(shape[i] - 1, strides[i], &reach) || __builtin_add_overflow(last, reach, &last);
  }
  const bool inside = offset >= 0 && (empty || (!overflow && last < stored));
  check(inside, ErrorKind::runtime,
        "as_strided: shape {}, strides {} and offset {} reach element {}, outside the storage of {} bytes", shape, strides,
        offset, last, static_cast<int64_t>(x.storage->bytes));
  return with_geometry(x, shape, strides, offset);
}

Array index(const Array& x, const std::vector<IndexEntry>& key) {
  int consumed = 0;
  for (const auto& e : key) consumed += e.kind == IndexEntry::select || e.kind == IndexEntry::slice;
  check(consumed <= x.ndim(), ErrorKind::index, "too many indices for a {}-d tensor of shape {}: {} given", x.ndim(), x.shape,
        consumed);
  Dims shape, strides;
  int64_t offset = x.offset;
  int dim = 0;
  auto keep = [&](int count) {
    for (; count > 0; --count, ++dim) {
      shape.push(x.shape[dim]);
      strides.push(x.strides[dim]);
    }
  };
  for (const auto& e : key) {
    switch (e.kind) {
      case IndexEntry::new_axis:
        shape.push(1);
        strides.push(dim < x.ndim() ? x.shape[dim] * x.strides[dim] : 1);
        break;
      case IndexEntry::ellipsis:
        keep(x.ndim() - consumed - dim + [&] {  // dims left after what the rest of the key consumes
          int before = 0;
          for (const auto* p = key.data(); p != &e; ++p)
            before += p->kind == IndexEntry::select || p->kind == IndexEntry::slice;
          return before;
        }());
        break;
      case IndexEntry::select: {
        const int64_t size = x.shape[dim], at = e.start < 0 ? e.start + size : e.start;
        check(at >= 0 && at < size, ErrorKind::index, "index {} is out of bounds for dimension {} with size {}", e.start, dim,
              size);
        offset += at * x.strides[dim++];
        break;
      }
      case IndexEntry::slice: {
        const int64_t size = x.shape[dim];
        auto clamp = [size](int64_t v) { return v < 0 ? (v + size < 0 ? 0 : v + size) : (v > size ? size : v); };
        const int64_t start = e.has_start ? clamp(e.start) : 0, stop = e.has_stop ? clamp(e.stop) : size;
        shape.push(stop > start ? (stop - start + e.step - 1) / e.step : 0);
        strides.push(x.strides[dim] * e.step);
        offset += start < size ? start * x.strides[dim] : 0;
        ++dim;
        break;
      }
    }
  }
  keep(x.ndim() - dim);
  return with_geometry(x, shape, strides, offset);
}

Array index_scatter(const Array& dy, const Dims& shape, const std::vector<IndexEntry>& key) {
  Array out = zeros(shape, dy.dtype);
  Array seen = index(out, key);
  copy_(seen, operand(dy));
  return out;
}

// --- windows: the base's geometry may be anything that does not overlap, so work happens on memory laid out like the base
namespace {

Array laid_out_like(const Array& x, const Dims& strides) {
  if (x.strides == strides) return x;
  Array out = empty_strided(x.shape, strides, x.dtype);
  copy_(out, operand(x));
  return out;
}
Array seen_through(const Array& base, const Window& w) { return as_strided(base, w.shape, w.strides, base.offset + w.offset); }

}  // namespace

Array window_gather(const Array& x, const Window& w) { return clone(seen_through(laid_out_like(x, w.base_strides), w)); }

Array window_scatter(const Array& x, const Window& w) {
  Array base = empty_strided(w.base_shape, w.base_strides, x.dtype);
  copy_(base, Operand{Operand::integer, nullptr, {}});
  // a view that shows one element several times (expand) adds the gradients of all of them
  Dims distinct = w.shape, strides = w.strides;
  for (int i = 0; i < distinct.size; ++i)
    if (strides[i] == 0) distinct[i] = 1;
  Array value = sum_to(x, distinct);
  Array seen = as_strided(base, distinct, strides, base.offset + w.offset);
  check(!has_overlap(seen), ErrorKind::runtime, "the gradient of a view whose elements overlap partly is not defined");
  copy_(seen, operand(value));
  return base;
}

Array window_zero(const Array& x, const Window& w) {
  Array base = empty_strided(w.base_shape, w.base_strides, x.dtype);
  copy_(base, operand(x));
  Array seen = seen_through(base, w);
  copy_(seen, Operand{Operand::integer, nullptr, {}});
  return base;
}

}  // namespace tg::ops
