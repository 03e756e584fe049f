// The gradient of a depthwise convolution's filter, one plane: products of x and y's gradient, a register of sums for each tap.
//
//     y's gradient             x
//     line r      [--------->  line r + tap    as many lines of y at a time as registers hold: a register of x, once loaded, is
//     line r + 1  [--------->  ...             multiplied with every one that a line of the filter brings it together with
#pragma once
#include "kernels/cpu/conv2d/depthwise_rows.h"

namespace tg::TG_ISA {

// The gradient of the filter: in = x, out = y's gradient (read only). sums[i * kernel + j], a register each, += the products of
// this plane. Chains of additions end after about 512 terms, at a line of y.
TG_INLINE int64_t lines_per_chain(int64_t width, int64_t lanes, int64_t rows) {
  return round_up(ceil_div(kc, ceil_div(width, lanes)), rows);
}

// filter_rows lines of the filter from line i0 on, and of y the lines [begin, end).
template <class T, int k, int stride, int filter_rows, int rows>
TG_INLINE void depthwise_weight_lines(const DepthwisePlane<T>& p, const Taps<T, k, stride>& taps, int64_t i0, int64_t r,
                                      int64_t q, Vec<T> (&sum)[filter_rows][k]) {
  Vec<T> dy[rows];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) dy[i] = Vec<T>::load(p.out.data + (r + i) * p.out.row + q, p.out.width - q);
#pragma GCC unroll 16
  for (int t = 0; t < (rows - 1) * stride + filter_rows; ++t) {
    const int64_t line = r * stride + i0 + t - p.padding[0];
    if (line < 0 || line >= p.in.height) continue;
    const T* const x = p.in.data + line * p.in.row;
#pragma GCC unroll 8
    for (int j = 0; j < k; ++j) {
      const Vec<T> pixels = taps.template load<false>(x, j);
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) {
        const int tap = t - i * stride;
        if (tap >= 0 && tap < filter_rows) sum[tap][j] = fma(dy[i], pixels, sum[tap][j]);
      }
    }
  }
}

template <class T, int k, int stride, int filter_rows>
[[gnu::noinline]] static void depthwise_weight_plane(const DepthwisePlane<T>& p, int64_t i0, Vec<T>* sums) {
  constexpr int rows = stride > 1 ? 2 : Vec<float>::width == 16 && k == 3 ? 7 : 4;
  const int64_t step = lines_per_chain(p.out.width, Vec<T>::width, rows);
  for (int64_t begin = 0; begin < p.out.height; begin += step) {
    const int64_t end = smaller(begin + step, p.out.height);
    Vec<T> sum[filter_rows][k];
#pragma GCC unroll 8
    for (int i = 0; i < filter_rows; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < k; ++j) sum[i][j] = Vec<T>(T(0));
    for (int64_t q = 0; q < p.out.width; q += Vec<T>::width) {
      const Taps<T, k, stride> taps(q * stride - p.padding[1], p.in.width);
      int64_t r = begin;
      for (; r + rows <= end; r += rows) {
        if (q == 0 && i0 == 0) {
          fetch_ahead(p.in.data + r * stride * p.in.row, rows * stride * p.in.row);
          fetch_ahead(p.out.data + r * p.out.row, rows * p.out.row);
        }
        depthwise_weight_lines<T, k, stride, filter_rows, rows>(p, taps, i0, r, q, sum);
      }
      for (; r < end; ++r) depthwise_weight_lines<T, k, stride, filter_rows, 1>(p, taps, i0, r, q, sum);
    }
#pragma GCC unroll 8
    for (int i = 0; i < filter_rows; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < k; ++j) sums[(i0 + i) * k + j] += sum[i][j];
  }
}

template <class T, int stride> [[gnu::noinline]] static void depthwise_any_weight_plane(const DepthwisePlane<T>& p,
                                                                                        Vec<T>* sums) {
  const int64_t step = lines_per_chain(p.out.width, Vec<T>::width, 1);
  for (int64_t begin = 0; begin < p.out.height; begin += step)
    for (int64_t i = 0; i < p.kernel[0]; ++i)
      for (int64_t j = 0; j < p.kernel[1]; ++j) {
        Vec<T> sum(T(0));
        for (int64_t r = begin; r < smaller(begin + step, p.out.height); ++r) {
          const int64_t line = r * stride + i * p.dilation[0] - p.padding[0];
          if (line < 0 || line >= p.in.height) continue;
          for (int64_t q = 0; q < p.out.width; q += Vec<T>::width) {
            const Tap<stride, T> tap(q * stride + j * p.dilation[1] - p.padding[1], p.in.width);
            const Vec<T> dy = Vec<T>::load(p.out.data + r * p.out.row + q, p.out.width - q);
            sum = fma(dy, tap.load(p.in.data + line * p.in.row), sum);
          }
        }
        sums[i * p.kernel[1] + j] += sum;
      }
}

}  // namespace tg::TG_ISA
