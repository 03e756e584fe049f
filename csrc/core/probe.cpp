#include "core/probe.h"

#include <atomic>
#include <chrono>

#include "core/context.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernel_table.h"

namespace tg {

namespace {

// Work done by step(thread) a second, over all threads: each repeats it until the time is up.
template <class Step> double rate(int threads, double milliseconds, const Step& step) {
  check(threads >= 1 && threads <= 1024, ErrorKind::value, "probe: expected 1 to 1024 threads, got {}", threads);
  check(milliseconds > 0 && milliseconds <= 10000, ErrorKind::value, "probe: expected up to 10000 milliseconds, got {}",
        milliseconds);
  using clock = std::chrono::steady_clock;
  const auto seconds = [](clock::duration d) { return std::chrono::duration<double>(d).count(); };
  std::atomic<int64_t> work{0};
  const auto start = clock::now();
  parallel_for(Launch{nullptr, nullptr, threads}, threads, 1, [&](int64_t thread, int64_t) {
    int64_t mine = 0;
    do mine += step(thread);
    while (seconds(clock::now() - start) * 1e3 < milliseconds);
    work += mine;
  });
  return static_cast<double>(work.load()) / seconds(clock::now() - start);
}

}  // namespace

double peak_gflops(DType type, int threads, double milliseconds) {
  const auto loop = context().cpu->arithmetic_loop;
  if (loop(type, 1) == 0) return 0;
  return rate(threads, milliseconds, [&](int64_t) { return loop(type, 20000); }) / 1e9;
}

double memory_gigabytes_per_second(float* buffer, int64_t count, bool copies, int threads, double milliseconds) {
  const auto loop = context().cpu->memory_loop;
  const int64_t share = count / threads, half = share / 2;
  check(half >= 1024, ErrorKind::value, "probe: expected at least 2048 numbers a thread, got {}", share);
  const int64_t passes = 1 + 100000 / share;  // reading the clock must not count
  return rate(threads, milliseconds,
              [&](int64_t thread) {
                float* const mine = buffer + thread * share;
                int64_t bytes = 0;
                for (int64_t i = 0; i < passes; ++i)
                  bytes += copies ? loop(mine, mine + half, half) : loop(mine, nullptr, share);
                return bytes;
              }) /
         1e9;
}

}  // namespace tg
