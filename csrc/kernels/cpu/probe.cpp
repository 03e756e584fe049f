// The limits of a core, which benchmarks divide by so that a figure means the same on another machine, and by which they know
// that somebody else was running. Each loop does its work and says how much it was.
//
//   arithmetic_loop   independent chains of multiply-add in registers, nothing else      FLOPs
//   memory_loop       reads a buffer, or copies one to another                           bytes read and written
//
//   chain 0   x0 = x0 * s + t -> x0 = x0 * s + t -> ...      each waits for itself only: with latency 4 and two units,
//   chain 11  x11 = ...                                      8 chains would do; 12 leave slack and still fit 16 registers
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

static constexpr int chains = 12;

template <class T> static int64_t fma_loop(int64_t iterations) {
  using V = Vec<T>;
  V sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = V(static_cast<T>(c));
  const V scale(static_cast<T>(0.999)), step(static_cast<T>(0.001));  // stays near 1: no overflow, no denormals
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = fma(sums[c], scale, step);
  }
  T total = 0;
  for (int c = 0; c < chains; ++c) total += reduce_add(sums[c]);
  volatile T sink = total;  // the work must not be dropped
  (void)sink;
  return iterations * chains * V::width * 2;
}

#if defined(TG_ISA_avx512_bf16)
// Dot products of bfloat16 pairs into floats, and of four int8 into int32: 2 and 4 products a lane and instruction.
static int64_t bf16_loop(int64_t iterations) {
  __m512 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
  const __m512bh small = (__m512bh)_mm512_set1_epi16(0x3b80);  // 2^-8: the sum stays finite
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm512_dpbf16_ps(sums[c], small, small);
  }
  float total = 0;
  for (int c = 0; c < chains; ++c) total += _mm512_reduce_add_ps(sums[c]);
  volatile float sink = total;
  (void)sink;
  return iterations * chains * 16 * 2 * 2;
}
static int64_t int8_loop(int64_t iterations) {
  __m512i sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm512_set1_epi32(c);
  const __m512i ones = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = _mm512_dpbusd_epi32(sums[c], ones, ones);
  }
  int total = 0;
  for (int c = 0; c < chains; ++c) total += _mm512_reduce_add_epi32(sums[c]);
  volatile int sink = total;
  (void)sink;
  return iterations * chains * 16 * 4 * 2;
}
#endif

int64_t arithmetic_loop(DType type, int64_t iterations) {
  if (type == DType::f32) return fma_loop<float>(iterations);
  if (type == DType::f64) return fma_loop<double>(iterations);
#if defined(TG_ISA_avx512_bf16)
  if (type == DType::bf16) return bf16_loop(iterations);
  if (type == DType::i8) return int8_loop(iterations);
#endif
  return 0;  // no instruction for it
}

int64_t memory_loop(const float* from, float* to, int64_t count) {
  using V = Vec<float>;
  constexpr int at_once = 8 * V::width;
  const int64_t whole = count / at_once * at_once;
  if (to) {
    for (int64_t i = 0; i < whole; i += at_once) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) V::load(from + i + j * V::width).store(to + i + j * V::width);
    }
    return 2 * whole * static_cast<int64_t>(sizeof(float));
  }
  V::Int seen[8] = {};
  for (int64_t i = 0; i < whole; i += at_once) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) seen[j] |= V::load(from + i + j * V::width).bits();
  }
  for (int j = 1; j < 8; ++j) seen[0] |= seen[j];
  volatile V::Int sink = seen[0];  // the reads must not be dropped
  (void)sink;
  return whole * static_cast<int64_t>(sizeof(float));
}

}  // namespace tg::TG_ISA
