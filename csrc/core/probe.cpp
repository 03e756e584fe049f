#include "core/probe.h"

#include <atomic>
#include <chrono>

#include "core/context.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernel_table.h"

namespace tg {

double fma_peak_gflops(int threads, double milliseconds) {
  check(threads >= 1 && threads <= 1024, ErrorKind::value, "fma_peak_gflops: expected 1 to 1024 threads, got {}", threads);
  check(milliseconds > 0 && milliseconds <= 10000, ErrorKind::value,
        "fma_peak_gflops: expected up to 10000 milliseconds, got {}", milliseconds);
  using clock = std::chrono::steady_clock;
  const auto seconds = [](clock::duration d) { return std::chrono::duration<double>(d).count(); };
  const auto loop = context().cpu->fma_loop;
  std::atomic<int64_t> flops{0};
  const auto start = clock::now();
  parallel_for(Launch{nullptr, nullptr, threads}, threads, 1, [&](int64_t, int64_t) {
    int64_t mine = 0;
    do mine += loop(20000);
    while (seconds(clock::now() - start) * 1e3 < milliseconds);
    flops += mine;
  });
  return static_cast<double>(flops.load()) / seconds(clock::now() - start) / 1e9;
}

}  // namespace tg
