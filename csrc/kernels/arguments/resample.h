// What the kernels of resampling and pooling are given: one short list of taps for every place of the result, dim by dim.
#pragma once
#include "kernels/views.h"

namespace tg {

// One dim. Place o of the result looks at the places index[first[o]] .. index[first[o + 1] - 1] of the input, in order.
struct Taps {
  int64_t in = 1, out = 1;
  const int64_t* first = nullptr;   // out + 1 numbers; null: place o looks at place o alone
  const int64_t* index = nullptr;   // each in [0, in)
  const double* weight = nullptr;   // the factors, never 0; of no meaning to a maximum
  const double* divisor = nullptr;  // out numbers that the sums are divided by, or null
};

// out[p, i, j] = sum over the taps (a, u) of row i and (b, v) of column j: u v in[p, a, b] / (divisor[i] divisor[j]).
struct Resample {
  DType dtype = DType::f32;
  int64_t planes = 0;
  Taps rows, cols;
};

// Windows over (planes, depth, rows, cols). In each dim all places have equally many taps, at least one (a window that is cut
// off by the border names its last place again), in rising order.
struct Pool {
  DType dtype = DType::f32;
  int64_t planes = 0;
  Taps depth, rows, cols;
};

}  // namespace tg
