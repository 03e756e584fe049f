// Random numbers, written in place.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

void uniform_(Array& x, double low, double high, int64_t seed, int64_t offset);
void normal_(Array& x, double mean, double std, int64_t seed, int64_t offset);
void randint_(Array& x, int64_t low, int64_t high, int64_t seed, int64_t offset);

}  // namespace tg::ops
