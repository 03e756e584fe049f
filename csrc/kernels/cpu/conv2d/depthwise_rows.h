// One plane of a depthwise convolution: a k x k filter over lines of pixels. Nothing is padded or copied: loads leave out the
// lanes beyond the ends of a line, lines beyond the plane are left out.
//
//        x                         y
//     line 0  [--------->          `rows` lines at a time, so that a register of x, once loaded, is
//     line 1  [--------->  ---->   multiplied with a filter line for every line of y that it touches
//     ...     [--------->          [--------->
//                                  [--------->
#pragma once
#include "kernels/cpu/conv2d/phases.h"
#include "kernels/cpu/matmul/pack.h"

namespace tg::TG_ISA {

// The lines of a plane that is read, or written.
template <class T> struct Lines {
  T* data;
  int64_t height, width, row;
};

template <class T> struct DepthwisePlane {
  Lines<const T> in;
  Lines<T> out;
  const T* filter;  // taps, line by line
  int64_t kernel[2], stride, dilation[2];
  int64_t padding[2];  // zeros before in's lines and columns; may be negative
  T bias, least;       // out = max(least, sum + bias)
  bool add;            // to what out holds
  bool stream;         // past the caches
};

// How many lines of y at a time, and how many filter lines of the gradient's sums: what the registers hold; and the widest filter
// that is held in them, too.
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16) || defined(TG_ISA_neon)
template <int k> inline constexpr int depthwise_rows = k == 5 ? 4 : 7;
template <int k> inline constexpr int depthwise_filter_rows = 3;
inline constexpr int widest_held_filter = 5;
#else
template <int k> inline constexpr int depthwise_rows = k == 3 ? 4 : 7;
template <int k> inline constexpr int depthwise_filter_rows = k == 3 ? 3 : k == 5 ? 2 : 1;
inline constexpr int widest_held_filter = 3;
#endif

// Pixels first, first + stride, ...: a register of them.
template <int stride, class T> struct Tap {
  Lanes<T> low, high;
  int64_t first;
  Tap() = default;
  TG_INLINE Tap(int64_t from, int64_t width)
      : low(lanes_within<T>(from, width)), high(lanes_within<T>(from + Vec<T>::width, width)), first(from) {}
  TG_INLINE Vec<T> load(const T* line) const {
    const T* const p = address(line, first);
    if constexpr (stride == 1) return load_lanes(p, low);
    else return even_lanes(load_lanes(p, low), load_lanes(address(p, Vec<T>::width), high));
  }
};

// Hardware fetches ahead within a page; beyond it, lines are touched by hand.
template <class T> TG_INLINE void fetch_ahead(const T* p, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(T)))
    __builtin_prefetch(address(p, 4096 / int64_t(sizeof(T)) + i), 0, 3);
}

// The taps of a filter line, for the register of columns at q.
template <class T, int k, int stride> struct Taps {
  Lanes<T> low[k], high[k];
  int64_t first;
  bool inside;  // no lane of any tap lies outside
  TG_INLINE Taps(int64_t from, int64_t width)
      : first(from), inside(from >= 0 && from + k - 1 + stride * Vec<T>::width <= width) {
#pragma GCC unroll 8
    for (int j = 0; j < k; ++j) {
      low[j] = lanes_within<T>(from + j, width);
      if (stride > 1) high[j] = lanes_within<T>(from + j + Vec<T>::width, width);
    }
  }
  template <bool whole> TG_INLINE Vec<T> load(const T* line, int j) const {
    const T* const p = address(line, first + j);
    if constexpr (stride == 1) return whole ? Vec<T>::load(p) : load_lanes(p, low[j]);
    else if constexpr (whole) return even_lanes(Vec<T>::load(p), Vec<T>::load(p + Vec<T>::width));
    else return even_lanes(load_lanes(p, low[j]), load_lanes(address(p, Vec<T>::width), high[j]));
  }
};
// Masks fill the registers where they are as wide as the numbers: there, columns inside have a loop without them.
template <class T> inline constexpr bool masks_are_dear = sizeof(Lanes<T>) > 2;

// The taps of a filter, in registers or broadcast from memory where they are used.
template <class T, int k, bool held = (k <= widest_held_filter)> struct Filter {
  Vec<T> taps[k * k];
  TG_INLINE explicit Filter(const T* from) {
#pragma GCC unroll 25
    for (int i = 0; i < k * k; ++i) taps[i] = Vec<T>(from[i]);
  }
  TG_INLINE Vec<T> operator[](int i) const { return taps[i]; }
};
template <class T, int k> struct Filter<T, k, false> {
  const T* taps;
  explicit Filter(const T* from) : taps(from) {}
  TG_INLINE Vec<T> operator[](int i) const { return Vec<T>(taps[i]); }
};

// Lines [r, r + rows) and the register of columns at q.
template <class T, int k, int stride, int rows, bool whole>
TG_INLINE void depthwise_lines(const DepthwisePlane<T>& p, const Filter<T, k>& filter, const Taps<T, k, stride>& taps,
                               int64_t r, int64_t q) {
  Vec<T> sum[rows];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) sum[i] = Vec<T>(T(0));
#pragma GCC unroll 16
  for (int t = 0; t < (rows - 1) * stride + k; ++t) {
    const int64_t line = r * stride + t - p.padding[0];
    if (line < 0 || line >= p.in.height) continue;
    const T* const x = p.in.data + line * p.in.row;
#pragma GCC unroll 8
    for (int j = 0; j < k; ++j) {
      const Vec<T> pixels = taps.template load<whole>(x, j);
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) {
        const int tap = t - i * stride;
        if (tap >= 0 && tap < k) sum[i] = fma(filter[tap * k + j], pixels, sum[i]);
      }
    }
  }
  const int64_t n = p.out.width - q;
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    T* const y = p.out.data + (r + i) * p.out.row + q;
    if (p.add) sum[i] += Vec<T>::load(y, n);
    const Vec<T> result = max_or_second(Vec<T>(p.least), sum[i] + Vec<T>(p.bias));
    p.stream ? stream_out(y, result) : store_first(result, y, n);
  }
}

// The last lines of a plane, fewer than `rows`, together: one alone would wait for its own chain of additions.
template <class T, int k, int stride, int rows>
TG_INLINE void depthwise_last_lines(const DepthwisePlane<T>& p, const Filter<T, k>& filter, const Taps<T, k, stride>& taps,
                                    int64_t r, int64_t q) {
  if constexpr (rows > 0) {
    if (p.out.height - r == rows) return depthwise_lines<T, k, stride, rows, false>(p, filter, taps, r, q);
    depthwise_last_lines<T, k, stride, rows - 1>(p, filter, taps, r, q);
  }
}

template <class T, int k, int stride> [[gnu::noinline]] static void depthwise_plane(const DepthwisePlane<T>& p) {
  constexpr int rows = stride == 1 ? depthwise_rows<k> : 2;
  const Filter<T, k> filter(p.filter);
  for (int64_t q = 0; q < p.out.width; q += Vec<T>::width) {
    const Taps<T, k, stride> taps(q * stride - p.padding[1], p.in.width);
    int64_t r = 0;
    for (; r + rows <= p.out.height; r += rows) {
      if (q == 0) {
        fetch_ahead(p.in.data + r * stride * p.in.row, rows * stride * p.in.row);
        if (!p.stream) fetch_ahead(p.out.data + r * p.out.row, rows * p.out.row);
      }
      if (masks_are_dear<T> && taps.inside) depthwise_lines<T, k, stride, rows, masks_are_dear<T>>(p, filter, taps, r, q);
      else depthwise_lines<T, k, stride, rows, false>(p, filter, taps, r, q);
    }
    depthwise_last_lines<T, k, stride, rows - 1>(p, filter, taps, r, q);
  }
}

// Any filter and dilation.
template <class T, int stride> [[gnu::noinline]] static void depthwise_any_plane(const DepthwisePlane<T>& p) {
  for (int64_t r = 0; r < p.out.height; ++r)
    for (int64_t q = 0; q < p.out.width; q += Vec<T>::width) {
      Vec<T> sum(T(0));
      for (int64_t i = 0; i < p.kernel[0]; ++i) {
        const int64_t line = r * stride + i * p.dilation[0] - p.padding[0];
        if (line < 0 || line >= p.in.height) continue;
        for (int64_t j = 0; j < p.kernel[1]; ++j) {
          const Tap<stride, T> tap(q * stride + j * p.dilation[1] - p.padding[1], p.in.width);
          sum = fma(Vec<T>(p.filter[i * p.kernel[1] + j]), tap.load(p.in.data + line * p.in.row), sum);
        }
      }
      T* const y = p.out.data + r * p.out.row + q;
      if (p.add) sum += Vec<T>::load(y, p.out.width - q);
      store_first(max_or_second(Vec<T>(p.least), sum + Vec<T>(p.bias)), y, p.out.width - q);
    }
}

}  // namespace tg::TG_ISA
