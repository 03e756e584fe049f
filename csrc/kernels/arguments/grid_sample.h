// What the kernels of grid sampling are given.
#pragma once
#include "kernels/views.h"

namespace tg {

// Images (batch, channels, rows, cols) read at `places` points per image; grid is (batch, places, 2): x, y in [-1, 1].
struct GridSample {
  enum Border : int32_t { zeros, border, reflection };
  DType dtype = DType::f32;
  int64_t batch = 0, channels = 0, rows = 0, cols = 0, places = 0;
  bool nearest = false, align_corners = false;
  Border padding = zeros;
};

}  // namespace tg
