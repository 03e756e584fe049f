// Order: running sums, sorting, the best k, binary search (scan.cpp, sort.cpp). dim may be negative.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

Array cumsum(const Array& x, int64_t dim, bool reverse);  // integers and bools add up in int64; reverse: from the end
Array cumprod(const Array& x, int64_t dim);
Array logcumsumexp(const Array& x, int64_t dim, bool reverse);
std::tuple<Array, Array> cummax(const Array& x, int64_t dim);  // (values, indices)
std::tuple<Array, Array> cummin(const Array& x, int64_t dim);

std::tuple<Array, Array> sort(const Array& x, int64_t dim, bool descending);  // stable; (values, indices)
std::tuple<Array, Array> topk(const Array& x, int64_t k, int64_t dim, bool largest);
// The element at place `rank` of the sorted order along dim (kind 0), the median (1), the median without NaN (2), and where it
// was; the dim stays, with one element.
std::tuple<Array, Array> select_rank(const Array& x, int64_t dim, int64_t rank, int64_t kind);
Array searchsorted(const Array& sorted, const Array& values, bool right);

}  // namespace tg::ops
