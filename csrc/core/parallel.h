// The one place that speaks OpenMP. A range is cut into pieces that depend on the range alone, never on the number of
// threads, so that a kernel which sums inside a piece gives the same bits for any number of threads.
#pragma once
#include <cstdint>

#include "kernels/views.h"

namespace tg {

// Calls body(begin, end) for consecutive pieces of [0, n), each `grain` long (the last one shorter). Runs on the calling
// thread when one piece or one thread is all there is.
template <class Body>
[[gnu::always_inline]] static inline void parallel_for(const Launch& launch, int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  if (launch.threads <= 1 || n <= grain) {
    for (int64_t begin = 0; begin < n; begin += grain) body(begin, begin + grain < n ? begin + grain : n);
    return;
  }
  const int64_t pieces = (n + grain - 1) / grain;
  const int threads = pieces < launch.threads ? static_cast<int>(pieces) : launch.threads;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int64_t begin = piece * grain;
    body(begin, begin + grain < n ? begin + grain : n);
  }
}

}  // namespace tg
