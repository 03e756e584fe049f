// Measuring the machine itself.
#pragma once

namespace tg {

// float32 GFLOP/s of pure fma on `threads` threads, measured for about `milliseconds`.
double fma_peak_gflops(int threads, double milliseconds);

}  // namespace tg
