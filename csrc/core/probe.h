// Measuring the machine itself.
#pragma once
#include "core/dtype.h"

namespace tg {

// GFLOP/s of pure multiply-add on `threads` threads, measured for about `milliseconds`; 0 where the instruction set has no
// instruction for the type.
double peak_gflops(DType type, int threads, double milliseconds);

// GB/s of going through `buffer` again and again for about `milliseconds`, each thread through a part of its own: reading it, or
// copying its first half to the second (bytes read and written).
double memory_gigabytes_per_second(float* buffer, int64_t count, bool copies, int threads, double milliseconds);

}  // namespace tg
