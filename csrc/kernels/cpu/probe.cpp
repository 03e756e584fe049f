// The arithmetic limit of a core: independent chains of float32 fma and nothing else. Benchmarks divide by it, so that a
// figure means the same on another machine, and throw away samples taken while it was low (somebody else was running).
#include "kernels/cpu/simd.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

static constexpr int chains = 12;  // latency 4 x 2 units = 8 in flight; 12 leave slack and still fit 16 registers

int64_t fma_loop(int64_t iterations) {
  using V = Vec<float>;
  V sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = V(static_cast<float>(c));
  const V scale(0.999f), step(0.001f);  // stays near 1: no overflow, no denormals
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = fma(sums[c], scale, step);
  }
  float total = 0;
  for (int c = 0; c < chains; ++c) total += reduce_add(sums[c]);
  volatile float sink = total;  // the work must not be dropped
  (void)sink;
  return iterations * chains * V::width * 2;
}

}  // namespace tg::TG_ISA
