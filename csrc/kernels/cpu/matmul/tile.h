// The innermost piece of a matrix product: an mr x nr tile of C kept in registers while k runs.
//
//                      nr = vectors * width columns
//            b, row k  [ b0 b0 b0 b0 ][ b1 b1 b1 b1 ]      `vectors` registers, loaded once per k
//          a[0][k]  ->  sum[0][0]      sum[0][1]
//     mr   a[1][k]  ->  sum[1][0]      sum[1][1]           every a is broadcast and multiplied with the row of b
//    rows  a[2][k]  ->  sum[2][0]      sum[2][1]
//
// Per k: vectors + mr loads for mr * vectors FMAs of `width` lanes, so the loads hide behind the arithmetic, and mr * vectors
// chains are in flight, more than the 8 that cover an FMA's latency (4 cycles, two started per cycle).
#pragma once
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// What is multiplied with what. `Element` is a packed operand's element and stands for `terms` consecutive k.
template <class T> struct Products {
  using Element = T;
  using Sum = T;
  static constexpr int terms = 1;
  using Operand = Vec<T>;
  TG_INLINE static Operand load(const Element* p) { return Vec<T>::load(p); }
  TG_INLINE static Operand broadcast(const Element* p) { return Vec<T>(*p); }
  TG_INLINE static Vec<T> multiply_add(Operand a, Operand b, Vec<T> c) { return fma(a, b, c); }
};

#if defined(TG_ISA_avx512_bf16)
// Two neighbouring bfloat16 of k in one 32-bit element: one instruction adds both products to a float. It treats denormals
// as zero.
struct Bf16Pair { uint16_t even, odd; };
struct Bf16Products {
  using Element = Bf16Pair;
  using Sum = float;
  static constexpr int terms = 2;
  using Operand = __m512i;
  TG_INLINE static Operand load(const Element* p) { return _mm512_loadu_si512(p); }
  TG_INLINE static Operand broadcast(const Element* p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, 4);
    return _mm512_set1_epi32(pair);
  }
  TG_INLINE static Vec<float> multiply_add(Operand a, Operand b, Vec<float> c) {
    return Vec<float>::raw(_mm512_dpbf16_ps(c.v, (__m512bh)a, (__m512bh)b));
  }
};
#endif

// How a storage type is multiplied.
template <class S> struct products_of { using type = Products<float>; };
template <> struct products_of<double> { using type = Products<double>; };
#if defined(TG_ISA_avx512_bf16)
template <> struct products_of<bf16> { using type = Bf16Products; };
#endif

// Tile sizes. Wide enough that loads hide behind FMAs, small enough that accumulators, a row of b and one broadcast fit the
// registers: 8 x 3 of AVX-512's 32 (8 x 48 floats), 6 x 2 of 16 (6 x 16 floats with AVX2). With k in blocks of 512 the mr
// rows of a take 16 KB, half of a first-level cache. Measured on Zen 4, one core, b from the second-level cache: 8 x 3 runs
// at 99.6 % of the FMA peak, 14 x 2 at 96 %, AVX2's 6 x 2 at 99 %. NEON has 32 registers, too: 8 x 12 floats (not measured).
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16) || defined(TG_ISA_neon)
inline constexpr int mr = 8, nr_vectors = 3;
#else
inline constexpr int mr = 6, nr_vectors = 2;
#endif
template <class P> inline constexpr int nr = nr_vectors * Vec<typename P::Sum>::width;

// One tile: c (rows, cols) = or += a (rows, depth) b (depth, cols). a_by_rows: a[i][k] lies at a[i * a_stride + k];
// otherwise at a[k * a_stride + i]. b[k][j] lies at b[k * b_stride + j]. cols = vectors * width.
template <class P> struct TileArguments {
  int64_t depth;
  const typename P::Element* a;
  int64_t a_stride;
  const typename P::Element* b;
  int64_t b_stride;
  typename P::Sum* c;
  int64_t c_stride;
  bool add;
  void* narrow;  // for a tile that stores another type C than the sums': c's place
};

// C: the type in which c is stored. If it is not the sums', they are not added to what c holds.
// `fetches`: b lies in memory that no cache holds, its lines far apart, where the processor does not see what comes next: ask
// for the line of the next tile, to the right, while this one is used.
template <class P, int rows, int vectors, bool a_by_rows, bool fetches, class C = typename P::Sum>
[[gnu::noinline]] static void multiply_tile(const TileArguments<P>& t) {
  using V = Vec<typename P::Sum>;
  constexpr int width = V::width;
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) sum[i][j] = V(0);

  const typename P::Element* a = t.a;
  const typename P::Element* b = t.b;
  const int64_t a_stride = t.a_stride;
  for (int64_t k = 0; k < t.depth; ++k) {
    typename P::Operand b_row[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) b_row[j] = P::load(b + j * width);
    if constexpr (fetches)
#pragma GCC unroll 8
      for (int j = 0; j < vectors * width; j += 64 / int(sizeof(typename P::Element)))
        __builtin_prefetch(b + vectors * width + j, 0, 2);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const typename P::Operand a_i = P::broadcast(a_by_rows ? a + i * a_stride : a + i);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) sum[i][j] = P::multiply_add(a_i, b_row[j], sum[i][j]);
    }
    a += a_by_rows ? 1 : a_stride;
    b += t.b_stride;
  }

#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      if constexpr (sizeof(C) != sizeof(typename P::Sum)) {
        sum[i][j].store(static_cast<C*>(t.narrow) + i * t.c_stride + j * width);
      } else {
        typename P::Sum* c = t.c + i * t.c_stride + j * width;
        (t.add ? V::load(c) + sum[i][j] : sum[i][j]).store(c);
      }
    }
}

// multiply_tile for every number of rows and registers, so that a tile at the edge does no more than it must.
template <class P> using Tile = void (*)(const TileArguments<P>&);

template <class P, bool a_by_rows, int rows = mr, class C = typename P::Sum>
TG_INLINE Tile<P> find_tile(int64_t wanted_rows, int64_t vectors) {
  if constexpr (rows > 1)
    if (wanted_rows < rows) return find_tile<P, a_by_rows, rows - 1, C>(wanted_rows, vectors);
  if (nr_vectors > 2 && vectors == nr_vectors) return multiply_tile<P, rows, nr_vectors, a_by_rows, false, C>;
  return vectors == 2 ? multiply_tile<P, rows, 2, a_by_rows, false, C> : multiply_tile<P, rows, 1, a_by_rows, false, C>;
}

// ... of full width, fetching b.
template <class P, bool a_by_rows, int rows = mr> TG_INLINE Tile<P> find_fetching_tile(int64_t wanted_rows) {
  if constexpr (rows > 1)
    if (wanted_rows < rows) return find_fetching_tile<P, a_by_rows, rows - 1>(wanted_rows);
  return multiply_tile<P, rows, nr_vectors, a_by_rows, true>;
}

}  // namespace tg::TG_ISA
