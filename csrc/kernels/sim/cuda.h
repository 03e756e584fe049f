// CUDA's dialect of C++ as plain C++: with this header in front, a kernel compiles with g++ or clang++ and runs on the CPU.
// What is not here does not compile, so that nothing is silently ignored. Differences that remain:
//
//   - __shared__ variables are thread-local: a block never leaves its OS thread (runtime.h). They start as NaN.
//   - Memory is sequentially consistent: a missing __threadfence() is not found.
//   - __expf and the like are the accurate functions; denormals are not flushed.
//   - The masks of warp operations are enforced, convergence that nobody asked for is not there.
#pragma once
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/sim/runtime.h"

// --- language ---------------------------------------------------------------------------------------------------------
#define __global__ static
#define __device__
#define __host__
#define __constant__
#define __forceinline__ [[gnu::always_inline]] inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define __shared__ static thread_local
#define __grid_constant__

#define threadIdx (tg::simulator::this_thread().index)
#define blockIdx (tg::simulator::this_thread().block_index)
#define blockDim (tg::simulator::this_thread().block_size)
#define gridDim (tg::simulator::this_thread().grid_size)
inline constexpr int warpSize = 32;
using cudaStream_t = void*;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// --- barriers ---------------------------------------------------------------------------------------------------------
#define TG_SITE tg::simulator::Site site = tg::simulator::Site::here()

inline void __syncthreads(TG_SITE) { tg::simulator::block_barrier(tg::simulator::Vote::none, 0, site); }
inline int __syncthreads_count(int value, TG_SITE) {
  return tg::simulator::block_barrier(tg::simulator::Vote::count, value, site);
}
inline int __syncthreads_and(int value, TG_SITE) { return tg::simulator::block_barrier(tg::simulator::Vote::all, value, site); }
inline int __syncthreads_or(int value, TG_SITE) { return tg::simulator::block_barrier(tg::simulator::Vote::any, value, site); }
inline void __syncwarp(unsigned lanes = 0xffffffffu, TG_SITE) { tg::simulator::warp_barrier(lanes, site); }
inline void __threadfence() {}
inline void __threadfence_block() {}

// --- warp operations --------------------------------------------------------------------------------------------------
namespace tg::simulator {
template <class T> [[gnu::always_inline]] inline T shuffled(uint32_t lanes, Shuffle kind, T value, int lane, int width,
                                                            Site site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = shuffle(lanes, kind, bits, lane, width, site);
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}
}  // namespace tg::simulator

template <class T> inline T __shfl_sync(unsigned lanes, T value, int lane, int width = 32, TG_SITE) {
  return tg::simulator::shuffled(lanes, tg::simulator::Shuffle::from, value, lane, width, site);
}
template <class T> inline T __shfl_up_sync(unsigned lanes, T value, unsigned by, int width = 32, TG_SITE) {
  return tg::simulator::shuffled(lanes, tg::simulator::Shuffle::up, value, static_cast<int>(by), width, site);
}
template <class T> inline T __shfl_down_sync(unsigned lanes, T value, unsigned by, int width = 32, TG_SITE) {
  return tg::simulator::shuffled(lanes, tg::simulator::Shuffle::down, value, static_cast<int>(by), width, site);
}
template <class T> inline T __shfl_xor_sync(unsigned lanes, T value, int mask, int width = 32, TG_SITE) {
  return tg::simulator::shuffled(lanes, tg::simulator::Shuffle::exchange, value, mask, width, site);
}
inline unsigned __ballot_sync(unsigned lanes, int value, TG_SITE) { return tg::simulator::ballot(lanes, value != 0, site); }
inline int __any_sync(unsigned lanes, int value, TG_SITE) { return tg::simulator::ballot(lanes, value != 0, site) != 0; }
inline int __all_sync(unsigned lanes, int value, TG_SITE) { return tg::simulator::ballot(lanes, value == 0, site) == 0; }
template <class T> inline unsigned __match_any_sync(unsigned lanes, T value, TG_SITE) {
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  return tg::simulator::match_any(lanes, bits, site);
}
inline unsigned __activemask() { return tg::simulator::active_lanes(); }
inline unsigned __reduce_add_sync(unsigned lanes, unsigned value, TG_SITE) {
  return tg::simulator::warp_reduce(lanes, tg::simulator::Reduce::add, value, false, site);
}
inline unsigned __reduce_max_sync(unsigned lanes, unsigned value, TG_SITE) {
  return tg::simulator::warp_reduce(lanes, tg::simulator::Reduce::max, value, false, site);
}
inline unsigned __reduce_min_sync(unsigned lanes, unsigned value, TG_SITE) {
  return tg::simulator::warp_reduce(lanes, tg::simulator::Reduce::min, value, false, site);
}

// --- atomics ----------------------------------------------------------------------------------------------------------
namespace tg::simulator {
// *address = f(*address), in one piece; gives the old value.
template <class T, class F> inline T atomically(T* address, Site site, const F& f) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics change 4 or 8 bytes");
  uint64_t bits = load_atomic(address, sizeof(T), site);
  for (;;) {
    T old, next;
    __builtin_memcpy(&old, &bits, sizeof(T));
    next = f(old);
    uint64_t next_bits = 0;
    __builtin_memcpy(&next_bits, &next, sizeof(T));
    if (compare_exchange(address, sizeof(T), &bits, next_bits)) return old;
  }
}
}  // namespace tg::simulator

template <class T> inline T atomicAdd(T* address, T value, TG_SITE) {
  return tg::simulator::atomically(address, site, [&](T old) { return static_cast<T>(old + value); });
}
template <class T> inline T atomicMax(T* address, T value, TG_SITE) {
  return tg::simulator::atomically(address, site, [&](T old) { return old < value ? value : old; });
}
template <class T> inline T atomicMin(T* address, T value, TG_SITE) {
  return tg::simulator::atomically(address, site, [&](T old) { return value < old ? value : old; });
}
template <class T> inline T atomicExch(T* address, T value, TG_SITE) {
  return tg::simulator::atomically(address, site, [&](T) { return value; });
}
template <class T> inline T atomicCAS(T* address, T expected, T value, TG_SITE) {
  return tg::simulator::atomically(address, site, [&](T old) { return old == expected ? value : old; });
}

// --- functions --------------------------------------------------------------------------------------------------------
template <class T> inline T __ldg(const T* address) { return *address; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
// glibc has functions of these names: hence macros
#define __expf(x) std::exp(static_cast<float>(x))
#define __logf(x) std::log(static_cast<float>(x))
inline float __fdividef(float a, float b) { return a / b; }
inline float __int_as_float(int bits) { return __builtin_bit_cast(float, bits); }
inline int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
inline unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
inline float __uint_as_float(unsigned bits) { return __builtin_bit_cast(float, bits); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
template <class T> constexpr T min(T a, T b) { return b < a ? b : a; }
template <class T> constexpr T max(T a, T b) { return a < b ? b : a; }
#undef TG_SITE
