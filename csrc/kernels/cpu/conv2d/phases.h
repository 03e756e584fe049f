// Lines of pixels taken apart into every second or fourth pixel, and put together again.
//
//   m = 4:  line  0 1 2 3 4 5 6 7 8 ...      phase 0:  0 4 8 ...     lane t of phase j is pixel m * t + j:
//                                            phase 1:  1 5 9 ...     column j of the t-th of the line's tiles
//                                            ...
#pragma once
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// Every second lane of a, then of b: the first, third, ... and the second, fourth, ...
// next_lanes: every lane moves down by one; what comes in at the top is of no use.
// Lanes<T>: a run of lanes [begin, end). load_lanes loads those; the others become zero and their memory is not touched.
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
TG_INLINE Vec<float> even_lanes(Vec<float> a, Vec<float> b) {
  const __m512i order = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return Vec<float>::raw(_mm512_permutex2var_ps(a.v, order, b.v));
}
TG_INLINE Vec<float> odd_lanes(Vec<float> a, Vec<float> b) {
  const __m512i order = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return Vec<float>::raw(_mm512_permutex2var_ps(a.v, order, b.v));
}
TG_INLINE void store_low_half(Vec<float> x, float* p) { _mm256_storeu_ps(p, _mm512_castps512_ps256(x.v)); }
TG_INLINE void store_high_half(Vec<float> x, float* p) { _mm256_storeu_ps(p, _mm512_extractf32x8_ps(x.v, 1)); }
TG_INLINE Vec<double> even_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(_mm512_permutex2var_pd(a.v, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b.v));
}
TG_INLINE Vec<double> odd_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(_mm512_permutex2var_pd(a.v, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), b.v));
}
TG_INLINE Vec<float> next_lanes(Vec<float> a) {
  const __m512i i = _mm512_castps_si512(a.v);
  return Vec<float>::raw(_mm512_castsi512_ps(_mm512_alignr_epi32(i, i, 1)));
}
template <class T> struct Lanes {
  typename Native<T>::Mask m;
  Lanes() = default;
  TG_INLINE Lanes(int64_t begin, int64_t end) : m((typename Native<T>::Mask)((1u << end) - (1u << begin))) {}
};
TG_INLINE Vec<float> load_lanes(const float* p, Lanes<float> l) { return Vec<float>::raw(_mm512_maskz_loadu_ps(l.m, p)); }
TG_INLINE Vec<double> load_lanes(const double* p, Lanes<double> l) { return Vec<double>::raw(_mm512_maskz_loadu_pd(l.m, p)); }
#elif defined(TG_ISA_avx2)
TG_INLINE Vec<float> even_lanes(Vec<float> a, Vec<float> b) {
  const __m256d pairs = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, _MM_SHUFFLE(2, 0, 2, 0)));
  return Vec<float>::raw(_mm256_castpd_ps(_mm256_permute4x64_pd(pairs, _MM_SHUFFLE(3, 1, 2, 0))));
}
TG_INLINE Vec<float> odd_lanes(Vec<float> a, Vec<float> b) {
  const __m256d pairs = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, _MM_SHUFFLE(3, 1, 3, 1)));
  return Vec<float>::raw(_mm256_castpd_ps(_mm256_permute4x64_pd(pairs, _MM_SHUFFLE(3, 1, 2, 0))));
}
TG_INLINE void store_low_half(Vec<float> x, float* p) { _mm_storeu_ps(p, _mm256_castps256_ps128(x.v)); }
TG_INLINE void store_high_half(Vec<float> x, float* p) { _mm_storeu_ps(p, _mm256_extractf128_ps(x.v, 1)); }
TG_INLINE Vec<double> even_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(_mm256_permute4x64_pd(_mm256_unpacklo_pd(a.v, b.v), _MM_SHUFFLE(3, 1, 2, 0)));
}
TG_INLINE Vec<double> odd_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(_mm256_permute4x64_pd(_mm256_unpackhi_pd(a.v, b.v), _MM_SHUFFLE(3, 1, 2, 0)));
}
TG_INLINE Vec<float> next_lanes(Vec<float> a) {
  return Vec<float>::raw(_mm256_permutevar8x32_ps(a.v, _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0)));
}
template <class T> struct Lanes {
  __m256i m;
  Lanes() = default;
  TG_INLINE Lanes(int64_t begin, int64_t end) {
    if constexpr (sizeof(T) == 4) {
      const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      m = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(int(begin)), lane),
                              _mm256_cmpgt_epi32(_mm256_set1_epi32(int(end)), lane));
    } else {
      const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
      m = _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(begin), lane),
                              _mm256_cmpgt_epi64(_mm256_set1_epi64x(end), lane));
    }
  }
};
TG_INLINE Vec<float> load_lanes(const float* p, Lanes<float> l) { return Vec<float>::raw(_mm256_maskload_ps(p, l.m)); }
TG_INLINE Vec<double> load_lanes(const double* p, Lanes<double> l) { return Vec<double>::raw(_mm256_maskload_pd(p, l.m)); }
#else
#if defined(TG_ISA_neon)
TG_INLINE Vec<float> even_lanes(Vec<float> a, Vec<float> b) {
  return Vec<float>::raw((Native<float>::Register)vuzp1q_f32((float32x4_t)a.v, (float32x4_t)b.v));
}
TG_INLINE Vec<float> odd_lanes(Vec<float> a, Vec<float> b) {
  return Vec<float>::raw((Native<float>::Register)vuzp2q_f32((float32x4_t)a.v, (float32x4_t)b.v));
}
TG_INLINE Vec<double> even_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(Native<double>::interleave_low(a.v, b.v));
}
TG_INLINE Vec<double> odd_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(Native<double>::interleave_high(a.v, b.v));
}
TG_INLINE Vec<float> next_lanes(Vec<float> a) {
  return Vec<float>::raw((Native<float>::Register)vextq_f32((float32x4_t)a.v, (float32x4_t)a.v, 1));
}
#else
TG_INLINE Vec<float> even_lanes(Vec<float> a, Vec<float> b) {
  return Vec<float>::raw(Native<float>::Register{a.v[0], a.v[2], b.v[0], b.v[2]});
}
TG_INLINE Vec<float> odd_lanes(Vec<float> a, Vec<float> b) {
  return Vec<float>::raw(Native<float>::Register{a.v[1], a.v[3], b.v[1], b.v[3]});
}
TG_INLINE Vec<double> even_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(Native<double>::Register{a.v[0], b.v[0]});
}
TG_INLINE Vec<double> odd_lanes(Vec<double> a, Vec<double> b) {
  return Vec<double>::raw(Native<double>::Register{a.v[1], b.v[1]});
}
TG_INLINE Vec<float> next_lanes(Vec<float> a) {
  return Vec<float>::raw(Native<float>::Register{a.v[1], a.v[2], a.v[3], a.v[3]});
}
#endif
template <class T> struct Lanes {
  int64_t begin, end;
  Lanes() = default;
  TG_INLINE Lanes(int64_t first, int64_t last) : begin(first), end(last) {}
};
template <class T> TG_INLINE Vec<T> load_lanes(const T* p, Lanes<T> l) {
  if (l.begin == 0 && l.end == Vec<T>::width) return Vec<T>::load(p);
  Vec<T> x(T(0));
  for (int i = 0; i < Vec<T>::width; ++i)
    if (l.begin <= i && i < l.end) x.v[i] = p[i];
  return x;
}
#endif
template <class T> TG_INLINE Vec<T> interleave_low(Vec<T> a, Vec<T> b) {
  return Vec<T>::raw(Native<T>::interleave_low(a.v, b.v));
}
template <class T> TG_INLINE Vec<T> interleave_high(Vec<T> a, Vec<T> b) {
  return Vec<T>::raw(Native<T>::interleave_high(a.v, b.v));
}

// The lanes of pixels [first, first + lanes of a register) that lie inside a line of `width` pixels.
template <class T> TG_INLINE Lanes<T> lanes_within(int64_t first, int64_t width) {
  constexpr int64_t lanes = Vec<T>::width;
  const int64_t begin = first < 0 ? (first < -lanes ? lanes : -first) : 0, left = width - first;
  const int64_t end = left < lanes ? (left > begin ? left : begin) : lanes;
  return {begin, end};
}

// p + i, which may lie outside of what p points into: nothing there is touched.
template <class T> TG_INLINE const T* address(const T* p, int64_t i) {
  return reinterpret_cast<const T*>(reinterpret_cast<uintptr_t>(p) + uintptr_t(i) * sizeof(T));
}

// Pixels [first, first + lanes of a register) of a line of `width` pixels; what lies outside is zero.
template <class T> TG_INLINE Vec<T> load_within(const T* line, int64_t first, int64_t width) {
  if (first >= 0 && first + Vec<T>::width <= width) return Vec<T>::load(line + first);
  return load_lanes(address(line, first), lanes_within<T>(first, width));
}

// Pixels first, first + spacing, ... of the line.
template <class T> [[gnu::noinline]] static Vec<T> load_spaced(const T* line, int64_t first, int64_t width, int64_t spacing) {
  if (spacing == 2) return even_lanes(load_within(line, first, width), load_within(line, first + Vec<T>::width, width));
  T lanes[Vec<T>::width];
  for (int i = 0; i < Vec<T>::width; ++i, first += spacing) lanes[i] = first >= 0 && first < width ? line[first] : T(0);
  return Vec<T>::load(lanes);
}

// The first n lanes; all if n is larger. AVX2's masked stores take a dozen cycles: three plain ones are faster.
template <class T> TG_INLINE void store_first(Vec<T> x, T* to, int64_t n) {
#if defined(TG_ISA_avx2)
  if constexpr (sizeof(T) == 4) {
    if (n >= Vec<T>::width) return x.store(to);
    if (n <= 0) return;
    __m128 part = _mm256_castps256_ps128(x.v);
    if (n & 4) _mm_storeu_ps(to, part), to += 4, part = _mm256_extractf128_ps(x.v, 1);
    if (n & 2) _mm_storel_pi(reinterpret_cast<__m64*>(to), part), to += 2, part = _mm_movehl_ps(part, part);
    if (n & 1) _mm_store_ss(to, part);
    return;
  }
#endif
  x.store(to, n);
}

// Writes n lanes `spacing` elements apart.
template <class T> TG_INLINE void store_spaced(Vec<T> x, T* to, int64_t n, int64_t spacing) {
  if (spacing == 1) return store_first(x, to, n);
  T lanes[Vec<T>::width];
  x.store(lanes);
  for (int64_t i = 0; i < (n < Vec<T>::width ? n : Vec<T>::width); ++i) to[i * spacing] = lanes[i];
}

// Past the caches to memory, for results that no cache holds. p is aligned to a register.
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
TG_INLINE void stream_out(float* p, Vec<float> x) { _mm512_stream_ps(p, x.v); }
TG_INLINE void stream_out(double* p, Vec<double> x) { _mm512_stream_pd(p, x.v); }
#elif defined(TG_ISA_avx2)
TG_INLINE void stream_out(float* p, Vec<float> x) { _mm256_stream_ps(p, x.v); }
TG_INLINE void stream_out(double* p, Vec<double> x) { _mm256_stream_pd(p, x.v); }
#else
template <class T> TG_INLINE void stream_out(T* p, Vec<T> x) { x.store(p); }
#endif

// m registers of neighbouring pixels <-> m phases.
template <int m> TG_INLINE void split_phases(const Vec<float> (&line)[m], Vec<float> (&phase)[m]) {
  if constexpr (m == 2) {
    phase[0] = even_lanes(line[0], line[1]), phase[1] = odd_lanes(line[0], line[1]);
  } else {
    const Vec<float> even[2] = {even_lanes(line[0], line[1]), even_lanes(line[2], line[3])};
    const Vec<float> odd[2] = {odd_lanes(line[0], line[1]), odd_lanes(line[2], line[3])};
    phase[0] = even_lanes(even[0], even[1]), phase[2] = odd_lanes(even[0], even[1]);
    phase[1] = even_lanes(odd[0], odd[1]), phase[3] = odd_lanes(odd[0], odd[1]);
  }
}

// The first half of the line: m / 2 registers.
template <int m> TG_INLINE void join_first_half(const Vec<float> (&phase)[m], Vec<float> (&line)[m]) {
  if constexpr (m == 2) {
    line[0] = interleave_low(phase[0], phase[1]);
  } else {
    const Vec<float> even = interleave_low(phase[0], phase[2]), odd = interleave_low(phase[1], phase[3]);
    line[0] = interleave_low(even, odd), line[1] = interleave_high(even, odd);
  }
}

template <int m> TG_INLINE void join_phases(const Vec<float> (&phase)[m], Vec<float> (&line)[m]) {
  if constexpr (m == 2) {
    line[0] = interleave_low(phase[0], phase[1]), line[1] = interleave_high(phase[0], phase[1]);
  } else {
    const Vec<float> even[2] = {interleave_low(phase[0], phase[2]), interleave_high(phase[0], phase[2])};
    const Vec<float> odd[2] = {interleave_low(phase[1], phase[3]), interleave_high(phase[1], phase[3])};
    line[0] = interleave_low(even[0], odd[0]), line[1] = interleave_high(even[0], odd[0]);
    line[2] = interleave_low(even[1], odd[1]), line[3] = interleave_high(even[1], odd[1]);
  }
}

}  // namespace tg::TG_ISA
