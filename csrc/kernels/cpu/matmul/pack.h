// Packing: the operands of a matrix product, copied into the order in which the tile reads them.
//
//   panel   element (k, j) at panel[k * ld + j]: `columns` neighbouring columns of b (or rows of a), one line per k.
//   rows    element (i, k) at rows[i * ld + k]: rows of a, one after the other.
//
// Packing turns every stride combination into one of these two, converts 16-bit floats to what the tile multiplies, and
// replaces strides of a page or more, which would fill few sets of the cache, by short ones. It costs about one cycle for
// one to four elements, which is then used in at least 2 * nc FMA lanes (a) or 2 * rows of C (b).
#pragma once
#include "kernels/cpu/matmul/tile.h"

namespace tg::TG_ISA {

TG_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

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

// --- float and double -------------------------------------------------------------------------------------------------
// Element by element: any strides, and the edges of the faster versions.
template <class T, class S>
[[gnu::noinline]] static void pack_elements(Source<S> s, int64_t depth, int64_t columns, T* panel, int64_t ld, int64_t end) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t j = 0; j < end; ++j) panel[k * ld + j] = j < columns ? convert<T>(*s.at(k, j).data) : T(0);
}

// Lines of b that are contiguous: neighbours stay neighbours.
template <class T, class S>
[[gnu::noinline]] static void pack_lines(Source<S> s, int64_t depth, int64_t columns, T* panel, int64_t ld) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t j = 0; j < ld; j += Vec<T>::width) {
      const int64_t n = columns - j;
      Vec<T>::load(s.at(k, j).data, n > 0 ? n : 0).store(panel + k * ld + j, ld - j);
    }
}

// Columns of b that are contiguous: turn width x width blocks in registers.
template <class T>
[[gnu::noinline]] static void pack_columns(Source<T> s, int64_t depth, int64_t columns, T* panel, int64_t ld) {
  constexpr int width = Vec<T>::width;
  for (int64_t j = 0; j < ld; j += width) {
    int64_t k = 0;
    for (; j + width <= columns && k + width <= depth; k += width) {
      Vec<T> block[width];
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) block[i] = Vec<T>::load(s.at(k, j + i).data);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) block[i].store(panel + (k + i) * ld + j);
    }
    pack_elements(s.at(k, j), depth - k, columns - j, panel + k * ld + j, ld, smaller(width, ld - j));
  }
}

// Columns past `columns`, up to ld, are filled with zeros.
template <class P, class S>
static void pack_panel(Source<S> s, int64_t depth, int64_t columns, typename P::Element* panel, int64_t ld) {
  using T = typename P::Element;
  if (s.j_stride == 1) {
    pack_lines<T>(s, depth, columns, panel, ld);
  } else if (s.k_stride != 1) {
    pack_elements<T>(s, depth, columns, panel, ld, ld);
  } else if constexpr (sizeof(S) == sizeof(T)) {
    pack_columns<T>(s, depth, columns, panel, ld);
  } else {  // convert 64 terms of every column, then turn them
    constexpr int64_t step = 64;
    T converted[nr<P> * step];
    for (int64_t k = 0; k < depth; k += step) {
      const int64_t terms = smaller(step, depth - k);
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t q = 0; q < terms; q += Vec<T>::width)
          Vec<T>::load(s.at(k + q, j).data, terms - q).store(converted + j * step + q);
      pack_columns<T>(Source<T>{converted, 1, step}, terms, columns, panel + k * ld, ld);
    }
  }
}

// For s.k_stride == 1.
template <class P, class S>
[[gnu::noinline]] static void pack_rows(Source<S> s, int64_t depth, int64_t count, typename P::Element* rows, int64_t ld) {
  using V = Vec<typename P::Element>;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t k = 0; k < depth; k += V::width)
      V::load(s.data + i * s.j_stride + k, depth - k).store(rows + i * ld + k, depth - k);
}

// --- pairs of bfloat16 ------------------------------------------------------------------------------------------------
// `depth` counts terms; an odd last term is paired with zero.
#if defined(TG_ISA_avx512_bf16)
template <>
void pack_panel<Bf16Products, bf16>(Source<bf16> s, int64_t depth, int64_t columns, Bf16Pair* panel, int64_t ld) {
  if (s.k_stride == 1 && ld % 16 == 0) {  // a pair is one 32-bit element: turn 16 x 16 of them
    for (int64_t j = 0; j < ld; j += 16)
      for (int64_t k = 0; k < depth; k += 32) {
        Vec<float> block[16];
        const int64_t n = smaller(depth - k, 32);
        const __mmask32 valid = __mmask32((uint64_t(1) << n) - 1);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
          const bf16* source = s.data + (j + i) * s.j_stride + k;
          block[i] = Vec<float>::raw((__m512)(j + i < columns ? _mm512_maskz_loadu_epi16(valid, source) : __m512i{}));
        }
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
          if (2 * i < n) _mm512_storeu_ps(panel + (k / 2 + i) * ld + j, block[i].v);
      }
  } else if (s.j_stride == 1) {  // lines k and k + 1, lane by lane
    for (int64_t k = 0; k < depth; k += 2)
      for (int64_t j = 0; j < ld; j += 16) {
        const int64_t n = columns - j, free = ld - j;
        const __mmask16 in = n >= 16 ? 0xffff : n > 0 ? __mmask16((1u << n) - 1) : 0;
        const __mmask16 out = free >= 16 ? 0xffff : __mmask16((1u << free) - 1);
        const bf16* source = s.data + k * s.k_stride + j;
        const __m256i even = _mm256_maskz_loadu_epi16(in, source);
        const __m256i odd = k + 1 < depth ? _mm256_maskz_loadu_epi16(in, source + s.k_stride) : __m256i{};
        const __m512i pairs =
            _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
        _mm512_mask_storeu_epi32(panel + (k / 2) * ld + j, out, pairs);
      }
  } else {
    for (int64_t k = 0; k < depth; k += 2)
      for (int64_t j = 0; j < ld; ++j) {
        const bf16* source = s.data + k * s.k_stride + j * s.j_stride;
        panel[(k / 2) * ld + j] = {j < columns ? source->bits : uint16_t(0),
                                   j < columns && k + 1 < depth ? source[s.k_stride].bits : uint16_t(0)};
      }
  }
}

template <>
void pack_rows<Bf16Products, bf16>(Source<bf16> s, int64_t depth, int64_t count, Bf16Pair* rows, int64_t ld) {
  for (int64_t i = 0; i < count; ++i) {
    __builtin_memcpy(rows + i * ld, s.data + i * s.j_stride, size_t(depth) * 2);
    if (depth % 2) rows[i * ld + depth / 2].odd = 0;
  }
}
#endif

}  // namespace tg::TG_ISA
