// The geometry of a convolution, one axis (depth, height, width) at a time, and the zeros around its input.
//
//   output line u, tap t   reads   input line  u * step + first + t * spacing   (zero outside)
//
//   forward            y from x: step = stride, first = -padding, spacing = dilation.
//   gradient for x     x from y, in `stride` phases: line f + u * stride of x meets only the taps i for which
//                      f + padding - i * dilation is a multiple of the stride. A phase has step 1 and a part of the taps:
//
//                         stride 2, kernel 3, padding 1     x  0 1 2 3 4 ...
//                         phase 0: lines 0 2 4 ..., tap 1        |   |   |       y[u] w[1]
//                         phase 1: lines 1 3 5 ..., taps 0, 2      |   |         y[u + 1] w[0] + y[u] w[2]
#pragma once
#include "kernels/arguments/conv.h"
#include "kernels/cpu/conv2d/phases.h"
#include "kernels/cpu/matmul/pack.h"

namespace tg::TG_ISA {

TG_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

struct Axis {
  int64_t out = 0, step = 1;                     // outputs; input lines from one to the next
  int64_t taps = 0, first = 0, spacing = 1;      // which input lines output 0 reads
  int64_t weight_first = 0, weight_spacing = 1;  // tap t is line weight_first + t * weight_spacing of the weight
  int64_t result_first = 0, result_spacing = 1;  // output u is line result_first + u * result_spacing of the result
  int64_t low() const { return smaller(first, first + (taps - 1) * spacing); }
  int64_t high() const { return larger(first, first + (taps - 1) * spacing); }
};

TG_INLINE Axis forward_axis(const Conv3d& c, int d) {
  Axis a;
  a.out = c.y.size[d], a.step = c.stride[d];
  a.taps = c.kernel[d], a.first = -c.padding[d], a.spacing = c.dilation[d];
  return a;
}

TG_INLINE Axis backward_axis(const Conv3d& c, int d, int64_t phase) {
  const int64_t stride = c.stride[d], dilation = c.dilation[d], kernel = c.kernel[d];
  Axis a;
  a.out = ceil_div(c.x.size[d] - phase, stride);
  a.result_first = phase, a.result_spacing = stride;
  int64_t period = 1;  // taps of the phase are this far apart
  while (period < kernel && period * dilation % stride) ++period;
  while (a.weight_first < smaller(kernel, period) && (phase + c.padding[d] - a.weight_first * dilation) % stride)
    ++a.weight_first;
  if (a.weight_first >= smaller(kernel, period)) return a;  // no tap
  a.weight_spacing = period;
  a.taps = (kernel - 1 - a.weight_first) / period + 1;
  a.first = (phase + c.padding[d] - a.weight_first * dilation) / stride;
  a.spacing = -(period * dilation / stride);
  return a;
}

// The input as the kernels read it: lines [begin, begin + extent) of every axis, where they lie, or in a copy that has zeros
// outside of the input. A copy may hold every `columns`-th pixel of a line side by side: then neighbouring outputs read
// neighbouring pixels in spite of a stride.
struct Frame {
  bool copied = false;
  int64_t low[3], high[3], step[3];  // of all taps
  int64_t columns = 1, column_pitch = 0;
  int64_t row = 0, plane = 0, channel = 0, image = 0;  // from one to the next

  int64_t extent(int d, int64_t outputs) const { return (outputs - 1) * step[d] + high[d] - low[d] + 1; }
  int64_t pixel_step() const { return columns > 1 ? 1 : step[2]; }
  int64_t column(int64_t at) const { return columns > 1 ? at % columns * column_pitch + at / columns : at; }

  void read_in_place(const Volumes& x) {
    copied = false, columns = 1;
    row = x.stride[1], plane = x.stride[0], channel = x.channel_stride, image = x.batch_stride;
  }
  // Room for the inputs of `outputs` planes, lines and pixels; a channel takes an odd number of cache lines, so that channels
  // do not compete for the same sets of the cache.
  void read_copy(const int64_t (&outputs)[3], int64_t columns_apart, int64_t channels, int64_t line) {
    copied = true, columns = columns_apart;
    column_pitch = ceil_div(extent(2, outputs[2]), columns);
    row = columns * column_pitch;
    plane = row * extent(1, outputs[1]);
    channel = (ceil_div(plane * extent(0, outputs[0]), line) | 1) * line;
    image = channel * channels;
  }
  // Does some output of the axis read beyond an input of this size?
  bool leaves(int d, int64_t outputs, int64_t size) const { return low[d] < 0 || (outputs - 1) * step[d] + high[d] >= size; }
};

// Where the taps of one channel after the other lie, counted from the frame's first element.
TG_INLINE void fill_tap_offsets(const Frame& f, const Axis (&axes)[3], int64_t channels, int64_t* offsets) {
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t0 = 0; t0 < axes[0].taps; ++t0)
      for (int64_t t1 = 0; t1 < axes[1].taps; ++t1)
        for (int64_t t2 = 0; t2 < axes[2].taps; ++t2) {
          auto line = [&](int d, int64_t t) { return axes[d].first + t * axes[d].spacing - f.low[d]; };
          *offsets++ = c * f.channel + line(0, t0) * f.plane + line(1, t1) * f.row + f.column(line(2, t2));
        }
}

// A part of the outputs: images [n, n + images), and of each lines [at, at + count) of every axis.
struct Box {
  int64_t n = 0, images = 1;
  int64_t at[3] = {0, 0, 0}, count[3] = {1, 1, 1};
};

// Lines are short: calls of memset would cost more than the stores.
template <class T> TG_INLINE void clear(T* to, int64_t n) {
  for (int64_t i = 0; i < n; i += Vec<T>::width) store_first(Vec<T>(T(0)), to + i, n - i);
}

template <class T>
static void copy_line(const Frame& f, const T* from, int64_t begin, int64_t extent, int64_t size, T* to) {
  // pixels [begin, begin + extent) of which [left, right) exist
  const int64_t left = smaller(larger(-begin, 0), extent), right = larger(smaller(size - begin, extent), left);
  if (f.columns == 1) {
    clear(to, left);
    for (int64_t i = left; i < right; i += Vec<T>::width)
      store_first(Vec<T>::load(from + begin + i, right - i), to + i, right - i);
    clear(to + right, extent - right);
    return;
  }
  for (int64_t column = 0; column < f.columns; ++column) {
    T* const out = to + column * f.column_pitch;
    for (int64_t i = 0, at = column; i < f.column_pitch; ++i, at += f.columns)
      out[i] = at >= left && at < right ? from[begin + at] : T(0);
  }
}

// Channels [first, first + channels) of the inputs that a box of outputs reads.
template <class T>
[[gnu::noinline]] static void copy_frame(const Frame& f, const Volumes& x, const Box& box, int64_t first, int64_t channels,
                                         T* to) {
  const T* const data = static_cast<const T*>(x.data);
  int64_t begin[3], extent[3];
  for (int d = 0; d < 3; ++d) begin[d] = box.at[d] * f.step[d] + f.low[d], extent[d] = f.extent(d, box.count[d]);
  for (int64_t n = 0; n < box.images; ++n)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t z = 0; z < extent[0]; ++z)
        for (int64_t r = 0; r < extent[1]; ++r) {
          T* const out = to + n * f.image + c * f.channel + z * f.plane + r * f.row;
          const int64_t depth = begin[0] + z, line = begin[1] + r;
          if (depth < 0 || depth >= x.size[0] || line < 0 || line >= x.size[1]) {
            clear(out, f.row);
            continue;
          }
          const T* const from =
              data + (box.n + n) * x.batch_stride + (first + c) * x.channel_stride + depth * x.stride[0] + line * x.stride[1];
          copy_line(f, from, begin[2], extent[2], x.size[2], out);
        }
}

// Where the inputs of a box begin: in the copy, or in x.
template <class T> TG_INLINE const T* frame_begin(const Frame& f, const Volumes& x, const Box& box, int64_t channel) {
  const T* data = static_cast<const T*>(x.data) + box.n * x.batch_stride + channel * x.channel_stride;
  for (int d = 0; d < 3; ++d) data += (box.at[d] * f.step[d] + f.low[d]) * x.stride[d];
  return data;
}

// Where the inputs of the outputs of a box lie, counted from the frame's first element; the last one again up to a multiple of
// `unit`. Returns their number.
static inline int64_t fill_pixel_offsets(const Frame& f, const Box& box, int64_t unit, int64_t* offsets) {
  int64_t m = 0;
  for (int64_t n = 0; n < box.images; ++n)
    for (int64_t z = 0; z < box.count[0]; ++z)
      for (int64_t p = 0; p < box.count[1]; ++p) {
        const int64_t line = n * f.image + z * f.step[0] * f.plane + p * f.step[1] * f.row, step = f.pixel_step();
        for (int64_t q = 0; q < box.count[2]; ++q) offsets[m++] = line + q * step;
      }
  const int64_t count = m;
  for (; m % unit; ++m) offsets[m] = offsets[count - 1];
  return count;
}

}  // namespace tg::TG_ISA
