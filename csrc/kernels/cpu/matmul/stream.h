// Products with one or two rows of a: every element of b is used once or twice, so reading b at the speed of memory is all
// that counts. No packing, no tiles; the chains of FMAs, and so the bits, are the tile's.
//
//   b's lines contiguous: long runs of 8 lines side by side, the sums of the span waiting in the first-level cache
//
//            span columns
//     k    [---------->                    chain[j] = fma(a[k+7], b[k+7][j], ... fma(a[k], b[k][j], chain[j]))
//     ...  [---------->
//     k+7  [---------->
//
//   otherwise: width x width blocks, turned in registers where columns are contiguous, the chains of `width` columns in one
//   register
#pragma once
#include "kernels/cpu/matmul/pack.h"

namespace tg::TG_ISA {

inline constexpr int64_t stream_rows = 2, stream_span = 1024;

// Where the sums of a stream go: sums (rows, n), to which the chains over the blocks of k are added in order.
template <class T> struct StreamSums {
  T* sums;
  int64_t stride, rows, n;
  bool accumulate;
  TG_INLINE void add(int64_t k, int64_t i, int64_t j, Vec<T> chain) const {
    T* const out = sums + i * stride + j;
    (k > 0 || accumulate ? Vec<T>::load(out, n - j) + chain : chain).store(out, n - j);
  }
};

// chain[0 .. n) continued by `lines` terms.
template <class T, int lines> TG_INLINE void continue_chains(Source<T> a, Source<T> b, T* chain, int64_t n) {
  Vec<T> factor[lines];
#pragma GCC unroll 8
  for (int q = 0; q < lines; ++q) factor[q] = Vec<T>(*a.at(q, 0).data);
  for (int64_t j = 0; j < n; j += Vec<T>::width) {
    Vec<T> x = Vec<T>::load(chain + j);
#pragma GCC unroll 8
    for (int q = 0; q < lines; ++q) x = fma(factor[q], Vec<T>::load(b.at(q, j).data, n - j), x);
    x.store(chain + j);
  }
}

// n <= stream_span
template <class T>
[[gnu::noinline]] static void stream_lines(Source<T> a, Source<T> b, int64_t K, const StreamSums<T>& s) {
  T chain[stream_rows][stream_span];
  for (int64_t k0 = 0; k0 == 0 || k0 < K; k0 += kc) {
    const int64_t end = smaller(k0 + kc, K);
    __builtin_memset(chain, 0, sizeof chain);
    int64_t k = k0;
    for (; k + 8 <= end; k += 8)
      for (int64_t i = 0; i < s.rows; ++i) continue_chains<T, 8>(a.at(k, i), b.at(k, 0), chain[i], s.n);
    for (; k < end; ++k)
      for (int64_t i = 0; i < s.rows; ++i) continue_chains<T, 1>(a.at(k, i), b.at(k, 0), chain[i], s.n);
    for (int64_t i = 0; i < s.rows; ++i)
      for (int64_t j = 0; j < s.n; j += Vec<T>::width) s.add(k0, i, j, Vec<T>::load(chain[i] + j));
  }
}

template <class T>
[[gnu::noinline]] static void stream_columns(Source<T> a, Source<T> b, int64_t K, const StreamSums<T>& s) {
  constexpr int width = Vec<T>::width;
  for (int64_t j = 0; j < s.n; j += width)
    for (int64_t k0 = 0; k0 == 0 || k0 < K; k0 += kc) {
      const int64_t end = smaller(k0 + kc, K);
      Vec<T> chain[stream_rows];
#pragma GCC unroll 2
      for (int64_t i = 0; i < stream_rows; ++i) chain[i] = Vec<T>(T(0));
      for (int64_t k = k0; k < end; k += width) {
        Vec<T> block[width];
        if (b.k_stride == 1 && k + width <= end && j + width <= s.n) {
#pragma GCC unroll 16
          for (int q = 0; q < width; ++q) {
            const T* const column = b.at(k, j + q).data;
            __builtin_prefetch(column + 512 / sizeof(T), 0, 2);
            block[q] = Vec<T>::load(column);
          }
          transpose(block);
        } else {
          T edge[width][width] = {};
          pack_elements<T>(b.at(k, j), smaller(width, end - k), s.n - j, edge[0], width, width);
#pragma GCC unroll 16
          for (int q = 0; q < width; ++q) block[q] = Vec<T>::load(edge[q]);
        }
#pragma GCC unroll 16
        for (int q = 0; q < width; ++q) {
          if (k + q >= end) break;
#pragma GCC unroll 2
          for (int64_t i = 0; i < stream_rows; ++i)
            if (i < s.rows) chain[i] = fma(Vec<T>(*a.at(k + q, i).data), block[q], chain[i]);
        }
      }
#pragma GCC unroll 2
      for (int64_t i = 0; i < stream_rows; ++i)
        if (i < s.rows) s.add(k0, i, j, chain[i]);
    }
}

template <class T> static void stream(Source<T> a, Source<T> b, int64_t K, const StreamSums<T>& sums) {
  if (b.j_stride == 1) stream_lines(a, b, K, sums);
  else stream_columns(a, b, K, sums);
}

}  // namespace tg::TG_ISA
