// Products with one or two rows of a and a row-major b: every element of b is used once or twice, so reading b at the speed
// of memory is all that counts. b is read in long runs, `lines` lines side by side, while the sums of `span` columns wait in
// the first-level cache:
//
//        span columns                      sums[j] = fma(a[k+7], b[k+7][j], ... fma(a[k], b[k][j], sums[j]))
//     k   [---------->
//     ..  [---------->  8 lines            the same chain of FMAs, blocks of 512 included, as the tiles compute
//     k+7 [---------->
#pragma once
#include "kernels/cpu/matmul/blocks.h"

namespace tg::TG_ISA {

inline constexpr int64_t stream_rows = 2, stream_span = 1024, stream_lines = 8;

template <class P, class S> TG_INLINE bool can_stream(const Product<S>& p) {
  return P::terms == 1 && sizeof(S) == sizeof(typename P::Sum) && p.M <= stream_rows && p.b.j_stride == 1 && !p.c_by_columns &&
         p.K * p.N * int64_t(sizeof(S)) > 64 << 10;
}

// sums[0 .. n) += the chain over `depth` terms from zero, for one row of a.
template <class T, class S, int lines>
TG_INLINE void stream_lines_of_b(Source<S> a, Source<S> b, T* chain, int64_t n) {
  Vec<T> factor[lines];
#pragma GCC unroll 8
  for (int q = 0; q < lines; ++q) factor[q] = Vec<T>(convert<T>(*a.at(q, 0).data));
  for (int64_t j = 0; j < n; j += Vec<T>::width) {
    Vec<T> sum = Vec<T>::load(chain + j);
#pragma GCC unroll 8
    for (int q = 0; q < lines; ++q) sum = fma(factor[q], Vec<T>::load(b.at(q, j).data, n - j), sum);
    sum.store(chain + j);
  }
}

template <class P, class S> [[gnu::noinline]] static void stream_product(const Product<S>& p) {
  using T = typename P::Sum;
  for (int64_t j = 0; j < p.N; j += stream_span) {
    const int64_t n = smaller(stream_span, p.N - j);
    T sums[stream_rows][stream_span], chain[stream_rows][stream_span];
    for (int64_t i = 0; i < p.M; ++i)
      for (int64_t q = 0; q < n; ++q)
        sums[i][q] = p.accumulate ? convert<T>(p.c[i * p.c_stride + j + q]) : T(0);
    for (int64_t k0 = 0; k0 < p.K; k0 += kc) {
      const int64_t depth = smaller(kc, p.K - k0);
      __builtin_memset(chain, 0, sizeof chain);
      int64_t k = 0;
      for (; k + stream_lines <= depth; k += stream_lines)
        for (int64_t i = 0; i < p.M; ++i)
          stream_lines_of_b<T, S, stream_lines>(p.a.at(k0 + k, i), p.b.at(k0 + k, j), chain[i], n);
      for (; k < depth; ++k)
        for (int64_t i = 0; i < p.M; ++i) stream_lines_of_b<T, S, 1>(p.a.at(k0 + k, i), p.b.at(k0 + k, j), chain[i], n);
      for (int64_t i = 0; i < p.M; ++i)
        for (int64_t q = 0; q < n; ++q)
          sums[i][q] = k0 == 0 && !p.accumulate ? chain[i][q] : sums[i][q] + chain[i][q];
    }
    Finish<S> finish = p.finish;
    if (finish.bias) finish.bias += j;
    if (finish.pre_activation) finish.pre_activation += j;
    finish_tile<S, T>({sums[0], stream_span, p.c + j, p.c_stride, p.M, n}, finish);
  }
}

}  // namespace tg::TG_ISA
