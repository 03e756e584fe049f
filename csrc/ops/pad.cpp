// Padding with a constant, by reflection, by repeating the border, or around.
#include "ops/pad.h"
#include "kernels/arguments/pad.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"

namespace tg::ops {
namespace {

void check_pads(const char* op, const Array& x, const Dims& before, const Dims& after, int64_t mode) {
  check(before.size == x.ndim() && after.size == x.ndim(), ErrorKind::runtime,
        "{}: expected {} pads on either side for a tensor of shape {}, got {} and {}", op, x.ndim(), x.shape, before, after);
  check(mode >= 0 && mode <= 3, ErrorKind::value, "{}: mode must be 0 (constant), 1 (reflect), 2 (replicate) or 3 (circular)",
        op);
}

// The padded size of dim d, checked.
int64_t padded_size(const Array& x, const Dims& before, const Dims& after, PadMode mode, int d) {
  const int64_t n = x.shape[d], low = before[d], high = after[d];
  int64_t padded = 0;
  const bool overflow = __builtin_add_overflow(n, low, &padded) || __builtin_add_overflow(padded, high, &padded);
  check(!overflow, ErrorKind::memory, "pad: the pads {} and {} of dim {} make it longer than any memory", low, high, d);
  check(padded >= 0, ErrorKind::runtime,
        "The input size {}, plus negative padding {} and {} resulted in a negative output size, which is invalid. Check "
        "dimension {} of your input.",
        n, low, high, d);
  if (mode == PadMode::constant || (low == 0 && high == 0)) return padded;
  check(n > 0, ErrorKind::runtime, "pad: dim {} of an input of shape {} is empty: there is nothing to repeat", d, x.shape);
  if (mode == PadMode::reflect)
    check(low < n && high < n, ErrorKind::runtime,
          "pad: padding size should be less than the corresponding input dimension, but got: padding ({}, {}) at dimension {} "
          "of input {}",
          low, high, d, x.shape);
  if (mode == PadMode::circular)
    check(low <= n && high <= n, ErrorKind::runtime,
          "pad: Padding value causes wrapping around more than once: ({}, {}) at dimension {} of input {}", low, high, d,
          x.shape);
  return padded;
}

// The view of the kernel: dims that need no border of their own are merged with their neighbours.
Pad view_of(PadMode mode, const Array& inner, const Dims& padded_shape, const Dims& before) {
  Pad v;
  v.mode = mode;
  v.dtype = inner.dtype;
  v.ndim = 0;
  for (int d = 0; d < inner.ndim(); ++d) {
    const int64_t n = inner.shape[d], padded = padded_shape[d], stride = inner.strides[d];
    const int last = v.ndim - 1;
    const bool plain = n == padded && before[d] == 0;  // this dim is copied whole
    const bool over_plain = v.ndim && v.shape[last] == v.padded_shape[last] && v.before[last] == 0;
    const bool over_border = v.ndim && mode == PadMode::constant;  // a border of whole slices is a border of elements
    if (plain && (over_plain || over_border) && v.strides[last] == stride * n) {
      v.shape[last] *= n;
      v.padded_shape[last] *= n;
      v.before[last] *= n;
      v.strides[last] = stride;
    } else {
      v.shape[v.ndim] = n;
      v.padded_shape[v.ndim] = padded;
      v.strides[v.ndim] = stride;
      v.before[v.ndim++] = before[d];
    }
  }
  if (v.ndim == 0) v.shape[0] = v.padded_shape[0] = v.strides[0] = 1, v.before[0] = 0, v.ndim = 1;
  while (v.first_padded < v.ndim && v.shape[v.first_padded] == v.padded_shape[v.first_padded] && v.before[v.first_padded] == 0)
    ++v.first_padded;
  return v;
}

}  // namespace

Array pad(const Array& x, const Dims& before, const Dims& after, int64_t mode, const Operand& value) {
  check_pads("pad", x, before, after, mode);
  check(value.kind != Operand::tensor, ErrorKind::type, "pad: the value must be a number");
  const auto kind = static_cast<PadMode>(mode);
  Dims shape = x.shape;
  for (int d = 0; d < x.ndim(); ++d) shape[d] = padded_size(x, before, after, kind, d);
  Array out = empty(shape, x.dtype);
  if (out.numel() == 0) return out;
  if (x.numel() == 0) return full(shape, value, x.dtype);
  Pad v = view_of(kind, x, shape, before);
  Array border;
  if (kind == PadMode::constant) {
    border = full({}, value, x.dtype);
    v.value = border.data();
  }
  const auto kernel = table_of(x.device()).pad;
  if (!kernel) missing_kernel("pad", x.dtype);
  raise_unless_ok("pad", kernel(launch_on(x.device()), v, x.data(), out.data()));
  return out;
}

Array pad_backward(const Array& dy, const Dims& before, const Dims& after, int64_t mode) {
  check_pads("pad_backward", dy, before, after, mode);
  check_floating("pad_backward", dy);
  const auto kind = static_cast<PadMode>(mode);
  Dims shape = dy.shape;
  bool padded = false;
  for (int d = 0; d < dy.ndim(); ++d) {
    shape[d] = dy.shape[d] - before[d] - after[d];
    padded = padded || before[d] || after[d];
    check(shape[d] >= 0, ErrorKind::runtime, "pad_backward: a tensor of shape {} cannot have had the pads {} and {}", dy.shape,
          before, after);
  }
  if (!padded) return clone(dy);
  if (dy.numel() == 0) return zeros(shape, dy.dtype);
  const Array in = contiguous(dy);
  Array dx = empty(shape, dy.dtype);
  for (int d = 0; d < dx.ndim(); ++d) {  // the forward's own conditions
    const bool same = dy.shape[d] == padded_size(dx, before, after, kind, d);
    check(same, ErrorKind::runtime, "pad_backward: wrong size in dim {}", d);
  }
  if (dx.numel() == 0) return dx;
  const Pad v = view_of(kind, dx, dy.shape, before);
  const auto kernel = table_of(dy.device()).pad_backward;
  if (!kernel) missing_kernel("pad_backward", dy.dtype);
  raise_unless_ok("pad_backward", kernel(launch_on(dy.device()), v, in.data(), dx.data()));
  return dx;
}

}  // namespace tg::ops
