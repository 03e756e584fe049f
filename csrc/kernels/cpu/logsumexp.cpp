// log-sum-exp over rows: y[i] = log sum_j e^x[i, j] = m_i + log sum_j e^(x[i, j] - m_i), m_i the largest element of row i.
//
// Shapes: x (rows, cols), y (rows). Every exponential is in (0, 1], so nothing overflows. A row of -infinity only gives
// -infinity, a row with +infinity gives +infinity (NaN wins over both).
//
// Cost: one exponential an element, two reads of which the second comes from the cache while a row fits it. Numerics:
// computed in float32 (double for double), the sum in two registers by a fixed tree.
#include "core/parallel.h"
#include "kernels/cpu/rows.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

template <class T, class S> static T logsumexp_row(const S* x, int64_t cols) {
  const T high = max_of<T>(x, cols);  // NaN is passed over here and comes back in the sum
  const T infinity = Format<T>::infinity;
  const T shift = high == infinity || high == -infinity ? T(0) : high;
  const Vec<T> center(shift);
  const T sum = sum_of<T, 2>(cols, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    return exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - center);
  });
  return log_of(sum) + shift;
}

Status logsumexp(const Launch& launch, const Rows& x, const Rows& y) {
  return visit_floating(x.dtype, [&]<class S>() {
    using T = Compute<S>;
    parallel_for(launch, x.rows, rows_per_piece(x.cols), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Vec<T> result(logsumexp_row<T>(row<const S>(x, i), x.cols));
        result.store(row<S>(y, i), 1);
      }
    });
    return Status{};
  });
}

}  // namespace tg::TG_ISA
