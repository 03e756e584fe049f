// One matrix product (or one thread's part of it), cut into blocks that stay in the caches.
//
//                     N                         for each nc columns of b and c                     "jc" in BLIS
//             +-----+-----+-----+                 for each mc rows of c (all, if c holds sums)     "ic"
//           K |     |#####|     | b                 for each kc = 512 terms of k                   "pc"
//             +-----+-----+-----+                     pack b's block (kc, nc)          2nd-level cache
//        K                                            for each mr rows                             "ir"
//     +-----+ +-----+-----+-----+                       pack or point at a's rows (mr, kc)    1st-level cache
//   M |=====| |     |==#==|     | c                     for each nr columns                        "jr"
//     |  a  | |     |     |     |                         multiply_tile: c (mr, nr) += a (mr, kc) b (kc, nr)
//     +-----+ +-----+-----+-----+
//
// Sums are kept in c where c has their type, otherwise (16-bit floats, or c written by columns) in scratch.
#pragma once
#include "kernels/cpu/matmul/finish.h"
#include "kernels/cpu/matmul/pack.h"

namespace tg::TG_ISA {

// Numerics, not tuning: every element is a sum over blocks of 512 terms, each block one chain of FMAs from zero, the blocks
// added in order. The same for every tile, instruction set and number of threads.
inline constexpr int64_t kc = 512;

// A packed block of b fills half of a common second-level cache: 1 MB where there is AVX-512, 512 KB elsewhere.
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
inline constexpr int64_t b_block_bytes = 512 << 10;
#else
inline constexpr int64_t b_block_bytes = 256 << 10;
#endif
template <class P> inline constexpr int64_t kc_elements = kc / P::terms;
template <class P>
inline constexpr int64_t nc = b_block_bytes / int64_t(kc_elements<P> * sizeof(typename P::Element)) / nr<P> * nr<P>;
inline constexpr int64_t mc = 256;  // rows of scratch sums: with nc columns they take about as much as a block of b

// Copied rows of a lie 64 bytes more than a block apart, so that they do not all fall into one set of the cache.
template <class P> inline constexpr int64_t a_row_gap = 64 / sizeof(typename P::Element);

TG_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
TG_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
// At most `largest`, a multiple of `unit`, and such that `total` is cut into nearly equal pieces.
TG_INLINE int64_t balanced(int64_t total, int64_t largest, int64_t unit) {
  if (total <= largest) return round_up(total, unit);
  return round_up(ceil_div(total, ceil_div(total, largest)), unit);
}

template <class S> struct Product {
  int64_t M, N, K;
  Source<S> a;             // element (k, i)
  Source<S> b;             // element (k, j)
  S* c;                    // element (i, j) at c[i * c_stride + j]
  int64_t c_stride;
  bool c_by_columns;       // ... at c[j * c_stride + i] instead
  bool accumulate;
  Finish<S> finish;        // for all of c; bias runs along the rows of c as it lies in memory
};

template <class P, class S> struct Blocks {
  using Element = typename P::Element;
  using Sum = typename P::Sum;
  static constexpr bool c_has_sum_type = sizeof(S) == sizeof(Sum);
  static constexpr bool elements_are_stored = sizeof(S) * P::terms == sizeof(Element);  // no conversion when packing

  static bool uses_scratch(const Product<S>& p) { return !c_has_sum_type || p.c_by_columns; }

  // Workspace in bytes: packed b, packed rows of a, scratch sums.
  static int64_t b_bytes(int64_t N, int64_t K) {
    return round_up(smaller(ceil_div(K, P::terms), kc_elements<P>) * smaller(round_up(N, nr<P>), nc<P>) * sizeof(Element), 64);
  }
  static int64_t a_bytes() { return mr * (kc_elements<P> + a_row_gap<P>) * sizeof(Element); }
  static int64_t sums_bytes(int64_t M, int64_t N) {
    return round_up(smaller(M, mc) * smaller(round_up(N, nr<P>), nc<P>) * sizeof(Sum), 64);
  }
  static int64_t workspace(const Product<S>& p) {
    return b_bytes(p.N, p.K) + a_bytes() + (uses_scratch(p) ? sums_bytes(p.M, p.N) : 0);
  }

  const Product<S>& p;
  Element* b_packed;
  Element* a_packed;
  Sum* scratch;
  bool pack_all_of_b, copy_rows_of_a;

  Blocks(const Product<S>& product, void* workspace) : p(product) {
    char* const base = static_cast<char*>(workspace);
    b_packed = reinterpret_cast<Element*>(base);
    a_packed = reinterpret_cast<Element*>(base + b_bytes(p.N, p.K));
    scratch = reinterpret_cast<Sum*>(base + b_bytes(p.N, p.K) + a_bytes());
    // b is read once per row of tiles. One or two readings do not pay for a copy, unless its lines are pages apart and each
    // would need its own address translation for 64 bytes.
    const int64_t readings = ceil_div(p.M, mr);
    const bool far_apart = p.b.k_stride * int64_t(sizeof(S)) >= 4096;
    const bool fits_first_cache = p.K * p.N * int64_t(sizeof(S)) <= 32 << 10;
    pack_all_of_b = !elements_are_stored || P::terms > 1 || p.b.j_stride != 1 ||
                    (!fits_first_cache && readings > (far_apart ? 1 : 2));
    // Rows of a that lie a page or more apart compete for the same sets of the cache: worth a copy if read often.
    copy_rows_of_a = !elements_are_stored || p.a.j_stride % P::terms != 0 ||
                     (p.a.j_stride * int64_t(sizeof(S)) >= 4000 && p.N > 2 * nr<P>);
  }

  [[gnu::noinline]] void run() {
    const int64_t columns = balanced(p.N, nc<P>, nr<P>), rows = uses_scratch(p) ? mc : p.M;
    for (int64_t j = 0; j < p.N; j += columns)
      for (int64_t i = 0; i < p.M; i += rows)
        block_of_c(i, smaller(rows, p.M - i), j, smaller(columns, p.N - j));
  }

 private:
  static int64_t registers(int64_t columns) { return ceil_div(columns, Vec<Sum>::width); }

  // c (rows, columns) at (i0, j0), all of K.
  void block_of_c(int64_t i0, int64_t rows, int64_t j0, int64_t columns) {
    Sum* sums = scratch;
    int64_t sums_stride = smaller(round_up(p.N, nr<P>), nc<P>);
    if constexpr (c_has_sum_type) {
      if (!p.c_by_columns) {
        sums = p.c + i0 * p.c_stride + j0;
        sums_stride = p.c_stride;
      }
    }
    if (uses_scratch(p) && p.accumulate) load_sums(i0, rows, j0, columns, sums, sums_stride);

    const int64_t tile_rows = balanced(rows, mr, 1);
    int64_t k = 0;
    do {  // once even if K is 0: c is then the empty sum
      const int64_t depth = smaller(kc, p.K - k);
      const bool first = k == 0, last = k + depth == p.K;
      if (pack_all_of_b) pack_b(k, depth, j0, columns);
      for (int64_t i = 0; i < rows; i += tile_rows) {
        const int64_t m = smaller(tile_rows, rows - i);
        Sum* const c = sums + i * sums_stride;
        row_of_tiles(i0 + i, m, k, depth, j0, columns, c, sums_stride, !first || p.accumulate);
        if (last) finish(i0 + i, m, j0, columns, c, sums_stride);
      }
      k += depth;
    } while (k < p.K);
  }

  // The panels of b for kc terms and nc columns. Where a line of b is contiguous, a few lines at a time go to all panels, so
  // that memory is read in long runs.
  void pack_b(int64_t k0, int64_t depth, int64_t j0, int64_t columns) {
    const int64_t lines = p.b.j_stride == 1 ? 8 : kc, panel_elements = ceil_div(depth, P::terms) * nr<P>;
    for (int64_t k = 0; k < depth; k += lines)
      for (int64_t j = 0; j < columns; j += nr<P>) {
        const int64_t n = smaller(nr<P>, columns - j), ld = round_up(n, Vec<Sum>::width);
        Element* const panel = b_packed + j / nr<P> * panel_elements + k / P::terms * ld;
        pack_panel<P, S>(p.b.at(k0 + k, j0 + j), smaller(lines, depth - k), n, panel, ld);
      }
  }

  // m rows of tiles' worth of a: where it lies, or a packed copy.
  TG_INLINE bool point_at_a(int64_t i, int64_t m, int64_t k, int64_t depth, int64_t columns, TileArguments<P>& t) {
    const Source<S> source = p.a.at(k, i);
    if (source.k_stride == 1) {
      if (copy_rows_of_a || depth % P::terms != 0) {
        t.a = a_packed;
        t.a_stride = kc_elements<P> + a_row_gap<P>;
        pack_rows<P, S>(source, depth, m, a_packed, t.a_stride);
      } else {
        t.a = reinterpret_cast<const Element*>(source.data);
        t.a_stride = source.j_stride / P::terms;
      }
      return true;
    }
    if (elements_are_stored && P::terms == 1 && source.j_stride == 1 && columns <= nr<P>) {
      t.a = reinterpret_cast<const Element*>(source.data);
      t.a_stride = source.k_stride;
    } else {
      t.a = a_packed;
      t.a_stride = m;
      pack_panel<P, S>(source, depth, m, a_packed, m);
    }
    return false;
  }

  void row_of_tiles(int64_t i, int64_t m, int64_t k, int64_t depth, int64_t j0, int64_t columns, Sum* c, int64_t c_stride,
                    bool add) {
    TileArguments<P> t;
    t.depth = ceil_div(depth, P::terms);
    const bool a_by_rows = point_at_a(i, m, k, depth, columns, t);
    for (int64_t j = 0; j < columns; j += nr<P>) {
      const int64_t n = smaller(nr<P>, columns - j), vectors = registers(n);
      t.b_stride = vectors * Vec<Sum>::width;
      if (pack_all_of_b) {
        t.b = b_packed + j / nr<P> * t.depth * nr<P>;
      } else if (n == t.b_stride) {
        t.b = reinterpret_cast<const Element*>(p.b.at(k, j0 + j).data);
        t.b_stride = p.b.k_stride;
      } else {  // the last columns do not fill their registers: pad them
        pack_panel<P, S>(p.b.at(k, j0 + j), depth, n, b_packed, t.b_stride);
        t.b = b_packed;
      }
      const Tile<P> tile = a_by_rows ? find_tile<P, true>(m, vectors) : find_tile<P, false>(m, vectors);
      if (n % Vec<Sum>::width == 0) {
        t.c = c + j;
        t.c_stride = c_stride;
        t.add = add;
        tile(t);
      } else {  // part of a register must not be stored: take the tile aside
        Sum aside[mr * nr<P>];
        t.c = aside;
        t.c_stride = nr<P>;
        t.add = false;
        tile(t);
        add_tile(aside, m, n, c + j, c_stride, add);
      }
    }
  }

  // c (m, n) = or += sums (m, n)
  [[gnu::noinline]] static void add_tile(const Sum* sums, int64_t m, int64_t n, Sum* c, int64_t c_stride, bool add) {
    using V = Vec<Sum>;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; j += V::width) {
        const V x = V::load(sums + i * nr<P> + j);
        Sum* const out = c + i * c_stride + j;
        (add ? V::load(out, n - j) + x : x).store(out, n - j);
      }
  }

  // c's old values into scratch.
  void load_sums(int64_t i0, int64_t rows, int64_t j0, int64_t columns, Sum* sums, int64_t sums_stride) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t row = p.c_by_columns ? j0 + j : i0 + i, col = p.c_by_columns ? i0 + i : j0 + j;
        sums[i * sums_stride + j] = convert<Sum>(p.c[row * p.c_stride + col]);
      }
  }

  Finish<S> finish_at(int64_t row, int64_t col) const {
    Finish<S> f = p.finish;
    if (f.bias) f.bias += col;
    if (f.pre_activation) f.pre_activation += row * p.c_stride + col;
    return f;
  }

  void finish(int64_t i, int64_t m, int64_t j, int64_t columns, Sum* sums, int64_t sums_stride) {
    if (p.c_by_columns) {
      for (int64_t q = 0; q < columns; ++q) {
        Sum line[mr];
        for (int64_t r = 0; r < m; ++r) line[r] = sums[r * sums_stride + q];
        finish_tile<S, Sum>({line, 0, p.c + (j + q) * p.c_stride + i, p.c_stride, 1, m}, finish_at(j + q, i));
      }
      return;
    }
    finish_tile<S, Sum>({sums, sums_stride, p.c + i * p.c_stride + j, p.c_stride, m, columns}, finish_at(i, j));
  }
};

}  // namespace tg::TG_ISA
