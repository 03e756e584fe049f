// Stores that go past the cache, for results too large to stay in it: an ordinary store first reads the line it writes to.
#pragma once
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// From this size on a result is streamed: half of a common third-level cache. Smaller ones are read by the next op from there.
inline constexpr int64_t streamed_bytes = int64_t{16} << 20;

[[gnu::always_inline]] static inline bool stream_aligned(const void* p) { return (reinterpret_cast<uintptr_t>(p) & 63) == 0; }

// Copies `bytes` from a buffer to an address on a 64-byte line.
[[gnu::always_inline]] static inline void stream_bytes(char* to, const char* from, int64_t bytes) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 64 <= bytes; i += 64) _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_loadu_si512(from + i));
#elif defined(__SSE2__)
  for (; i + 64 <= bytes; i += 64) {
    for (int k = 0; k < 64; k += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + i + k), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i + k)));
  }
#endif
  memcpy(to + i, from + i, static_cast<size_t>(bytes - i));
}

// One register of a result, streamed or not; `n` lanes of it. A streamed one lies on a multiple of its size.
template <bool streamed, class S, class T> TG_INLINE void put(Vec<T> v, S* p, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (streamed && sizeof(S) == sizeof(T)) {
    if (n >= Vec<T>::width) return _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v.v);
  }
#elif defined(__AVX2__)
  if constexpr (streamed && sizeof(S) == sizeof(T)) {
    if (n >= Vec<T>::width) return _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v.v);
  }
#endif
  v.store(p, n);
}

// Puts streamed stores in order with what follows: once at the end of a piece of work.
[[gnu::always_inline]] static inline void stream_end() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace tg::TG_ISA
