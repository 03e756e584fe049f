// Which places each place of a result looks at, in one dim: windows of a pooling, neighbours of an interpolation.
#pragma once
#include <vector>

#include "kernels/arguments/resample.h"
#include "ops/ops.h"

namespace tg::ops {

struct TapTable {
  int64_t in = 1, out = 1;
  std::vector<int64_t> first{0}, index;
  std::vector<double> weight, divisor;  // no divisor: sums stay as they are

  void tap(int64_t i, double w) {
    if (w != 0) index.push_back(i), weight.push_back(w);
  }
  void end_of_place() { first.push_back(static_cast<int64_t>(index.size())); }
  Taps view() const { return {in, out, first.data(), index.data(), weight.data(), divisor.empty() ? nullptr : divisor.data()}; }
};

// The table of the transposed matrix: what the gradient looks at. Divisors become part of the weights.
TapTable transposed(const TapTable& t);

// One dim of a pooling window.
struct Window { int64_t kernel = 1, stride = 1, padding = 0, dilation = 1; };
// How many windows there are; RuntimeError where none fits.
int64_t window_count(const char* op, int64_t in, const Window& w, bool ceil_mode);
// The places of each window that are inside, with weight 1.
TapTable window_taps(int64_t in, int64_t out, const Window& w);
// Windows of adaptive pooling: from floor(o in / out) to ceil((o + 1) in / out).
TapTable adaptive_taps(int64_t in, int64_t out);

// Every place gets as many taps as the one with most of them, by naming its last one again: harmless to a maximum.
// RuntimeError where a place has none.
void make_even(const char* op, TapTable& t);
// Windows with weight 1 and their sizes as divisors.
TapTable average_taps(int64_t in, int64_t out, const Window& w, bool count_include_pad);

enum class Interpolation : int64_t { nearest, nearest_exact, linear, cubic, area };
struct InterpolationOptions {
  Interpolation mode;
  bool align_corners, antialias;
  double scale;   // result size / input size as the caller gave it, or 0: from the sizes
  bool in_float;  // nearest places are found in float32, as PyTorch does for every dtype but float64
};
TapTable interpolation_taps(int64_t in, int64_t out, const InterpolationOptions& o);

}  // namespace tg::ops
