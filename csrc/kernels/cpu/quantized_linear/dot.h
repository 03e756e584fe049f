// Integer dot products: a tile of 32-bit sums over unsigned times signed 8-bit terms, exact on every instruction set.
//
//   VNNI            16 columns x 4 terms in one instruction (vpdpbusd)
//   AVX-512, AVX2   8-bit weights are widened to 16 bits; pairs of products are added in one instruction (vpmaddwd). Two
//   SSE             registers of pair sums stand for one register of columns; they are folded when the tile is stored.
//   NEON            8-bit weights widened as well; a register of four sums for every column, folded when stored (vmlal)
//   others          plain loops
//
// The 8-bit multiplication of AVX2 (vpmaddubsw) is not used: it saturates at 16 bits, and rows would have to give up a bit.
#pragma once
#include "kernels/arguments/quantized.h"
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// Dot: what one instruction set multiplies. `Term` is how a quantised input is kept; `columns` are handled at a time.
#if defined(TG_ISA_avx512_bf16)
struct Dot {
  using Term = uint8_t;
  using Sums = __m512i;
  using Weights = __m512i;
  using Factor = __m512i;
  static constexpr int columns = 16, tile_rows = 8, tile_steps = 3;
  TG_INLINE static Sums zero() { return _mm512_setzero_si512(); }
  TG_INLINE static Weights load(const int8_t* w) { return _mm512_loadu_si512(w); }
  TG_INLINE static Factor broadcast(const Term* x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
  }
  TG_INLINE static void add(Sums& sums, Factor x, Weights w) { sums = _mm512_dpbusd_epi32(sums, x, w); }
  TG_INLINE static void store(int32_t* to, Sums sums) { _mm512_storeu_si512(to, sums); }
};
#elif defined(TG_ISA_avx512)
struct Dot {
  using Term = int16_t;
  struct Sums { __m512i low, high; };  // pairs of columns 0..7 and 8..15
  using Weights = Sums;
  using Factor = __m512i;
  static constexpr int columns = 16, tile_rows = 8, tile_steps = 1;
  TG_INLINE static Sums zero() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  TG_INLINE static __m512i widen(const int8_t* w) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)));
  }
  TG_INLINE static Weights load(const int8_t* w) { return {widen(w), widen(w + 32)}; }
  TG_INLINE static Factor broadcast(const Term* x) {
    int64_t four;
    __builtin_memcpy(&four, x, 8);
    return _mm512_set1_epi64(four);
  }
  TG_INLINE static void add(Sums& sums, Factor x, Weights w) {
    sums.low = _mm512_add_epi32(sums.low, _mm512_madd_epi16(x, w.low));
    sums.high = _mm512_add_epi32(sums.high, _mm512_madd_epi16(x, w.high));
  }
  TG_INLINE static void store(int32_t* to, Sums s) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const __m512i first = _mm512_permutex2var_epi32(s.low, even, s.high),
                  second = _mm512_permutex2var_epi32(s.low, odd, s.high);
    _mm512_storeu_si512(to, _mm512_add_epi32(first, second));
  }
};
#elif defined(TG_ISA_avx2)
struct Dot {
  using Term = int16_t;
  struct Sums { __m256i low, high; };  // pairs of columns 0..3 and 4..7
  using Weights = Sums;
  using Factor = __m256i;
  static constexpr int columns = 8, tile_rows = 5, tile_steps = 1;
  TG_INLINE static Sums zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  TG_INLINE static __m256i widen(const int8_t* w) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
  }
  TG_INLINE static Weights load(const int8_t* w) { return {widen(w), widen(w + 16)}; }
  TG_INLINE static Factor broadcast(const Term* x) {
    int64_t four;
    __builtin_memcpy(&four, x, 8);
    return _mm256_set1_epi64x(four);
  }
  TG_INLINE static void add(Sums& sums, Factor x, Weights w) {
    sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(x, w.low));
    sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(x, w.high));
  }
  TG_INLINE static void store(int32_t* to, Sums s) {
    const __m256i folded = _mm256_hadd_epi32(s.low, s.high);  // columns 0 1 4 5 | 2 3 6 7
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(folded, 0xd8));
  }
};
#elif defined(__SSE4_1__)
struct Dot {
  using Term = int16_t;
  struct Sums { __m128i low, high; };  // pairs of columns 0, 1 and 2, 3
  using Weights = Sums;
  using Factor = __m128i;
  static constexpr int columns = 4, tile_rows = 5, tile_steps = 1;
  TG_INLINE static Sums zero() { return {_mm_setzero_si128(), _mm_setzero_si128()}; }
  TG_INLINE static __m128i widen(const int8_t* w) {
    return _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(w)));
  }
  TG_INLINE static Weights load(const int8_t* w) { return {widen(w), widen(w + 8)}; }
  TG_INLINE static Factor broadcast(const Term* x) {
    int64_t four;
    __builtin_memcpy(&four, x, 8);
    return _mm_set1_epi64x(four);
  }
  TG_INLINE static void add(Sums& sums, Factor x, Weights w) {
    sums.low = _mm_add_epi32(sums.low, _mm_madd_epi16(x, w.low));
    sums.high = _mm_add_epi32(sums.high, _mm_madd_epi16(x, w.high));
  }
  TG_INLINE static void store(int32_t* to, Sums s) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_hadd_epi32(s.low, s.high));
  }
};
#elif defined(TG_ISA_neon)
struct Dot {
  using Term = int16_t;
  struct Sums { int32x4_t column[4]; };
  struct Weights { int16x8_t low, high; };  // columns 0, 1 and 2, 3
  using Factor = int16x8_t;                 // the four terms, twice
  static constexpr int columns = 4, tile_rows = 4, tile_steps = 1;
  TG_INLINE static Sums zero() { return {{vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)}}; }
  TG_INLINE static Weights load(const int8_t* w) {
    const int8x16_t bytes = vld1q_s8(w);
    return {vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
  }
  TG_INLINE static Factor broadcast(const Term* x) {
    const int16x4_t four = vld1_s16(x);
    return vcombine_s16(four, four);
  }
  TG_INLINE static void add(Sums& sums, Factor x, Weights w) {
    sums.column[0] = vmlal_s16(sums.column[0], vget_low_s16(x), vget_low_s16(w.low));
    sums.column[1] = vmlal_high_s16(sums.column[1], x, w.low);
    sums.column[2] = vmlal_s16(sums.column[2], vget_low_s16(x), vget_low_s16(w.high));
    sums.column[3] = vmlal_high_s16(sums.column[3], x, w.high);
  }
  TG_INLINE static void store(int32_t* to, Sums s) {
    const int32x4_t low = vpaddq_s32(s.column[0], s.column[1]), high = vpaddq_s32(s.column[2], s.column[3]);
    vst1q_s32(to, vpaddq_s32(low, high));
  }
};
#else
struct Dot {
  using Term = int16_t;
  struct Sums { int32_t lane[4]; };
  struct Weights { int8_t term[16]; };
  struct Factor { Term term[4]; };
  static constexpr int columns = 4, tile_rows = 4, tile_steps = 1;
  TG_INLINE static Sums zero() { return {}; }
  TG_INLINE static Weights load(const int8_t* w) {
    Weights r;
    __builtin_memcpy(&r, w, sizeof r);
    return r;
  }
  TG_INLINE static Factor broadcast(const Term* x) {
    Factor r;
    __builtin_memcpy(&r, x, sizeof r);
    return r;
  }
  TG_INLINE static void add(Sums& sums, Factor x, Weights w) {
    for (int i = 0; i < 16; ++i) sums.lane[i / 4] += int32_t(x.term[i % 4]) * w.term[i];
  }
  TG_INLINE static void store(int32_t* to, Sums s) { __builtin_memcpy(to, &s, sizeof s); }
};
#endif

// sums[i * stride + j] = x's row i times column j of the weight, for `rows` rows and `steps` * Dot::columns columns. Rows of
// x lie x_stride terms apart; weights of neighbouring columns `w_stride` bytes.
struct DotTile {
  const Dot::Term* x;
  int64_t x_stride;
  const int8_t* w;
  int64_t w_stride, depth;
  int32_t* sums;
  int64_t stride;
};

template <int rows, int steps> [[gnu::noinline]] static void dot_tile(const DotTile& t) {
  constexpr int64_t line = QuantizedLinear::panel * QuantizedLinear::terms;  // bytes of a panel per four inputs
  Dot::Sums sums[rows][steps];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < steps; ++j) sums[i][j] = Dot::zero();
  const Dot::Term* x = t.x;
  const int8_t* w = t.w;
  const int64_t x_stride = t.x_stride, w_stride = t.w_stride;
  for (int64_t k = 0; k < t.depth; ++k, x += QuantizedLinear::terms, w += line) {
    Dot::Weights weights[steps];
#pragma GCC unroll 4
    for (int j = 0; j < steps; ++j) weights[j] = Dot::load(w + j * w_stride);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Dot::Factor factor = Dot::broadcast(x + i * x_stride);
#pragma GCC unroll 4
      for (int j = 0; j < steps; ++j) Dot::add(sums[i][j], factor, weights[j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < steps; ++j) Dot::store(t.sums + i * t.stride + j * Dot::columns, sums[i][j]);
}

template <int steps, int rows = Dot::tile_rows> TG_INLINE void dot_rows(int64_t wanted, const DotTile& t) {
  if constexpr (rows > 1)
    if (wanted < rows) return dot_rows<steps, rows - 1>(wanted, t);
  dot_tile<rows, steps>(t);
}

}  // namespace tg::TG_ISA
