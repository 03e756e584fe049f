// What the kernels of random numbers are given beside the output.
#pragma once
#include "kernels/views.h"

namespace tg {

struct Random {  // Philox 4x32-10 stream: element i of the output is a function of (seed, offset + i / 4) alone
  uint64_t seed = 0, offset = 0;
};

}  // namespace tg
