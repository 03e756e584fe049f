// Single elements by number along a dim (positions.cpp).
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array gather(const Array& x, int64_t dim, const Array& index);
// x with src combined where the index points; op: write, add, multiply, maximum, minimum. src may be larger than the index.
Array scatter(const Array& x, int64_t dim, const Array& index, const Array& src, int64_t op);
void scatter_(Array& x, int64_t dim, const Array& index, const Array& src, int64_t op);
// How often each of the numbers 0, 1, ... occurs in an int64 vector; at least `minlength` of them.
Array bincount(const Array& x, int64_t minlength);
Array nonzero(const Array& x);  // (count, ndim) int64

// Elements in other places (rearrange.cpp).
Array flip(const Array& x, int64_t dim);
Array roll(const Array& x, int64_t shift, int64_t dim);
Array triangle(const Array& x, int64_t diagonal, bool lower);  // of the matrices in the last two dims, zeros elsewhere

}  // namespace tg::ops
