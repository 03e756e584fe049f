// What the kernels of normalisation are given. Statistics, weights and their gradients are in the compute dtype: float32, or
// float64 for float64.
#pragma once
#include "kernels/views.h"

namespace tg {

struct RowNorm {  // layer_norm and rms_norm: every row by itself
  Rows x;
  void* y = nullptr;                              // (rows, cols), contiguous, x's dtype
  const void *weight = nullptr, *bias = nullptr;  // cols each, or null
  void *mean = nullptr, *rstd = nullptr;          // rows each; rms_norm leaves mean alone
  double eps = 0;
};

struct RowNormBackward {
  Rows x, dy;
  void* dx = nullptr;
  const void *weight = nullptr, *mean = nullptr, *rstd = nullptr;
  void *dweight = nullptr, *dbias = nullptr;  // cols each; rms_norm has no dbias
};

// x (batch, channels, length), contiguous. batch_norm's statistics are `channels` numbers; group_norm's are batch * groups.
struct ChannelNorm {
  DType dtype = DType::f32;
  int64_t batch = 0, channels = 0, length = 0, groups = 1;
  const void* x = nullptr;
  void* y = nullptr;
  const void *weight = nullptr, *bias = nullptr;               // channels each, or null
  void *mean = nullptr, *rstd = nullptr, *variance = nullptr;  // only batch_norm writes the variance
  double eps = 0;
};

struct ChannelNormBackward {
  DType dtype = DType::f32;
  int64_t batch = 0, channels = 0, length = 0, groups = 1;
  const void *x = nullptr, *dy = nullptr;
  void* dx = nullptr;
  const void *weight = nullptr, *mean = nullptr, *rstd = nullptr;
  void *dweight = nullptr, *dbias = nullptr;  // channels each
};

struct ChannelAffine {  // y = x * scale[channel] + shift[channel]
  DType dtype = DType::f32;
  int64_t batch = 0, channels = 0, length = 0;
  const void* x = nullptr;
  void* y = nullptr;
  const void *scale = nullptr, *shift = nullptr;  // channels each
};

}  // namespace tg
