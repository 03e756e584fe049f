// Packing: the operands of a matrix product, copied into the order in which the tile reads them.
//
//   panels  `panel` columns of b (or rows of a) each, element (k, j) of one at to[k * ld + j]: one short line per k.
//   rows    element (i, k) at rows[i * ld + k]: rows of a, one after the other.
//
// Packing turns every stride combination into one of these two, converts 16-bit floats to what the tile multiplies, and
// replaces strides of a page or more, which would crowd few sets of the cache, by short ones. It costs about one cycle for
// one to four elements; each is then used for nc (a) or all M (b) multiplications.
#pragma once
#include "kernels/cpu/matmul/tile.h"

namespace tg::TG_ISA {

TG_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
TG_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
TG_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Numerics, not tuning: every element is a sum over blocks of 512 terms, each block one chain of FMAs from zero, the blocks
// added in order. The same for every tile, instruction set and number of threads.
inline constexpr int64_t kc = 512;

// A part of an operand: element (k, j) at data[k * k_stride + j * j_stride].
template <class S> struct Source {
  const S* data;
  int64_t k_stride, j_stride;
  TG_INLINE Source at(int64_t k, int64_t j) const { return {data + k * k_stride + j * j_stride, k_stride, j_stride}; }
};

template <class T, class S> TG_INLINE T convert(S x) {
  if constexpr (sizeof(S) == 2) return to_float(x);
  else return x;
}

// depth x cols of an operand into panels of `panel` columns, `panel_elements` apart. `padded` lines are filled up with zeros
// to whole registers. Behind panels that are not, there must be room for one more register or mr elements.
template <class P> struct Panels {
  int64_t depth, cols, panel;
  typename P::Element* to;
  int64_t panel_elements;
  bool padded;
  TG_INLINE int64_t columns_at(int64_t j) const { return smaller(panel, cols - j); }
  TG_INLINE int64_t ld(int64_t n) const { return padded ? round_up(n, Vec<typename P::Sum>::width) : n; }
};

// --- float and double -------------------------------------------------------------------------------------------------
// Element by element: any strides, and the edges of the faster versions. `end` columns are written.
template <class T, class S>
[[gnu::noinline]] static void pack_elements(Source<S> s, int64_t depth, int64_t cols, T* to, int64_t ld, int64_t end) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t j = 0; j < end; ++j) to[k * ld + j] = j < cols ? convert<T>(*s.at(k, j).data) : T(0);
}

// Asks for a line of `cols` elements a few lines before its turn: the processor does not foresee lines that lie pages apart.
template <class S> TG_INLINE void fetch_line(Source<S> s, int64_t k, int64_t cols) {
  const int64_t ahead = cols * int64_t(sizeof(S)) <= 512 ? 8 : 3;
  const S* const line = s.data + (k + ahead) * s.k_stride;
  for (int64_t j = 0; j < cols; j += 64 / int64_t(sizeof(S))) __builtin_prefetch(line + j);
}

// Rows of a that lie by columns: a few lines of one panel after the other, so that a line of the cache is written whole before
// the next one is begun. Only for full panels.
template <class T> [[gnu::noinline]] static void pack_rows_by_columns(Source<T> s, int64_t depth, int64_t panels, T* to,
                                                                      int64_t panel_elements) {
  constexpr int64_t lines = 8;
  for (int64_t k = 0; k < depth; k += lines) {
    for (int64_t q = k; q < k + lines; ++q) fetch_line(s, q, panels * mr);
    for (int64_t panel = 0; panel < panels; ++panel) {
      const T* const from = s.at(k, panel * mr).data;
      T* const out = to + panel * panel_elements + k * mr;
      if (k + lines <= depth)
#pragma GCC unroll 8
        for (int64_t q = 0; q < lines; ++q) __builtin_memcpy(out + q * mr, from + q * s.k_stride, mr * sizeof(T));
      else
        for (int64_t q = 0; q < depth - k; ++q) __builtin_memcpy(out + q * mr, from + q * s.k_stride, mr * sizeof(T));
    }
  }
}

// Lines are contiguous: neighbours stay neighbours. One line goes to all panels before the next, so that memory is read in
// runs as long as they get. Whole registers are stored: what spills past a line is written over by the next.
template <class P, class S> [[gnu::noinline]] static void pack_lines(Source<S> s, const Panels<P>& p) {
  using T = typename P::Element;
  if constexpr (sizeof(S) == sizeof(T))
    if (!p.padded && p.panel == mr && p.cols % mr == 0)
      return pack_rows_by_columns<T>(s, p.depth, p.cols / mr, p.to, p.panel_elements);
  for (int64_t k = 0; k < p.depth; ++k) {
    const S* const line = s.at(k, 0).data;
    fetch_line(s, k, p.cols);
    T* to = p.to;
    for (int64_t j = 0; j < p.cols; j += p.panel, to += p.panel_elements) {
      const int64_t n = p.columns_at(j), ld = p.ld(n);
      if (sizeof(S) == sizeof(T) && !p.padded && j + mr <= p.cols) {  // rows of a: a copy of fixed size is fastest
        __builtin_memcpy(to + k * ld, line + j, mr * sizeof(T));
        continue;
      }
      for (int64_t q = 0; q < n; q += Vec<T>::width) Vec<T>::load(line + j + q, n - q).store(to + k * ld + q);
    }
  }
}

// Columns are contiguous: turn width x width blocks in registers. As many columns as a register has lanes are followed at a
// time, more than the processor follows by itself: ask for what comes a few lines later.
template <class T>
[[gnu::noinline]] static void pack_columns(Source<T> s, int64_t depth, int64_t cols, T* to, int64_t ld) {
  constexpr int width = Vec<T>::width;
  for (int64_t j = 0; j < ld; j += width) {
    int64_t k = 0;
    for (; j + width <= cols && k + width <= depth; k += width) {
      Vec<T> block[width];
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) {
        const T* const column = s.at(k, j + i).data;
        __builtin_prefetch(column + 512 / sizeof(T), 0, 2);
        block[i] = Vec<T>::load(column);
      }
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) block[i].store(to + (k + i) * ld + j);
    }
    pack_elements(s.at(k, j), depth - k, cols - j, to + k * ld + j, ld, smaller(width, ld - j));
  }
}

// 16-bit columns: convert 64 terms of each, then turn them.
template <class T, class S>
[[gnu::noinline]] static void pack_converted_columns(Source<S> s, int64_t depth, int64_t cols, T* to, int64_t ld) {
  constexpr int64_t step = 64, most = nr_vectors * Vec<T>::width;
  T converted[most * step];
  for (int64_t k = 0; k < depth; k += step) {
    const int64_t terms = smaller(step, depth - k);
    for (int64_t j = 0; j < cols; ++j)
      for (int64_t q = 0; q < terms; q += Vec<T>::width)
        Vec<T>::load(s.at(k + q, j).data, terms - q).store(converted + j * step + q);
    pack_columns<T>(Source<T>{converted, 1, step}, terms, cols, to + k * ld, ld);
  }
}

template <class P, class S> struct Pack {
  using T = typename P::Element;

  static void panels(Source<S> s, const Panels<P>& p) {
    if (s.j_stride == 1) return pack_lines(s, p);
    for (int64_t j = 0; j < p.cols; j += p.panel) {
      const int64_t n = p.columns_at(j), ld = p.ld(n);
      T* const to = p.to + j / p.panel * p.panel_elements;
      if (s.k_stride != 1) pack_elements(s.at(0, j), p.depth, n, to, ld, ld);
      else if constexpr (sizeof(S) == sizeof(T)) pack_columns(s.at(0, j), p.depth, n, to, ld);
      else pack_converted_columns(s.at(0, j), p.depth, n, to, ld);
    }
  }

  // For s.k_stride == 1: `count` rows of a.
  [[gnu::noinline]] static void rows(Source<S> s, int64_t depth, int64_t count, T* to, int64_t ld) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < depth; k += Vec<T>::width)
        Vec<T>::load(s.at(k, i).data, depth - k).store(to + i * ld + k, depth - k);
  }
};

// --- pairs of bfloat16 ------------------------------------------------------------------------------------------------
// `depth` counts terms; an odd last term is paired with zero.
#if defined(TG_ISA_avx512_bf16)
template <> struct Pack<Bf16Products, bf16> {
  using P = Bf16Products;
  using T = Bf16Pair;

  TG_INLINE static __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : n > 0 ? __mmask16((1u << n) - 1) : 0; }

  static void panels(Source<bf16> s, const Panels<P>& p) {
    if (s.j_stride == 1) return lines(s, p);
    for (int64_t j = 0; j < p.cols; j += p.panel) {
      const int64_t n = p.columns_at(j), ld = p.ld(n);
      T* const to = p.to + j / p.panel * p.panel_elements;
      if (s.k_stride == 1 && ld % 16 == 0) columns(s.at(0, j), p.depth, n, to, ld);
      else elements(s.at(0, j), p.depth, n, to, ld);
    }
  }

  [[gnu::noinline]] static void rows(Source<bf16> s, int64_t depth, int64_t count, T* to, int64_t ld) {
    for (int64_t i = 0; i < count; ++i) {
      __builtin_memcpy(to + i * ld, s.at(0, i).data, size_t(depth) * 2);
      if (depth % 2) to[i * ld + depth / 2].odd = 0;
    }
  }

 private:
  // Lines k and k + 1, lane by lane.
  [[gnu::noinline]] static void lines(Source<bf16> s, const Panels<P>& p) {
    const __m512i first_to_last = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i order =
        _mm512_or_si512(first_to_last, _mm512_slli_epi32(_mm512_add_epi32(first_to_last, _mm512_set1_epi32(32)), 16));
    for (int64_t k = 0; k < p.depth; k += 2) {
      const bf16 *const even_line = s.at(k, 0).data, *const odd_line = s.at(k + 1, 0).data;
      const bool both = k + 1 < p.depth;
      fetch_line(s, k, p.cols);
      fetch_line(s, k + 1, p.cols);
      T* to = p.to;
      for (int64_t j = 0; j < p.cols; j += p.panel, to += p.panel_elements) {
        const int64_t n = p.columns_at(j), ld = p.ld(n);
        for (int64_t q = 0; q < n; q += 16) {
          const __mmask16 valid = first(n - q);
          const __m256i even = _mm256_maskz_loadu_epi16(valid, even_line + j + q);
          const __m256i odd = _mm256_maskz_loadu_epi16(both ? valid : 0, odd_line + j + q);
          const __m512i pairs = _mm512_permutex2var_epi16(_mm512_castsi256_si512(even), order, _mm512_castsi256_si512(odd));
          _mm512_storeu_si512(to + k / 2 * ld + q, pairs);
        }
      }
    }
  }

  // A pair is one 32-bit element already: turn 16 x 16 of them.
  [[gnu::noinline]] static void columns(Source<bf16> s, int64_t depth, int64_t cols, T* to, int64_t ld) {
    for (int64_t j = 0; j < ld; j += 16)
      for (int64_t k = 0; k < depth; k += 32) {
        const int64_t n = smaller(depth - k, 32);
        const __mmask32 valid = __mmask32((uint64_t(1) << n) - 1);
        Vec<float> block[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
          block[i] = Vec<float>::raw((__m512)_mm512_maskz_loadu_epi16(j + i < cols ? valid : 0, s.at(k, j + i).data));
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
          if (2 * i < n) _mm512_storeu_ps(to + (k / 2 + i) * ld + j, block[i].v);
      }
  }

  [[gnu::noinline]] static void elements(Source<bf16> s, int64_t depth, int64_t cols, T* to, int64_t ld) {
    for (int64_t k = 0; k < depth; k += 2)
      for (int64_t j = 0; j < ld; ++j) {
        const uint16_t even = j < cols ? s.at(k, j).data->bits : 0;
        const uint16_t odd = j < cols && k + 1 < depth ? s.at(k + 1, j).data->bits : 0;
        to[k / 2 * ld + j] = {even, odd};
      }
  }
};
#endif

}  // namespace tg::TG_ISA
