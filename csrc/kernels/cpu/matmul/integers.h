// Integer matrix products, in the operands' own type with wrap-around, as PyTorch computes them. They serve index arithmetic
// and small exact checks, not training: a plain loop in an order the compiler can vectorise.
#pragma once
#include "kernels/cpu/matmul/blocks.h"

namespace tg::TG_ISA {

// Arithmetic in the unsigned type of the same size wraps without being undefined.
template <class S> struct unsigned_of;
template <> struct unsigned_of<int64_t> { using type = uint64_t; };
template <> struct unsigned_of<int32_t> { using type = uint32_t; };
template <> struct unsigned_of<int8_t> { using type = uint32_t; };
template <> struct unsigned_of<uint8_t> { using type = uint32_t; };

template <class S> [[gnu::noinline]] static void integer_product(const Product<S>& p) {
  using U = typename unsigned_of<S>::type;
  constexpr int64_t columns = 64;  // sums of one line of c that stay in the first-level cache
  for (int64_t j = 0; j < p.N; j += columns) {
    const int64_t n = smaller(columns, p.N - j);
    for (int64_t i = 0; i < p.M; ++i) {
      S* const c = p.c + i * p.c_stride + j;
      U sums[columns];
      for (int64_t q = 0; q < n; ++q) sums[q] = p.accumulate ? U(c[q]) : U(0);
      for (int64_t k = 0; k < p.K; ++k) {
        const U a = U(*p.a.at(k, i).data);
        const Source<S> b = p.b.at(k, j);
        if (b.j_stride == 1)
          for (int64_t q = 0; q < n; ++q) sums[q] += a * U(b.data[q]);
        else
          for (int64_t q = 0; q < n; ++q) sums[q] += a * U(b.data[q * b.j_stride]);
      }
      for (int64_t q = 0; q < n; ++q) {
        S x = S(p.finish.bias ? sums[q] + U(p.finish.bias[j + q]) : sums[q]);
        if (p.finish.pre_activation) p.finish.pre_activation[i * p.c_stride + j + q] = x;
        if (p.finish.activation == Activation::relu && x < 0) x = 0;
        c[q] = x;
      }
    }
  }
}

}  // namespace tg::TG_ISA
