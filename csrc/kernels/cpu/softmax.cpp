// softmax and log_softmax over rows, forward and backward.
//
//   softmax               y[i, j] = e^(x[i, j] - max_i) / sum_k e^(x[i, k] - max_i)
//   softmax_backward      dx[i, :] = (dy[i, :] - <dy[i, :], y[i, :]>) * y[i, :]
//   log_softmax           y[i, j] = (x[i, j] - max_i) - log sum_k e^(x[i, k] - max_i)
//   log_softmax_backward  dx[i, :] = dy[i, :] - e^y[i, :] * sum_k dy[i, k]
//
// Shapes: every matrix is (rows, cols), elements of a row side by side. Subtracting the row's maximum changes nothing in
// exact arithmetic and keeps every exponential in (0, 1].
//
// Cost: one exponential an element (about 15 operations); 4 reads and 2 writes an element, of which only the first read
// and the last write reach memory as long as a row fits the cache. So memory sets the pace for long and many rows.
//
// Numerics: computed in float32 (double for double); sums run in four registers that are added by a fixed tree, so the
// result depends on the row and the instruction set alone. A row of -infinity only, and any row with NaN or +infinity,
// gives NaN, as in PyTorch; single -infinity entries get probability 0.
#include "core/parallel.h"
#include "kernels/cpu/rows.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

// y = e^(x - max) / sum, where the exponentials wait in `kept` (which may be y) for their sum to be known.
template <class S, class T> TG_INLINE void softmax_row_through(const S* x, S* y, T* kept, Vec<T> high, int64_t cols) {
  const Vec<T> sum(sum_of<T, 2>(cols, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    const Vec<T> e = exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - high);
    e.store(kept + i, count);
    return e;
  }));
  const Vec<T> scale = Vec<T>(T(1)) / sum;
  for_each_register<T, 4>(cols, [&](int64_t i, int64_t count, int)
                                    TG_INLINE_LAMBDA { (Vec<T>::load(kept + i, count) * scale).store(y + i, count); });
}

template <class S> static void softmax_row(const S* x, S* y, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> high(max_of<T>(x, cols));
  if constexpr (sizeof(S) == sizeof(T)) {
    softmax_row_through<S, T>(x, y, y, high, cols);
  } else {  // in y they would be rounded to 16 bits
    T kept[4096];
    if (cols <= 4096) return softmax_row_through<S, T>(x, y, kept, high, cols);
    auto exponential = [&](int64_t i, int64_t count)
                           TG_INLINE_LAMBDA { return exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - high); };
    const Vec<T> scale = Vec<T>(T(1)) / Vec<T>(sum_of<T, 2>(cols, exponential));
    for_each_register<T, 1>(
        cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA { (exponential(i, count) * scale).store(y + i, count); });
  }
}

template <class S> static void softmax_backward_row(const S* y, const S* dy, S* dx, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> dot(sum_of<T>(cols, [&](int64_t i, int64_t count)
                                       TG_INLINE_LAMBDA { return Vec<T>::load(y + i, count) * Vec<T>::load(dy + i, count); }));
  for_each_register<T, 4>(cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    ((Vec<T>::load(dy + i, count) - dot) * Vec<T>::load(y + i, count)).store(dx + i, count);
  });
}

template <class S> static void log_softmax_row(const S* x, S* y, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> high(max_of<T>(x, cols));
  const T sum = sum_of<T, 2>(cols, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    return exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - high);
  });
  const Vec<T> log_sum(log_of(sum));
  for_each_register<T, 4>(cols, [&](int64_t i, int64_t count, int)
                                    TG_INLINE_LAMBDA { ((Vec<T>::load(x + i, count) - high) - log_sum).store(y + i, count); });
}

template <class S> static void log_softmax_backward_row(const S* y, const S* dy, S* dx, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> sum(sum_of<T>(cols, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA { return Vec<T>::load(dy + i, count); }));
  for_each_register<T, 1>(cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    (Vec<T>::load(dy + i, count) - exp(Vec<T>::load(y + i, count)) * sum).store(dx + i, count);
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status softmax(const Launch& launch, const Rows& x, const Rows& y) {
  return visit_floating(x.dtype, [&]<class S>() {
    parallel_for(launch, x.rows, rows_per_piece(x.cols), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) softmax_row(row<const S>(x, i), row<S>(y, i), x.cols);
    });
    return Status{};
  });
}

Status softmax_backward(const Launch& launch, const Rows& y, const Rows& dy, const Rows& dx) {
  return visit_floating(y.dtype, [&]<class S>() {
    parallel_for(launch, y.rows, rows_per_piece(y.cols), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        softmax_backward_row(row<const S>(y, i), row<const S>(dy, i), row<S>(dx, i), y.cols);
    });
    return Status{};
  });
}

Status log_softmax(const Launch& launch, const Rows& x, const Rows& y) {
  return visit_floating(x.dtype, [&]<class S>() {
    parallel_for(launch, x.rows, rows_per_piece(x.cols), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) log_softmax_row(row<const S>(x, i), row<S>(y, i), x.cols);
    });
    return Status{};
  });
}

Status log_softmax_backward(const Launch& launch, const Rows& y, const Rows& dy, const Rows& dx) {
  return visit_floating(y.dtype, [&]<class S>() {
    parallel_for(launch, y.rows, rows_per_piece(y.cols), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        log_softmax_backward_row(row<const S>(y, i), row<const S>(dy, i), row<S>(dx, i), y.cols);
    });
    return Status{};
  });
}

}  // namespace tg::TG_ISA
