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
// Rows of up to 32 elements go a register of rows at a time, turned over, so that a lane is a row: short rows are mostly
// overhead otherwise, above all the one logarithm a row.
//
//     row 0   a b c d e        column 0   a f k p        maximum, sum and logarithm of 4 rows
//     row 1   f g h i j   ->   column 1   b g l q   ->   are those of 4 lanes
//     row 2   k l m n o         ...
//
// A result too large for the cache is streamed past it; its exponentials wait on the stack. Rows whose elements do not lie side
// by side: softmax_columns.h.
//
// Numerics: computed in float32 (double for double); sums run in four registers that are added by a fixed tree, so the
// result depends on the row and the instruction set alone. A row of -infinity only, and any row with NaN or +infinity,
// gives NaN, as in PyTorch; single -infinity entries get probability 0.
#include "core/parallel.h"
#include "kernels/cpu/softmax_columns.h"
#include "kernels/cpu/streamed_rows.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

// y = e^(x - max) / sum, where the exponentials wait in `kept` (which may be y) for their sum to be known.
template <bool streamed, class S, class T>
TG_INLINE void softmax_row_through(const S* x, S* y, T* kept, Vec<T> high, int64_t cols) {
  const Vec<T> sum(sum_of<T, 2>(cols, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    const Vec<T> e = exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - high);
    e.store(kept + i, count);
    return e;
  }));
  const Vec<T> scale = Vec<T>(T(1)) / sum;
  for_each_register<T, 4>(cols, [&](int64_t i, int64_t count, int)
                                    TG_INLINE_LAMBDA { put<streamed>(Vec<T>::load(kept + i, count) * scale, y + i, count); });
}

template <class S, bool streamed> static void softmax_row(const S* x, S* y, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> high(max_of<T>(x, cols));
  if constexpr (streamed && sizeof(S) == sizeof(T)) {
    T kept[kept_elements];
    if (cols <= kept_elements) softmax_row_through<true>(x, y, kept, high, cols);
    else softmax_row_through<false>(x, y, y, high, cols);
  } else if constexpr (sizeof(S) == sizeof(T)) {
    softmax_row_through<false>(x, y, y, high, cols);
  } else {  // in y they would be rounded to 16 bits
    T kept[4096];
    if (cols <= 4096) return softmax_row_through<false>(x, y, kept, high, cols);
    auto exponential = [&](int64_t i, int64_t count)
                           TG_INLINE_LAMBDA { return exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - high); };
    const Vec<T> scale = Vec<T>(T(1)) / Vec<T>(sum_of<T, 2>(cols, exponential));
    for_each_register<T, 1>(
        cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA { (exponential(i, count) * scale).store(y + i, count); });
  }
}

// --- short rows ---------------------------------------------------------------------------------------------------------
template <class T> inline constexpr int64_t short_row = 128 / sizeof(T);

// Up to Vec<T>::width rows of up to short_row<T> elements as columns; lanes of rows that are not there hold anything finite.
template <class T> struct TurnedRows {
  static constexpr int64_t width = Vec<T>::width;
  Vec<T> column[short_row<T>];

  TG_INLINE TurnedRows(const T* x, int64_t stride, int64_t rows, int64_t cols) {
    for (int64_t c = 0; c < cols; c += width) {
      Vec<T> block[width];
      for (int64_t r = 0; r < width; ++r) block[r] = r < rows ? Vec<T>::load(x + r * stride + c, cols - c) : Vec<T>(T(0));
      transpose(block);
      for (int64_t k = 0; k < width; ++k) column[c + k] = block[k];
    }
  }
  TG_INLINE void store(T* y, int64_t stride, int64_t rows, int64_t cols) const {
    for (int64_t c = 0; c < cols; c += width) {
      Vec<T> block[width];
      for (int64_t k = 0; k < width; ++k) block[k] = column[c + k];
      transpose(block);
      for (int64_t r = 0; r < rows; ++r) block[r].store(y + r * stride + c, cols - c);
    }
  }
};

// softmax (or log_softmax) of rows [begin, end).
template <class T, bool logarithm> static void short_rows(const Rows& x, const Rows& y, int64_t begin, int64_t end) {
  const int64_t cols = x.cols;
  for (int64_t i = begin; i < end; i += Vec<T>::width) {
    const int64_t rows = end - i < Vec<T>::width ? end - i : Vec<T>::width;
    TurnedRows<T> t(row<const T>(x, i), x.row_stride, rows, cols);
    Vec<T> high(-Format<T>::infinity), sum(T(0));
    for (int64_t c = 0; c < cols; ++c) high = max_or_second(t.column[c], high);  // passes NaN over
    for (int64_t c = 0; c < cols; ++c) {
      const Vec<T> below = t.column[c] - high, e = exp(below);
      t.column[c] = logarithm ? below : e;
      sum += e;
    }
    if constexpr (logarithm) {
      const Vec<T> log_sum = log(sum);
      for (int64_t c = 0; c < cols; ++c) t.column[c] -= log_sum;
    } else {
      const Vec<T> scale = Vec<T>(T(1)) / sum;
      for (int64_t c = 0; c < cols; ++c) t.column[c] *= scale;
    }
    t.store(row<T>(y, i), y.row_stride, rows, cols);
  }
}

template <class S> static bool are_short_rows(const Rows& x) {
  if constexpr (sizeof(S) == sizeof(Compute<S>)) return x.cols <= short_row<S>;
  return false;
}

template <class S, bool streamed> static void softmax_backward_row(const S* y, const S* dy, S* dx, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> dot(sum_of<T>(cols, [&](int64_t i, int64_t count)
                                       TG_INLINE_LAMBDA { return Vec<T>::load(y + i, count) * Vec<T>::load(dy + i, count); }));
  for_each_register<T, 4>(cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    put<streamed>((Vec<T>::load(dy + i, count) - dot) * Vec<T>::load(y + i, count), dx + i, count);
  });
}

template <class S, bool streamed> static void log_softmax_row(const S* x, S* y, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> high(max_of<T>(x, cols));
  const T sum = sum_of<T, 2>(cols, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    return exp(Vec<T>::load(x + i, count, -Format<T>::infinity) - high);
  });
  const Vec<T> log_sum(log_of(sum));
  for_each_register<T, 4>(cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    put<streamed>((Vec<T>::load(x + i, count) - high) - log_sum, y + i, count);
  });
}

template <class S, bool streamed> static void log_softmax_backward_row(const S* y, const S* dy, S* dx, int64_t cols) {
  using T = Compute<S>;
  const Vec<T> sum(sum_of<T>(cols, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA { return Vec<T>::load(dy + i, count); }));
  for_each_register<T, 1>(cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    put<streamed>(Vec<T>::load(dy + i, count) - exp(Vec<T>::load(y + i, count)) * sum, dx + i, count);
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status softmax(const Launch& launch, const Rows& x, const Rows& y) {
  return visit_floating(x.dtype, [&]<class S>() {
    if (lie_across(x)) return softmax_across<S, false>(launch, x, y), Status{};
    for_row_pieces<S>(launch, y, [&]<bool streamed>(int64_t begin, int64_t end) {
      if (are_short_rows<S>(x)) return short_rows<Compute<S>, false>(x, y, begin, end);
      for (int64_t i = begin; i < end; ++i) softmax_row<S, streamed>(row<const S>(x, i), row<S>(y, i), x.cols);
    });
    return Status{};
  });
}

Status softmax_backward(const Launch& launch, const Rows& y, const Rows& dy, const Rows& dx) {
  return visit_floating(y.dtype, [&]<class S>() {
    if (lie_across(y)) return softmax_backward_across<S, false>(launch, y, dy, dx), Status{};
    for_row_pieces<S>(launch, dx, [&]<bool streamed>(int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        softmax_backward_row<S, streamed>(row<const S>(y, i), row<const S>(dy, i), row<S>(dx, i), y.cols);
    });
    return Status{};
  });
}

Status log_softmax(const Launch& launch, const Rows& x, const Rows& y) {
  return visit_floating(x.dtype, [&]<class S>() {
    if (lie_across(x)) return softmax_across<S, true>(launch, x, y), Status{};
    for_row_pieces<S>(launch, y, [&]<bool streamed>(int64_t begin, int64_t end) {
      if (are_short_rows<S>(x)) return short_rows<Compute<S>, true>(x, y, begin, end);
      for (int64_t i = begin; i < end; ++i) log_softmax_row<S, streamed>(row<const S>(x, i), row<S>(y, i), x.cols);
    });
    return Status{};
  });
}

Status log_softmax_backward(const Launch& launch, const Rows& y, const Rows& dy, const Rows& dx) {
  return visit_floating(y.dtype, [&]<class S>() {
    if (lie_across(y)) return softmax_backward_across<S, true>(launch, y, dy, dx), Status{};
    for_row_pieces<S>(launch, dx, [&]<bool streamed>(int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        log_softmax_backward_row<S, streamed>(row<const S>(y, i), row<const S>(dy, i), row<S>(dx, i), y.cols);
    });
    return Status{};
  });
}

}  // namespace tg::TG_ISA
