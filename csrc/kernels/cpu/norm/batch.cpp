// batch_norm over the channels of x (N, C, L), forward and backward, and channel_affine.
//
//   batch_norm            n = N L elements a channel;  mean = sum x / n,  variance = sum (x - mean)^2 / n
//                         rstd = 1 / sqrt(variance + eps)
//                         y = (x - mean) rstd weight + bias
//   batch_norm_backward   dbias = sum dy,   dweight = rstd sum dy (x - mean)
//                         dx = weight rstd (dy - dbias / n - (x - mean) rstd dweight / n)
//   channel_affine        y = x scale + shift: statistics that are given
//                         its gradients are batch_norm_backward without mean and rstd:
//                         dx = weight dy,   dweight = sum dy x,   dbias = sum dy
//
// How the work is cut: channels.h. With one slab of samples a block's statistics and its result are computed while it is in the
// cache; with more, statistics of all slabs come first and are joined in slab order, then the results. While a plane is summed
// the next sample's is fetched: planes of one channel are far apart, and the processor does not foresee the jump.
//
// Cost: forward one read and one write an element (two reads with several slabs), backward two and one (four). Memory sets the
// pace; results too large for the cache are streamed past it.
//
// Numerics: two passes for the variance of a slab, joined by the formula of Chan, Golub and LeVeque (1979), so that a mean far
// from zero costs no digits. Planes are summed in float32 (double for double), what comes after them in double.
#include "kernels/arguments/norm.h"
#include "kernels/cpu/norm/channels.h"
#include "kernels/cpu/stream.h"

namespace tg::TG_ISA {

template <class T> static T number_at(const void* values, int64_t i, T otherwise) {
  return values ? static_cast<const T*>(values)[i] : otherwise;
}

// Mean and sum of squared deviations of every channel of a block.
template <class S, bool columns>
static void statistics_of_block(const S* x, const Blocking& k, const Block& b, double* mean, double* squares) {
  using T = Compute<S>;
  const int64_t ahead = k.channels * k.length;
  const double n = double(b.end - b.begin) * double(k.length);
  double totals[1][max_columns];
  sum_block<T, columns, 1>(k, b, totals, [&](int64_t offset, int64_t, int64_t count, Vec<T>* out) TG_INLINE_LAMBDA {
    __builtin_prefetch(x + offset + ahead);
    out[0] = Vec<T>::load(x + offset, count);
  });
  for (int64_t c = 0; c < b.channels; ++c) mean[c] = totals[0][c] / n;
  const PerChannel<T, columns> centre(b, k.length, [&](int64_t c) { return T(mean[c - b.first]); });
  const T beyond = centre.beyond();
  sum_block<T, columns, 1>(k, b, totals, [&](int64_t offset, int64_t j, int64_t count, Vec<T>* out) TG_INLINE_LAMBDA {
    const Vec<T> d = Vec<T>::load(x + offset, count, beyond) - centre(j, count);
    out[0] = d * d;
  });
  for (int64_t c = 0; c < b.channels; ++c) {
    const double rounding = mean[c] - double(T(mean[c]));  // the deviations were from the rounded mean
    squares[c] = totals[0][c] - n * rounding * rounding;
  }
}

template <class S, bool columns, bool streamed> static void normalise_block(const ChannelNorm& a, const Blocking& k,
                                                                            const Block& b) {
  using T = Compute<S>;
  const S* const x = static_cast<const S*>(a.x);
  S* const y = static_cast<S*>(a.y);
  const PerChannel<T, columns> mean(b, k.length, [&](int64_t c) { return static_cast<const T*>(a.mean)[c]; });
  const PerChannel<T, columns> scale(
      b, k.length, [&](int64_t c) { return static_cast<const T*>(a.rstd)[c] * number_at<T>(a.weight, c, 1); });
  const PerChannel<T, columns> shift(b, k.length, [&](int64_t c) { return number_at<T>(a.bias, c, 0); });
  for_each_in_block<T>(k, b, [&](int64_t offset, int64_t j, int64_t count) TG_INLINE_LAMBDA {
    put<streamed>(fma(Vec<T>::load(x + offset, count) - mean(j, count), scale(j, count), shift(j, count)), y + offset, count);
  });
  if constexpr (streamed) stream_end();
}

template <class T>
static void keep_statistics(const ChannelNorm& a, int64_t first, int64_t channels, const double* mean, const double* squares) {
  const double n = double(a.batch) * double(a.length), eps = a.eps;
  T *const to_mean = static_cast<T*>(a.mean) + first, *const to_variance = static_cast<T*>(a.variance) + first;
  T* const to_rstd = static_cast<T*>(a.rstd) + first;
#pragma omp simd  // different arrays
  for (int64_t c = 0; c < channels; ++c) {
    const double variance = squares[c] / n;
    to_mean[c] = T(mean[c]);
    to_variance[c] = T(variance);
    to_rstd[c] = T(1 / __builtin_sqrt(variance + eps));
  }
}

template <class S, bool columns, bool streamed>
static void batch_norm_of(const Launch& launch, const ChannelNorm& a, const Blocking& k) {
  using T = Compute<S>;
  const S* const x = static_cast<const S*>(a.x);
  double* const kept = static_cast<double*>(launch.workspace);  // (slabs, 2, channels): mean and squares
  parallel_for(launch, k.units(), k.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const Block b = k.block(unit);
      double mean[max_columns], squares[max_columns];
      mean[0] = squares[0] = 0;  // a block is never empty, but the compiler cannot know
      statistics_of_block<S, columns>(x, k, b, mean, squares);
      if (k.slabs == 1) {
        keep_statistics<T>(a, b.first, b.channels, mean, squares);
        normalise_block<S, columns, streamed>(a, k, b);
      } else {
        double* const out = kept + 2 * k.channels * (unit % k.slabs) + b.first;
        for (int64_t c = 0; c < b.channels; ++c) out[c] = mean[c], out[k.channels + c] = squares[c];
      }
    }
  });
  if (k.slabs == 1) return;
  double *const mean = kept, *const squares = kept + k.channels;  // the first slab's, and the others joined to it
  double n = double(k.slab_samples) * double(k.length);
  for (int64_t s = 1; s < k.slabs; ++s) {
    const double *const slab_mean = kept + 2 * k.channels * s, *const slab_squares = slab_mean + k.channels;
    const int64_t left = k.batch - s * k.slab_samples;
    const double m = double(left < k.slab_samples ? left : k.slab_samples) * double(k.length), joined = n + m;
    const double share = m / joined, weight = n * m / joined;
#pragma omp simd  // the slabs' statistics lie apart
    for (int64_t c = 0; c < k.channels; ++c) {
      const double apart = slab_mean[c] - mean[c];
      mean[c] += apart * share;
      squares[c] += slab_squares[c] + apart * apart * weight;
    }
    n = joined;
  }
  keep_statistics<T>(a, 0, k.channels, mean, squares);
  parallel_for(launch, k.units(), k.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) normalise_block<S, columns, streamed>(a, k, k.block(unit));
  });
}

// --- backward ---------------------------------------------------------------------------------------------------------
// sums[0] = sum dy, sums[1] = sum dy (x - mean) of every channel of a block.
template <class S, bool columns>
static void gradient_sums(const ChannelNormBackward& a, const Blocking& k, const Block& b, double (&sums)[2][max_columns]) {
  using T = Compute<S>;
  const S *const x = static_cast<const S*>(a.x), *const dy = static_cast<const S*>(a.dy);
  const int64_t ahead = k.channels * k.length;
  const PerChannel<T, columns> mean(b, k.length, [&](int64_t c) { return static_cast<const T*>(a.mean)[c]; });
  const T beyond = mean.beyond();
  sum_block<T, columns, 2>(k, b, sums, [&](int64_t offset, int64_t j, int64_t count, Vec<T>* out) TG_INLINE_LAMBDA {
    __builtin_prefetch(x + offset + ahead);
    __builtin_prefetch(dy + offset + ahead);
    out[0] = Vec<T>::load(dy + offset, count);
    out[1] = out[0] * (Vec<T>::load(x + offset, count, beyond) - mean(j, count));
  });
}

template <class S, bool columns, bool streamed>
static void gradient_of_block(const ChannelNormBackward& a, const Blocking& k, const Block& b) {
  using T = Compute<S>;
  const S *const x = static_cast<const S*>(a.x), *const dy = static_cast<const S*>(a.dy);
  S* const dx = static_cast<S*>(a.dx);
  const double per_n = 1 / (double(a.batch) * double(a.length));
  // dx = scale dy + slope (x - mean) + shift
  auto scale_of = [&](int64_t c) { return double(static_cast<const T*>(a.rstd)[c]) * double(number_at<T>(a.weight, c, 1)); };
  const PerChannel<T, columns> mean(b, k.length, [&](int64_t c) { return static_cast<const T*>(a.mean)[c]; });
  const PerChannel<T, columns> scale(b, k.length, [&](int64_t c) { return T(scale_of(c)); });
  const PerChannel<T, columns> slope(b, k.length, [&](int64_t c) {
    return T(-scale_of(c) * double(static_cast<const T*>(a.rstd)[c]) * double(static_cast<const T*>(a.dweight)[c]) * per_n);
  });
  const PerChannel<T, columns> shift(
      b, k.length, [&](int64_t c) { return T(-scale_of(c) * double(static_cast<const T*>(a.dbias)[c]) * per_n); });
  for_each_in_block<T>(k, b, [&](int64_t offset, int64_t j, int64_t count) TG_INLINE_LAMBDA {
    const Vec<T> centred = Vec<T>::load(x + offset, count) - mean(j, count);
    put<streamed>(fma(scale(j, count), Vec<T>::load(dy + offset, count), fma(slope(j, count), centred, shift(j, count))),
                  dx + offset, count);
  });
  if constexpr (streamed) stream_end();
}

// The gradients of channel_affine: dx, and sums[0] = sum dy, sums[1] = sum dy x of every channel of a block, in one pass.
template <class S, bool columns, bool streamed>
static void affine_gradient(const ChannelNormBackward& a, const Blocking& k, const Block& b, double (&sums)[2][max_columns]) {
  using T = Compute<S>;
  const S *const x = static_cast<const S*>(a.x), *const dy = static_cast<const S*>(a.dy);
  S* const dx = static_cast<S*>(a.dx);
  const int64_t ahead = k.channels * k.length;
  const PerChannel<T, columns> scale(b, k.length, [&](int64_t c) { return number_at<T>(a.weight, c, 1); });
  sum_block<T, columns, 2>(k, b, sums, [&](int64_t offset, int64_t j, int64_t count, Vec<T>* out) TG_INLINE_LAMBDA {
    __builtin_prefetch(x + offset + ahead);
    __builtin_prefetch(dy + offset + ahead);
    out[0] = Vec<T>::load(dy + offset, count);
    put<streamed>(out[0] * scale(j, count), dx + offset, count);
    out[1] = out[0] * Vec<T>::load(x + offset, count);
  });
  if constexpr (streamed) stream_end();
}

template <class T>
static void keep_gradients(const ChannelNormBackward& a, int64_t first, int64_t channels, const double* sum,
                           const double* dot) {
  const T* const rstd = a.rstd ? static_cast<const T*>(a.rstd) + first : nullptr;
  T *const dbias = static_cast<T*>(a.dbias) + first, *const dweight = static_cast<T*>(a.dweight) + first;
#pragma omp simd  // different arrays
  for (int64_t c = 0; c < channels; ++c) {
    dbias[c] = T(sum[c]);
    dweight[c] = T(a.rstd ? dot[c] * double(rstd[c]) : dot[c]);
  }
}

template <class S, bool columns, bool streamed>
static void batch_norm_backward_of(const Launch& launch, const ChannelNormBackward& a, const Blocking& k) {
  using T = Compute<S>;
  const bool given = !a.mean;                                   // the gradients of channel_affine are wanted
  double* const kept = static_cast<double*>(launch.workspace);  // (slabs, 2, channels)
  parallel_for(launch, k.units(), k.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const Block b = k.block(unit);
      double sums[2][max_columns];
      if (given) affine_gradient<S, columns, streamed>(a, k, b, sums);
      else gradient_sums<S, columns>(a, k, b, sums);
      if (k.slabs == 1) {
        keep_gradients<T>(a, b.first, b.channels, sums[0], sums[1]);
        if (!given) gradient_of_block<S, columns, streamed>(a, k, b);
      } else {
        double* const out = kept + 2 * k.channels * (unit % k.slabs) + b.first;
        for (int64_t c = 0; c < b.channels; ++c) out[c] = sums[0][c], out[k.channels + c] = sums[1][c];
      }
    }
  });
  if (k.slabs == 1) return;
  for (int64_t s = 1; s < k.slabs; ++s) {
    const double* const slab = kept + 2 * k.channels * s;
    for (int64_t c = 0; c < 2 * k.channels; ++c) kept[c] += slab[c];
  }
  keep_gradients<T>(a, 0, k.channels, kept, kept + k.channels);
  if (given) return;
  parallel_for(launch, k.units(), k.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) gradient_of_block<S, columns, streamed>(a, k, k.block(unit));
  });
}

// Nothing is summed here, so planes go in the order of memory.
template <class S, bool streamed> static void affine_of_planes(const Launch& launch, const ChannelAffine& a) {
  using T = Compute<S>;
  parallel_for(launch, a.batch * a.channels, rows_per_piece(a.length), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t c = plane % a.channels;
      const Vec<T> scale(static_cast<const T*>(a.scale)[c]), shift(static_cast<const T*>(a.shift)[c]);
      const S* const x = static_cast<const S*>(a.x) + plane * a.length;
      S* const y = static_cast<S*>(a.y) + plane * a.length;
      for_each_register<T, 4>(a.length, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
        put<streamed>(fma(Vec<T>::load(x + i, count), scale, shift), y + i, count);
      });
    }
    if constexpr (streamed) stream_end();
  });
}

template <class S, bool streamed>
static void affine_of_columns(const Launch& launch, const ChannelAffine& a, const Blocking& k) {
  using T = Compute<S>;
  const S* const x = static_cast<const S*>(a.x);
  S* const y = static_cast<S*>(a.y);
  parallel_for(launch, k.units(), k.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const Block b = k.block(unit);
      const PerChannel<T, true> scale(b, k.length, [&](int64_t c) { return static_cast<const T*>(a.scale)[c]; });
      const PerChannel<T, true> shift(b, k.length, [&](int64_t c) { return static_cast<const T*>(a.shift)[c]; });
      for_each_in_block<T>(k, b, [&](int64_t offset, int64_t j, int64_t count) TG_INLINE_LAMBDA {
        put<streamed>(fma(Vec<T>::load(x + offset, count), scale(j, count), shift(j, count)), y + offset, count);
      });
      if constexpr (streamed) stream_end();
    }
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
static size_t bytes_for_slabs(const Blocking& k) { return k.slabs > 1 ? size_t(2 * k.channels * k.slabs) * sizeof(double) : 0; }

// Calls f.operator()<S, columns, streamed>(blocking): planes or columns, and whether `out` goes past the cache, which takes
// blocks that begin on cache lines.
template <class View, class F> static Status for_layout(const View& a, const void* out, const F& f) {
  return visit_floating(a.dtype, [&]<class S>() {
    const Blocking k(a.batch, a.channels, a.length);
    const int64_t size = sizeof(S), sample = a.channels * a.length * size, block = k.block_channels * a.length * size;
    const bool lines = size >= 4 && sample % 64 == 0 && block % 64 == 0 && stream_aligned(out);
    if (lines && a.batch * sample >= streamed_bytes)
      k.columns ? f.template operator()<S, true, true>(k) : f.template operator()<S, false, true>(k);
    else k.columns ? f.template operator()<S, true, false>(k) : f.template operator()<S, false, false>(k);
    return Status{};
  });
}

Status batch_norm(const Launch& launch, const ChannelNorm& a) {
  return for_layout(a, a.y, [&]<class S, bool columns, bool streamed>(const Blocking& k) {
    batch_norm_of<S, columns, streamed>(launch, a, k);
  });
}
size_t batch_norm_workspace(const ChannelNorm& a) { return bytes_for_slabs(Blocking(a.batch, a.channels, a.length)); }

Status batch_norm_backward(const Launch& launch, const ChannelNormBackward& a) {
  return for_layout(a, a.dx, [&]<class S, bool columns, bool streamed>(const Blocking& k) {
    batch_norm_backward_of<S, columns, streamed>(launch, a, k);
  });
}
size_t batch_norm_backward_workspace(const ChannelNormBackward& a) {
  return bytes_for_slabs(Blocking(a.batch, a.channels, a.length));
}

Status channel_affine(const Launch& launch, const ChannelAffine& a) {
  return for_layout(a, a.y, [&]<class S, bool columns, bool streamed>(const Blocking& k) {
    if constexpr (columns) affine_of_columns<S, streamed>(launch, a, k);
    else affine_of_planes<S, streamed>(launch, a);
  });
}

}  // namespace tg::TG_ISA
