// layer_norm and rms_norm over rows, forward and backward.
//
//   layer_norm   xhat = (x - mean) rstd,   mean = sum x / n,   rstd = 1 / sqrt(sum (x - mean)^2 / n + eps)
//   rms_norm     xhat = x rstd,            rstd = 1 / sqrt(sum x^2 / n + eps)
//   both         y = xhat weight + bias
//
//   backward     g = dy weight
//                dx = rstd (g - sum g / n - xhat sum (g xhat) / n)      (rms_norm: without the middle term)
//                dweight = sum over rows of dy xhat,   dbias = sum over rows of dy
//
// Shapes: x, y, dy, dx (rows, n); weight, bias, dweight, dbias (n); mean, rstd (rows).
//
// Forward, a row is read from memory once and then from the first cache: for the sum, for the squares, for the result.
// Backward, rows are cut into chunks (from the shape alone). Within a chunk four rows go together, so that the running sums of
// dweight and dbias are loaded and stored once for four rows:
//
//     chunk 0  [ 4 rows | 4 rows | ... ]  ->  dweight_0, dbias_0      a thread has whole chunks
//     chunk 1  [ 4 rows | 4 rows | ... ]  ->  dweight_1, dbias_1      then: dweight = dweight_0 + dweight_1 + ...
//
// Cost: forward one read and one write an element, backward two and one. Memory sets the pace.
//
// Numerics: float32 (double for double) throughout; the variance is the exact two-pass one. Sums over a row run in four
// registers joined by a fixed tree; sums over rows run in row order within a chunk, then in chunk order.
#include "core/parallel.h"
#include "kernels/arguments/norm.h"
#include "kernels/cpu/streamed_rows.h"

namespace tg::TG_ISA {

template <class T> TG_INLINE T inverse_root(T x) { return T(1) / __builtin_sqrt(x); }
TG_INLINE float inverse_root(float x) { return 1.0f / __builtin_sqrtf(x); }

template <class T> TG_INLINE Vec<T> factor(const T* weight, int64_t i, int64_t n) {
  return weight ? Vec<T>::load(weight + i, n) : Vec<T>(T(1));
}

// --- forward ----------------------------------------------------------------------------------------------------------
template <class S, bool centred, bool streamed> static void norm_row(const RowNorm& a, int64_t r) {
  using T = Compute<S>;
  const S* const x = row<const S>(a.x, r);
  S* const y = static_cast<S*>(a.y) + r * a.x.cols;
  const T *const weight = static_cast<const T*>(a.weight), *const bias = static_cast<const T*>(a.bias);
  const int64_t n = a.x.cols;
  T mean = 0;
  if constexpr (centred) {
    mean = sum_of<T>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA { return Vec<T>::load(x + i, count); }) / T(n);
    static_cast<T*>(a.mean)[r] = mean;
  }
  const Vec<T> centre(mean);
  const T squares = sum_of<T>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    const Vec<T> d = Vec<T>::load(x + i, count, mean) - centre;
    return d * d;
  });
  const T rstd = inverse_root(squares / T(n) + T(a.eps));
  static_cast<T*>(a.rstd)[r] = rstd;
  const Vec<T> scale(rstd);
  for_each_register<T, 4>(n, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    Vec<T> v = (Vec<T>::load(x + i, count) - centre) * scale;
    if (weight) v *= Vec<T>::load(weight + i, count);
    if (bias) v += Vec<T>::load(bias + i, count);
    put<streamed>(v, y + i, count);
  });
}

template <bool centred> static Status norm_rows(const Launch& launch, const RowNorm& a) {
  return visit_floating(a.x.dtype, [&]<class S>() {
    for_row_pieces<S>(launch, Rows{a.y, a.x.dtype, a.x.rows, a.x.cols, a.x.cols},
                      [&]<bool streamed>(int64_t begin, int64_t end) {
                        for (int64_t r = begin; r < end; ++r) norm_row<S, centred, streamed>(a, r);
                      });
    return Status{};
  });
}

// --- backward ---------------------------------------------------------------------------------------------------------
static int64_t chunk_rows(int64_t cols) {  // 256, fewer where rows are long, so that few long rows still make several chunks
  const int64_t rows = 262144 / (cols + 1);
  return rows < 16 ? 16 : rows > 256 ? 256 : rows;
}
static int64_t chunks_of(const Rows& x) { return (x.rows + chunk_rows(x.cols) - 1) / chunk_rows(x.cols); }

// `count` rows from r on: their dx, and their part of dweight and dbias added to the sums.
template <class S, bool centred, bool streamed, int count>
static void norm_rows_backward(const RowNormBackward& a, int64_t r, Compute<S>* dweight, Compute<S>* dbias) {
  using T = Compute<S>;
  const int64_t n = a.x.cols;
  const T* const weight = static_cast<const T*>(a.weight);
  const S *x[count], *dy[count];
  S* dx[count];
  Vec<T> mean[count], rstd[count], of_mean[count], of_xhat[count];  // of_...: what is subtracted from g
  for (int k = 0; k < count; ++k) {
    x[k] = row<const S>(a.x, r + k);
    dy[k] = row<const S>(a.dy, r + k);
    dx[k] = static_cast<S*>(a.dx) + (r + k) * n;
    const T centre = centred ? static_cast<const T*>(a.mean)[r + k] : T(0);
    mean[k] = Vec<T>(centre);
    rstd[k] = Vec<T>(static_cast<const T*>(a.rstd)[r + k]);
    Vec<T> sum[2] = {Vec<T>(T(0)), Vec<T>(T(0))}, dot[2] = {Vec<T>(T(0)), Vec<T>(T(0))};
    for_each_register<T, 2>(n, [&](int64_t i, int64_t lanes, int slot) TG_INLINE_LAMBDA {
      if constexpr (!streamed) __builtin_prefetch(dx[k] + i, 1);
      const Vec<T> g = Vec<T>::load(dy[k] + i, lanes) * factor(weight, i, lanes);  // 0 past the end
      if constexpr (centred) sum[slot] += g;
      dot[slot] = fma(g, Vec<T>::load(x[k] + i, lanes, centre) - mean[k], dot[slot]);
    });
    of_mean[k] = Vec<T>(reduce_add(sum[0] + sum[1]) / T(n));
    of_xhat[k] = Vec<T>(reduce_add(dot[0] + dot[1]) / T(n)) * rstd[k];
  }
  for_each_register<T, 1>(n, [&](int64_t i, int64_t lanes, int) TG_INLINE_LAMBDA {
    const Vec<T> w = factor(weight, i, lanes);
    Vec<T> dw = Vec<T>::load(dweight + i, lanes), db(T(0));
    if constexpr (centred) db = Vec<T>::load(dbias + i, lanes);
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) {
      const Vec<T> upstream = Vec<T>::load(dy[k] + i, lanes);
      const Vec<T> xhat = (Vec<T>::load(x[k] + i, lanes) - mean[k]) * rstd[k];
      dw = fma(upstream, xhat, dw);
      if constexpr (centred) db += upstream;
      const Vec<T> g = centred ? upstream * w - of_mean[k] : upstream * w;
      put<streamed>(rstd[k] * (g - xhat * of_xhat[k]), dx[k] + i, lanes);
    }
    dw.store(dweight + i, lanes);
    if constexpr (centred) db.store(dbias + i, lanes);
  });
}

template <bool centred> static Status norm_backward(const Launch& launch, const RowNormBackward& a) {
  return visit_floating(a.x.dtype, [&]<class S>() {
    using T = Compute<S>;
    const int64_t cols = a.x.cols, chunk = chunk_rows(cols), chunks = chunks_of(a.x);
    const bool streamed = rows_are_streamed<S>(a.dx, a.x.rows, cols);
    T* const sums = static_cast<T*>(launch.workspace);  // (chunks, 2, cols): dweight and dbias of every chunk
    parallel_for(launch, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        T *const dweight = sums + 2 * c * cols, *const dbias = dweight + cols;
        __builtin_memset(dweight, 0, size_t(2 * cols) * sizeof(T));
        int64_t r = c * chunk;
        const int64_t last = r + chunk < a.x.rows ? r + chunk : a.x.rows;
        if (streamed) {
          for (; r + 4 <= last; r += 4) norm_rows_backward<S, centred, true, 4>(a, r, dweight, dbias);
          stream_end();
        }
        for (; r + 4 <= last; r += 4) norm_rows_backward<S, centred, false, 4>(a, r, dweight, dbias);
        for (; r < last; ++r) norm_rows_backward<S, centred, false, 1>(a, r, dweight, dbias);
      }
    });
    parallel_for(launch, cols, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += Vec<T>::width) {
        Vec<T> dw(T(0)), db(T(0));
        for (int64_t c = 0; c < chunks; ++c) {
          dw += Vec<T>::load(sums + 2 * c * cols + i, end - i);
          if constexpr (centred) db += Vec<T>::load(sums + (2 * c + 1) * cols + i, end - i);
        }
        dw.store(static_cast<T*>(a.dweight) + i, end - i);
        if constexpr (centred) db.store(static_cast<T*>(a.dbias) + i, end - i);
      }
    });
    return Status{};
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status layer_norm(const Launch& launch, const RowNorm& a) { return norm_rows<true>(launch, a); }
Status rms_norm(const Launch& launch, const RowNorm& a) { return norm_rows<false>(launch, a); }
Status layer_norm_backward(const Launch& launch, const RowNormBackward& a) { return norm_backward<true>(launch, a); }
Status rms_norm_backward(const Launch& launch, const RowNormBackward& a) { return norm_backward<false>(launch, a); }

size_t layer_norm_backward_workspace(const RowNormBackward& a) {
  return size_t(2 * chunks_of(a.x) * a.x.cols) * (a.x.dtype == DType::f64 ? sizeof(double) : sizeof(float));
}
size_t rms_norm_backward_workspace(const RowNormBackward& a) { return layer_norm_backward_workspace(a); }

}  // namespace tg::TG_ISA
