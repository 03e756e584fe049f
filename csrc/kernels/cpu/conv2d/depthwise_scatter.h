// The gradient of the input of a depthwise convolution of stride 2, one plane. Lines and columns of x are even or odd, and each
// kind meets every second tap only:
//
//   dx line r     = sum over the taps i with r + padding - i even:  dy line (r + padding - i) / 2
//   even columns  [e0 e1 e2 ...]  a register of sums each; the two are interleaved when they are stored
//   odd columns   [o0 o1 o2 ...]
//
//        k = 3, padding 1        dy   q    q + 1        e += w[1] dy[q]
//                                                       o += w[2] dy[q] + w[0] dy[q + 1]
#pragma once
#include "kernels/cpu/conv2d/depthwise_rows.h"

namespace tg::TG_ISA {

// Columns 2q ... of x from two registers of sums.
template <class T> TG_INLINE void store_interleaved(const DepthwisePlane<T>& p, const Vec<T> (&sum)[2], int64_t r, int64_t q) {
  T* const x = p.out.data + r * p.out.row + 2 * q;
  const int64_t n = p.out.width - 2 * q;
  const Vec<T> pixels[2] = {interleave_low(sum[0], sum[1]), interleave_high(sum[0], sum[1])};
#pragma GCC unroll 2
  for (int64_t h = 0; h < 2; ++h) {
    const int64_t at = h * Vec<T>::width;
    if (at < n) store_first(p.add ? Vec<T>::load(x + at, n - at) + pixels[h] : pixels[h], x + at, n - at);
  }
}

// Any filter and dilation.
template <class T> [[gnu::noinline]] static void depthwise_scatter_any_plane(const DepthwisePlane<T>& p) {
  for (int64_t r = 0; r < p.out.height; ++r)
    for (int64_t q = 0; 2 * q < p.out.width; q += Vec<T>::width) {
      Vec<T> sum[2] = {Vec<T>(T(0)), Vec<T>(T(0))};
      for (int64_t i = 0; i < p.kernel[0]; ++i) {
        const int64_t twice = r + p.padding[0] - i * p.dilation[0];
        if (twice < 0 || twice % 2 != 0 || twice / 2 >= p.in.height) continue;
        const T* const line = p.in.data + twice / 2 * p.in.row;
        for (int64_t j = 0; j < p.kernel[1]; ++j) {
          const int64_t shift = p.padding[1] - j * p.dilation[1], odd = shift & 1;
          const Vec<T> pixels = Tap<1, T>(q + (shift + odd) / 2, p.in.width).load(line);
          sum[odd] = fma(Vec<T>(p.filter[i * p.kernel[1] + j]), pixels, sum[odd]);
        }
      }
      store_interleaved(p, sum, r, q);
    }
}

// A k x k filter whose padding of columns is 2 h + parity: tap j adds dy[q + h + offset(j)] to the sums of kind(j).
template <int k, int parity> struct ScatterTaps {
  static constexpr int kind(int j) { return (parity + j) & 1; }
  static constexpr int offset(int j) { return (parity - j + kind(j)) / 2; }  // falls with j
  static constexpr int low = offset(k - 1), count = offset(0) - low + 1;
};

// A register of columns of line r, which meets the taps first, first + 2, ...
template <class T, int k, int parity, int first>
TG_INLINE void scatter_line(const DepthwisePlane<T>& p, const Tap<1, T> (&taps)[ScatterTaps<k, parity>::count], int64_t r,
                            int64_t q) {
  using S = ScatterTaps<k, parity>;
  Vec<T> sum[2] = {Vec<T>(T(0)), Vec<T>(T(0))};
#pragma GCC unroll 8
  for (int i = first; i < k; i += 2) {
    const int64_t line = (r + p.padding[0] - i) / 2;
    if (r + p.padding[0] < i || line >= p.in.height) continue;
    const T* const dy = p.in.data + line * p.in.row;
#pragma GCC unroll 8
    for (int o = 0; o < S::count; ++o) {
      const Vec<T> pixels = taps[o].load(dy);
#pragma GCC unroll 8
      for (int j = 0; j < k; ++j)
        if (S::offset(j) - S::low == o) sum[S::kind(j)] = fma(Vec<T>(p.filter[i * k + j]), pixels, sum[S::kind(j)]);
    }
  }
  store_interleaved(p, sum, r, q);
}

template <class T, int k, int parity> [[gnu::noinline]] static void scatter_plane(const DepthwisePlane<T>& p) {
  using S = ScatterTaps<k, parity>;
  for (int64_t q = 0; 2 * q < p.out.width; q += Vec<T>::width) {
    Tap<1, T> taps[S::count];
#pragma GCC unroll 8
    for (int o = 0; o < S::count; ++o) taps[o] = Tap<1, T>(q + (p.padding[1] - parity) / 2 + S::low + o, p.in.width);
    for (int64_t r = 0; r < p.out.height; ++r) {
      if (q == 0) {
        fetch_ahead(p.in.data + r / 2 * p.in.row, p.in.row / 2);
        fetch_ahead(p.out.data + r * p.out.row, p.out.row);
      }
      if ((r + p.padding[0]) % 2 == 0) scatter_line<T, k, parity, 0>(p, taps, r, q);
      else scatter_line<T, k, parity, 1>(p, taps, r, q);
    }
  }
}

// in = y's gradient, out = x's; padding and filter as forward. `unrolled`: the size of a square filter that has a loop of its own.
template <class T> static void depthwise_scatter_plane(const DepthwisePlane<T>& p, int unrolled) {
  const bool odd = p.padding[1] % 2 != 0;
  if (unrolled == 3) return odd ? scatter_plane<T, 3, 1>(p) : scatter_plane<T, 3, 0>(p);
  if (unrolled == 5) return odd ? scatter_plane<T, 5, 1>(p) : scatter_plane<T, 5, 0>(p);
  depthwise_scatter_any_plane(p);
}

}  // namespace tg::TG_ISA
