// Blocks of queries and keys, copied into the order in which the register tile of matmul reads them, and their products.
//
//                 key_block keys                  queries   query_block rows, scaled, one after the other
//               +-----+-----+-----+               keys      panels of nr keys, feature by feature (for q k^T), or
//   query_block |     |     |     |                         one after the other (for dq)
//     rows      |  P: stays in    |               values    one after the other
//               |  the caches     |
//               +-----+-----+-----+               Rows are filled up with zeros to whole registers.
//
// A block of scores is made, used and forgotten; nothing of size rows * cols exists. The block sizes follow from the shapes
// and the instruction set alone, and so does the order of every sum.
#pragma once
#include "kernels/arguments/attention.h"
#include "kernels/cpu/matmul/pack.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

inline constexpr int64_t query_block = 64;

template <class T> TG_INLINE int64_t padded(int64_t n) { return round_up(n, Vec<T>::width); }
TG_INLINE int64_t larger_of(int64_t a, int64_t b) { return a > b ? a : b; }

// What the tile multiplies where tensors hold S: numbers of the compute type, or pairs of bfloat16 (pairs.h).
template <class S> struct Operand {
  using P = typename products_of<S>::type;
  using Element = typename P::Element;
  // Pairs are multiplied as the tensors hold them, so the scale is left for what comes of the product.
  static constexpr bool scaled = P::terms == 1;
  static constexpr int64_t elements(int64_t n) { return (n + P::terms - 1) / P::terms; }  // that hold n terms
  static constexpr int64_t row_elements(int64_t n) { return padded<Compute<S>>(n) / P::terms; }
  // From one panel of keys to the next: a line of the cache more than a panel, so that panels do not share its sets.
  static constexpr int64_t panel_elements(int64_t size) { return elements(size) * nr<P> + int64_t(64 / sizeof(Element)); }
};

// Keys handled at a time: a block of keys, of values and of their gradients, and one of scores, fit the second-level cache.
// A multiple of every panel width. Measured on Zen 4 at 64 features: 192 beats 96 and 384 by a few percent.
template <class S> TG_INLINE int64_t key_block_of(const Attention& a) {
  using T = Compute<S>;
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
  const int64_t budget = 128 << 10;
#else
  const int64_t budget = 64 << 10;
#endif
  const int64_t widest = a.size > a.value_size ? a.size : a.value_size;
  int64_t cols = Operand<S>::scaled ? 192 : 384;
  while (cols > 48 && cols * widest * int64_t(sizeof(T)) > budget) cols /= 2;
  return cols;
}

template <class S> TG_INLINE S* head_of(const Heads& x, int64_t b, int64_t h) {
  return static_cast<S*>(x.data) + b * x.batch_stride + h * x.head_stride;
}

// `rows` rows of features times `scale`, in the compute type, filled up with zeros to whole registers.
template <class S, class T>
[[gnu::noinline]] static void copy_rows(const S* from, int64_t stride, int64_t rows, int64_t size, T* to, T scale) {
  const int64_t ld = padded<T>(size);
  const Vec<T> factor(scale);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < ld; j += Vec<T>::width)
      (Vec<T>::load(from + i * stride + j, size - j) * factor).store(to + i * ld + j);
}

// The way back: rows of sums times `scale` into a tensor.
template <class S, class T>
[[gnu::noinline]] static void store_rows(const T* from, int64_t rows, int64_t size, T scale, S* to, int64_t stride) {
  const int64_t ld = padded<T>(size);
  const Vec<T> factor(scale);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < size; j += Vec<T>::width)
      (Vec<T>::load(from + i * ld + j) * factor).store(to + i * stride + j, size - j);
}

// At most `width` rows become columns of a panel, the missing ones zeros: blocks are turned in registers, also at the edges.
template <bool all, class S, class T>
[[gnu::noinline]] static void turn_rows(const S* from, int64_t stride, int64_t rows, int64_t size, T* to, int64_t ld) {
  constexpr int width = Vec<T>::width;
  for (int64_t k = 0; k < size; k += width) {
    Vec<T> block[width];
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) block[i] = all || i < rows ? Vec<T>::load(from + i * stride + k, size - k) : Vec<T>(T(0));
    transpose(block);
    const int64_t count = smaller(width, size - k);
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i)
      if (i < count) block[i].store(to + (k + i) * ld);
  }
}

// `count` rows as panels of nr, feature by feature.
template <class S>
static void pack_panels(const S* from, int64_t stride, int64_t count, int64_t size, typename Operand<S>::Element* to) {
  using P = typename Operand<S>::P;
  if constexpr (P::terms == 1) {
    using T = Compute<S>;
    for (int64_t j = 0; j < count; j += nr<P>, to += Operand<S>::panel_elements(size)) {
      const int64_t n = smaller(nr<P>, count - j), ld = padded<T>(n);
      for (int64_t i = 0; i < n; i += Vec<T>::width) {
        const S* const rows = from + (j + i) * stride;
        if (n - i >= Vec<T>::width) turn_rows<true>(rows, stride, n - i, size, to + i, ld);
        else turn_rows<false>(rows, stride, n - i, size, to + i, ld);
      }
    }
  } else {
    Pack<P, S>::panels(Source<S>{from, 1, stride}, {size, count, nr<P>, to, Operand<S>::panel_elements(size), true});
  }
}

// `count` rows as the lines that products over rows go through: the rows themselves, or pairs of them.
template <class S>
static void pack_lines_of(const S* from, int64_t stride, int64_t count, int64_t size, typename Operand<S>::Element* to) {
  using P = typename Operand<S>::P;
  if constexpr (P::terms == 1) copy_rows(from, stride, count, size, to, Compute<S>(1));
  else Pack<P, S>::panels(Source<S>{from, stride, 1}, {count, size, padded<Compute<S>>(size), to, 0, true});
}

// Registers of columns for the next tile: as many as fit, but 2 + 2 rather than 3 + 1.
TG_INLINE int64_t registers_of_tile(int64_t left) {
  if (nr_vectors > 2 && left != 4 && left >= nr_vectors) return nr_vectors;
  return left < 2 ? left : 2;
}

// c (M, N) = or += a (M, depth) b (depth, N). N is a multiple of the width; c and b have rows of whole registers.
// a[i][k] lies at a[i * a_stride + k] if a_by_rows, else at a[k * a_stride + i]. depth and strides count elements.
template <class P> struct Multiplication {
  int64_t M, N, depth;
  const typename P::Element* a;
  int64_t a_stride;
  const typename P::Element* b;
  int64_t b_stride;
  typename P::Sum* c;
  int64_t c_stride;
  bool add;
};

template <class P, bool a_by_rows> [[gnu::noinline]] static void multiply_block(const Multiplication<P>& m) {
  const int64_t tile_rows = ceil_div(m.M, ceil_div(m.M, mr));
  for (int64_t k = 0; k < m.depth; k += kc)
    for (int64_t i = 0; i < m.M; i += tile_rows) {
      const int64_t rows = smaller(tile_rows, m.M - i);
      TileArguments<P> t;
      t.depth = smaller(kc, m.depth - k);
      t.a = a_by_rows ? m.a + i * m.a_stride + k : m.a + k * m.a_stride + i;
      t.a_stride = m.a_stride;
      t.b_stride = m.b_stride;
      t.c_stride = m.c_stride;
      t.add = m.add || k > 0;
      for (int64_t j = 0; j < m.N;) {
        const int64_t registers = registers_of_tile((m.N - j) / Vec<typename P::Sum>::width);
        t.b = m.b + k * m.b_stride + j;
        t.c = m.c + i * m.c_stride + j;
        find_tile<P, a_by_rows>(rows, registers)(t);
        j += registers * Vec<typename P::Sum>::width;
      }
    }
}

// c (M, cols) = a (M, size) times packed keys; M <= mr. `packed_cols` is how many keys the panels hold from here on.
template <class S> struct PanelMultiplication {
  int64_t M, cols, size;
  const typename Operand<S>::Element *a, *panels;
  int64_t packed_cols;
  Compute<S>* c;
  int64_t c_stride;
};

template <class S> [[gnu::noinline]] static void multiply_panels(const PanelMultiplication<S>& m) {
  using P = typename Operand<S>::P;
  using T = Compute<S>;
  const int64_t depth = Operand<S>::elements(m.size);
  TileArguments<P> t;
  t.a_stride = Operand<S>::row_elements(m.size);
  t.c_stride = m.c_stride;
  for (int64_t j = 0; j < m.cols; j += nr<P>) {
    const int64_t registers = ceil_div(smaller(nr<P>, m.cols - j), Vec<T>::width);
    t.b_stride = smaller(nr<P>, padded<T>(m.packed_cols - j));
    t.c = m.c + j;
    t.add = false;
    int64_t k = 0;
    do {  // once even if there is no feature: scores are then the empty sum
      t.depth = smaller(kc, depth - k);
      t.a = m.a + k;
      t.b = m.panels + j / nr<P> * Operand<S>::panel_elements(m.size) + k * t.b_stride;
      find_tile<P, true>(m.M, registers)(t);
      t.add = true;
      k += kc;
    } while (k < depth);
  }
}

// A worker's memory, handed out piece by piece; with a null base it only counts.
class Memory {
 public:
  explicit Memory(void* base) : base_(static_cast<char*>(base)) {}
  template <class T> T* take(int64_t count) {
    T* const piece = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += size_t(round_up(count * int64_t(sizeof(T)), 64));
    return piece;
  }
  size_t used() const { return used_; }

 private:
  char* base_;
  size_t used_ = 0;
};

// A second thread pays from about this much work, as for matmul. A head costs something even if it is tiny.
TG_INLINE int64_t workers_for(const Attention& a, int64_t jobs, int threads) {
  const double work = 2.0 * double(a.batch) * double(a.heads) * double(a.rows) * double(a.cols) * double(a.size + a.value_size);
  const double useful = (work + 16'000 * double(jobs)) / 200'000;
  const int64_t most = smaller(jobs, threads);
  return useful < 1 ? 1 : useful < double(most) ? int64_t(useful) : larger_of(most, 1);
}

}  // namespace tg::TG_ISA
