// What the running sums and their relatives are given.
#pragma once
#include "kernels/views.h"

namespace tg {

enum class ScanOp : uint8_t { sum, prod, max, min, logsumexp };

// out[o, i, :] = in[o, 0, :] op ... op in[o, i, :], both contiguous and seen as (outer, size, inner).
struct Scan {
  void* out = nullptr;
  int64_t* where = nullptr;  // of max and min: the i the value comes from, the last of equals
  const void* in = nullptr;
  DType dtype = DType::f32;
  ScanOp op = ScanOp::sum;
  bool reverse = false;  // from the last element to the first
  int64_t outer = 1, size = 0, inner = 1;
};

}  // namespace tg
