// One matrix product (or one thread's part of it), cut into blocks that stay in the caches.
//
//                     N                         for each nc columns of b and c                     "jc" in BLIS
//             +-----+-----+-----+                 for each mc rows of c (all, if c holds the sums)   "ic"
//           K |     |#####|     | b                 for each kc = 512 terms of k                     "pc"
//             +-----+-----+-----+                     pack b's block (kc, nc)            2nd-level cache
//        K                                            for each mr rows                               "ir"
//     +-----+ +-----+-----+-----+                       point at a's rows, or a copy (mr, kc)  1st level
//   M |=====| |     |==#==|     | c                     for each nr columns                          "jr"
//     |  a  | |     |     |     |                         multiply_tile: c (mr, nr) += a (mr, kc) b (kc, nr)
//     +-----+ +-----+-----+-----+
//
// Sums are kept in c where c has their type, otherwise (16-bit floats, or c written by columns) in scratch; sums of one block
// of k are complete when their tile is, and go from there to c.
#pragma once
#include <type_traits>

#include "kernels/cpu/matmul/finish.h"
#include "kernels/cpu/matmul/pack.h"
#include "kernels/cpu/matmul/stream.h"

namespace tg::TG_ISA {

// A packed block of b fills half of a common second-level cache: 1 MB where there is AVX-512, 512 KB elsewhere.
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
inline constexpr int64_t b_block_bytes = 512 << 10;
#else
inline constexpr int64_t b_block_bytes = 256 << 10;
#endif
template <class P> inline constexpr int64_t kc_elements = kc / P::terms;
template <class P>
inline constexpr int64_t nc = b_block_bytes / int64_t(kc_elements<P> * sizeof(typename P::Element)) / nr<P> * nr<P>;
// Rows of scratch sums. b is packed again for every block of rows, so they are many: 2 MB, which a tile reads and writes as
// rarely as it would c.
inline constexpr int64_t mc = 1024;

// Rows of a are packed for a few tiles at a time, so that a whole line of the cache is used where a is transposed.
inline constexpr int64_t tiles_packed = 8;
// Copied rows and panels lie 64 bytes more than a block apart, so that they do not all fall into one set of the cache.
template <class P> inline constexpr int64_t gap = 64 / sizeof(typename P::Element);

// At most `largest`, a multiple of `unit`, and such that `total` is cut into nearly equal pieces.
TG_INLINE int64_t balanced(int64_t total, int64_t largest, int64_t unit) {
  if (total <= largest) return round_up(total, unit);
  return round_up(ceil_div(total, ceil_div(total, largest)), unit);
}

template <class S> struct Product {
  int64_t M, N, K;
  Source<S> a;  // element (k, i)
  Source<S> b;  // element (k, j)
  S* c;         // element (i, j) at c[i * c_stride + j]
  int64_t c_stride;
  bool c_by_columns;  // ... at c[j * c_stride + i] instead
  bool accumulate;
  Finish<S> finish;  // for all of c; bias runs along the rows of c as it lies in memory
};

template <class P, class S> struct Blocks {
  using Element = typename P::Element;
  using Sum = typename P::Sum;
  static constexpr int width = Vec<Sum>::width;
  static constexpr bool c_has_sum_type = sizeof(S) == sizeof(Sum);
  // Tiles that store c's 16-bit type themselves are made where the multiplications are fast enough for it to show.
  static constexpr bool stores_narrow = !c_has_sum_type && P::terms > 1;
  using Narrow = std::conditional_t<stores_narrow, S, Sum>;
  static constexpr bool operands_are_elements = sizeof(S) * P::terms == sizeof(Element);  // no conversion when packing

  const Product<S>& p;
  int64_t block_rows, block_cols, tile_rows;
  bool streams, packs_b, copies_rows_of_a, prefetches, finishes_tiles, fetches_b;
  Element* b_packed;
  Element* a_packed;
  Sum* scratch;

  Blocks(const Product<S>& product, void* workspace) : p(product) {
    streams = sizeof(S) == sizeof(Sum) && p.M <= stream_rows;
    finishes_tiles = !c_has_sum_type && !p.c_by_columns && !p.accumulate && p.K <= kc;
    block_rows = uses_scratch() ? smaller(p.M, mc) : p.M;
    block_cols = streams ? smaller(p.N, stream_span) : balanced(p.N, nc<P>, nr<P>);
    tile_rows = balanced(p.M, mr, 1);
    // b is read once per row of tiles. Two readings do not pay for a copy, unless registers at its edge would be filled half.
    const int64_t readings = ceil_div(p.M, mr);
    const bool fits_first_cache = p.K * p.N * int64_t(sizeof(S)) <= 32 << 10;
    packs_b = !operands_are_elements || P::terms > 1 || p.b.j_stride != 1 || (p.N % width != 0 && readings > 1) ||
              (!fits_first_cache && readings > 2);
    fetches_b = !packs_b && p.K * p.N * int64_t(sizeof(S)) > 256 << 10;
    // Rows of a that lie a page or more apart compete for the same sets of the cache: worth a copy if read often. (Not in pairs
    // of 16 bits, which take half the room: 2048 x 2048 x 2048 gains 3 % without the copy.)
    copies_rows_of_a = !operands_are_elements || p.a.j_stride % P::terms != 0 ||
                       (P::terms == 1 && p.a.j_stride * int64_t(sizeof(S)) >= 4000 && p.N > 2 * nr<P>);
    // A small product is in the caches already, and a narrow one asks for its rows faster than they can be fetched ahead.
    prefetches = (p.M * p.K + p.M * p.N) * int64_t(sizeof(S)) > 512 << 10 && p.N > 2 * nr<P>;

    char* const base = static_cast<char*>(workspace);
    b_packed = reinterpret_cast<Element*>(base);
    a_packed = reinterpret_cast<Element*>(base + b_bytes(p.N, p.K));
    scratch = reinterpret_cast<Sum*>(base + b_bytes(p.N, p.K) + a_bytes(p.M));
  }

  bool uses_scratch() const { return (!c_has_sum_type || p.c_by_columns) && !finishes_tiles; }

  // Workspace in bytes: packed b, packed rows of a, scratch sums. No smaller product needs more.
  template <class T> static int64_t bytes_of(int64_t count) { return round_up(count * int64_t(sizeof(T)), 64); }
  static int64_t b_bytes(int64_t N, int64_t K) {
    const int64_t depth = smaller(ceil_div(K, P::terms), kc_elements<P>), panels = smaller(ceil_div(N, nr<P>), nc<P> / nr<P>);
    return bytes_of<Element>(panels * (depth * nr<P> + gap<P>));
  }
  static int64_t a_bytes(int64_t M) { return bytes_of<Element>(smaller(M, mr * tiles_packed) * (kc_elements<P> + gap<P>)); }
  static int64_t sums_bytes(int64_t M, int64_t N) {
    const int64_t tiled = smaller(M, mc) * smaller(round_up(N, nr<P>), nc<P>);
    const int64_t streamed = smaller(M, stream_rows) * smaller(N, stream_span);
    return bytes_of<Sum>(tiled > streamed ? tiled : streamed);
  }
  int64_t workspace() const { return b_bytes(p.N, p.K) + a_bytes(p.M) + (uses_scratch() ? sums_bytes(p.M, p.N) : 0); }

  [[gnu::noinline]] void run() {
    for (int64_t j = 0; j < p.N; j += block_cols)
      for (int64_t i = 0; i < p.M; i += block_rows)
        block_of_c(i, smaller(block_rows, p.M - i), j, smaller(block_cols, p.N - j));
  }

 private:
  // One block of c and one block of k.
  struct Block {
    int64_t i0, rows, j0, cols;  // of c
    int64_t k, depth;            // terms
    Sum* sums;                   // (rows, cols)
    int64_t sums_stride;
    bool add;  // to what sums hold
    Sum* at(int64_t i, int64_t j) const { return sums + i * sums_stride + j; }
  };

  // c (rows, cols) at (i0, j0), all of K.
  void block_of_c(int64_t i0, int64_t rows, int64_t j0, int64_t cols) {
    Block block{i0, rows, j0, cols, 0, 0, scratch, block_cols, p.accumulate};
    if (uses_scratch()) {
      if (p.accumulate) load_sums(block);
    } else if constexpr (c_has_sum_type) {
      block.sums = p.c + i0 * p.c_stride + j0;
      block.sums_stride = p.c_stride;
    }
    if constexpr (sizeof(S) == sizeof(Sum)) {
      if (streams) {
        stream<Sum>(p.a.at(0, i0), p.b.at(0, j0), p.K, {block.sums, block.sums_stride, rows, cols, p.accumulate});
        return finish(block, 0, rows);
      }
    }
    do {  // once even if K is 0: c is then the empty sum
      block.depth = smaller(kc, p.K - block.k);
      if (packs_b) {
        const int64_t panel_elements = ceil_div(block.depth, P::terms) * nr<P> + gap<P>;
        Pack<P, S>::panels(p.b.at(block.k, j0), {block.depth, cols, nr<P>, b_packed, panel_elements, true});
      }
      const bool last = block.k + block.depth == p.K;
      for (int64_t i = 0; i < rows; i += tile_rows) {
        row_of_tiles(block, i);
        if (last && !finishes_tiles) finish(block, i, smaller(tile_rows, rows - i));
      }
      block.k += block.depth;
      block.add = true;
    } while (block.k < p.K);
  }

  // The rows of a for the tiles at row i of the block: where they lie, or a packed copy made for several tiles at a time.
  TG_INLINE bool point_at_a(const Block& block, int64_t i, TileArguments<P>& t) {
    const Source<S> source = p.a.at(block.k, block.i0 + i);
    const bool by_rows = source.k_stride == 1;
    if (by_rows && !copies_rows_of_a && block.depth % P::terms == 0) {
      t.a = reinterpret_cast<const Element*>(source.data);
      t.a_stride = source.j_stride / P::terms;
      return true;
    }
    const int64_t tile = i / tile_rows % tiles_packed, packed = smaller(tile_rows * tiles_packed, block.rows - i);
    if (by_rows) {
      t.a_stride = kc_elements<P> + gap<P>;
      if (tile == 0) Pack<P, S>::rows(source, block.depth, packed, a_packed, t.a_stride);
      t.a = a_packed + tile * tile_rows * t.a_stride;
    } else {
      t.a_stride = smaller(tile_rows, block.rows - i);
      const int64_t panel_elements = ceil_div(block.depth, P::terms) * tile_rows + gap<P>;
      if (tile == 0) Pack<P, S>::panels(source, {block.depth, packed, tile_rows, a_packed, panel_elements, false});
      t.a = a_packed + tile * panel_elements;
    }
    return by_rows;
  }

  // While a tile is busy, fetch what is wanted next: its part of c, and its share of the next rows of a. (Inlined because gcc
  // drops calls of functions that only prefetch.)
  TG_INLINE void prefetch(const Block& block, int64_t i, int64_t j) {
    const int64_t end = smaller(j + nr<P>, block.cols);
    const int64_t next = block.i0 + i + (copies_rows_of_a ? tiles_packed : 1) * tile_rows;
    const int64_t last = p.a.k_stride == 1 ? smaller(next + tile_rows, p.M) : 0;
    for (int64_t r = next; r < last; ++r)
      for (int64_t q = block.depth * j / block.cols; q < block.depth * end / block.cols; q += 64 / int64_t(sizeof(S)))
        __builtin_prefetch(p.a.at(block.k + q, r).data, 0, 2);
    if (finishes_tiles) return;
    for (int64_t r = i; r < smaller(i + tile_rows, block.rows); ++r)
      for (int64_t q = j; q < end; q += 64 / int64_t(sizeof(Sum))) __builtin_prefetch(block.at(r, q), 1);
  }

  void row_of_tiles(const Block& block, int64_t i) {
    TileArguments<P> t;
    t.depth = ceil_div(block.depth, P::terms);
    const int64_t m = smaller(tile_rows, block.rows - i);
    const bool a_by_rows = point_at_a(block, i, t);
    const bool plain = p.finish.activation == Activation::none && !p.finish.bias && !p.finish.pre_activation;
    for (int64_t j = 0; j < block.cols; j += nr<P>) {
      if (prefetches) prefetch(block, i, j);
      const int64_t n = smaller(nr<P>, block.cols - j), vectors = ceil_div(n, width);
      const Source<S> b = p.b.at(block.k, block.j0 + j);
      t.b_stride = vectors * width;
      if (packs_b) {
        t.b = b_packed + j / nr<P> * (t.depth * nr<P> + gap<P>);
      } else if (n == t.b_stride) {
        t.b = reinterpret_cast<const Element*>(b.data);
        t.b_stride = b.k_stride;
      } else {  // the last columns do not fill their registers: pad them
        Pack<P, S>::panels(b, {block.depth, n, nr<P>, b_packed, 0, true});
        t.b = b_packed;
      }
      const bool fetches = fetches_b && vectors == nr_vectors;
      const Tile<P> tile = a_by_rows ? fetches ? find_fetching_tile<P, true>(m) : find_tile<P, true>(m, vectors)
                           : fetches ? find_fetching_tile<P, false>(m)
                                     : find_tile<P, false>(m, vectors);
      if (finishes_tiles && stores_narrow && plain && n % width == 0) {
        t.narrow = p.c + (block.i0 + i) * p.c_stride + block.j0 + j;
        t.c_stride = p.c_stride;
        (a_by_rows ? find_tile<P, true, mr, Narrow>(m, vectors) : find_tile<P, false, mr, Narrow>(m, vectors))(t);
      } else if (finishes_tiles) {
        Sum aside[mr * nr<P>];
        t.c = aside;
        t.c_stride = nr<P>;
        t.add = false;
        tile(t);
        if (n == nr<P> && plain) store_sums(aside, m, p.c + (block.i0 + i) * p.c_stride + block.j0 + j, p.c_stride);
        else finish_rows(aside, nr<P>, block.i0 + i, m, block.j0 + j, n);
      } else if (n % width == 0) {
        t.c = block.at(i, j);
        t.c_stride = block.sums_stride;
        t.add = block.add;
        tile(t);
      } else {  // part of a register must not be stored: take the tile aside
        Sum aside[mr * nr<P>];
        t.c = aside;
        t.c_stride = nr<P>;
        t.add = false;
        tile(t);
        add_tile(aside, m, n, block.at(i, j), block.sums_stride, block.add);
      }
    }
  }

  // c (m, nr) = sums (m, nr), in c's type
  TG_INLINE static void store_sums(const Sum* sums, int64_t m, S* c, int64_t c_stride) {
    for (int64_t i = 0; i < m; ++i)
#pragma GCC unroll 4
      for (int64_t j = 0; j < nr<P>; j += width) Vec<Sum>::load(sums + i * nr<P> + j).store(c + i * c_stride + j);
  }

  // c (m, n) = or += sums (m, n)
  [[gnu::noinline]] static void add_tile(const Sum* sums, int64_t m, int64_t n, Sum* c, int64_t c_stride, bool add) {
    using V = Vec<Sum>;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; j += width) {
        const V x = V::load(sums + i * nr<P> + j);
        Sum* const out = c + i * c_stride + j;
        (add ? V::load(out, n - j) + x : x).store(out, n - j);
      }
  }

  // c's old values into scratch.
  void load_sums(const Block& block) {
    for (int64_t i = 0; i < block.rows; ++i)
      for (int64_t j = 0; j < block.cols; ++j) {
        const int64_t row = p.c_by_columns ? block.j0 + j : block.i0 + i, col = p.c_by_columns ? block.i0 + i : block.j0 + j;
        *block.at(i, j) = convert<Sum>(p.c[row * p.c_stride + col]);
      }
  }

  // Rows [i, i + m) of a block whose sums are complete.
  void finish(const Block& block, int64_t i, int64_t m) {
    if (!p.c_by_columns) return finish_rows(block.at(i, 0), block.sums_stride, block.i0 + i, m, block.j0, block.cols);
    for (int64_t j = 0; j < block.cols; ++j) {
      Sum line[mr];
      for (int64_t r = 0; r < m; ++r) line[r] = *block.at(i + r, j);
      finish_rows(line, 0, block.j0 + j, 1, block.i0 + i, m);
    }
  }

  // sums (rows, cols) to c at (row, col)
  void finish_rows(Sum* sums, int64_t sums_stride, int64_t row, int64_t rows, int64_t col, int64_t cols) {
    Finish<S> f = p.finish;
    if (f.bias) f.bias += col;
    if (f.pre_activation) f.pre_activation += row * p.c_stride + col;
    finish_tile<S, Sum>({sums, sums_stride, p.c + row * p.c_stride + col, p.c_stride, rows, cols}, f);
  }
};

}  // namespace tg::TG_ISA
