// group_norm over groups of channels of x (N, C, L), forward and backward; instance_norm is the case of one channel a group.
//
//   forward    a group is m = C / groups * L elements of one sample, side by side in memory
//              y = (x - mean) rstd weight[c] + bias[c]
//   backward   with s1[n, c] = sum over L of dy  and  s2[n, c] = sum over L of dy (x - mean), and for a group
//              A = sum over its channels of weight s1,   B = rstd sum over its channels of weight s2:
//              dx = rstd (weight dy - A / m - (x - mean) rstd B / m)
//              dweight[c] = sum over n of rstd s2,   dbias[c] = sum over n of s1
//
// One group is one unit of work; s1 and s2 wait in the workspace (N, C, 2) until all samples are there.
//
// Cost: one read and one write an element forward, two and one backward, as long as a group fits the cache. Memory sets the
// pace.
//
// Numerics: two passes for the variance; sums over a plane in float32 (double for double), over planes and samples in double and
// in order.
#include "core/parallel.h"
#include "kernels/arguments/norm.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

template <class T> static T weight_at(const void* weight, int64_t c, T otherwise) {
  return weight ? static_cast<const T*>(weight)[c] : otherwise;
}

template <class S> static void norm_group(const ChannelNorm& a, int64_t unit) {
  using T = Compute<S>;
  const int64_t channels = a.channels / a.groups, n = channels * a.length, first = unit % a.groups * channels;
  const S* const x = static_cast<const S*>(a.x) + unit * n;
  S* const y = static_cast<S*>(a.y) + unit * n;
  const T mean = sum_of<T>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA { return Vec<T>::load(x + i, count); }) / T(n);
  const Vec<T> centre(mean);
  const T squares = sum_of<T>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    const Vec<T> d = Vec<T>::load(x + i, count, mean) - centre;
    return d * d;
  });
  const T rstd = T(1 / __builtin_sqrt(double(squares) / double(n) + a.eps));
  static_cast<T*>(a.mean)[unit] = mean;
  static_cast<T*>(a.rstd)[unit] = rstd;
  for (int64_t c = 0; c < channels; ++c) {
    const Vec<T> scale(rstd * weight_at<T>(a.weight, first + c, 1)), shift(weight_at<T>(a.bias, first + c, 0));
    const S* const from = x + c * a.length;
    S* const to = y + c * a.length;
    for_each_register<T, 4>(a.length, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
      fma(Vec<T>::load(from + i, count) - centre, scale, shift).store(to + i, count);
    });
  }
}

template <class S> static void norm_group_backward(const ChannelNormBackward& a, int64_t unit, double* sums) {
  using T = Compute<S>;
  const int64_t channels = a.channels / a.groups, n = channels * a.length, first = unit % a.groups * channels;
  const S *const x = static_cast<const S*>(a.x) + unit * n, *const dy = static_cast<const S*>(a.dy) + unit * n;
  S* const dx = static_cast<S*>(a.dx) + unit * n;
  const T mean = static_cast<const T*>(a.mean)[unit];
  const double rstd = double(static_cast<const T*>(a.rstd)[unit]);
  const Vec<T> centre(mean);
  double sum = 0, dot = 0;
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t at = c * a.length;
    Vec<T> s1[2] = {Vec<T>(T(0)), Vec<T>(T(0))}, s2[2] = {Vec<T>(T(0)), Vec<T>(T(0))};
    for_each_register<T, 2>(a.length, [&](int64_t i, int64_t count, int slot) TG_INLINE_LAMBDA {
      const Vec<T> g = Vec<T>::load(dy + at + i, count);
      s1[slot] += g;
      s2[slot] = fma(g, Vec<T>::load(x + at + i, count, mean) - centre, s2[slot]);
    });
    double* const out = sums + 2 * (unit * channels + c);
    out[0] = double(reduce_add(s1[0] + s1[1]));
    out[1] = double(reduce_add(s2[0] + s2[1])) * rstd;
    const double weight = double(weight_at<T>(a.weight, first + c, 1));
    sum += weight * out[0];
    dot += weight * out[1];
  }
  const Vec<T> slope(T(-rstd * rstd * dot / double(n))), shift(T(-rstd * sum / double(n)));
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t at = c * a.length;
    const Vec<T> scale(T(rstd * double(weight_at<T>(a.weight, first + c, 1))));
    for_each_register<T, 4>(a.length, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
      const Vec<T> centred = Vec<T>::load(x + at + i, count) - centre;
      fma(scale, Vec<T>::load(dy + at + i, count), fma(slope, centred, shift)).store(dx + at + i, count);
    });
  }
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status group_norm(const Launch& launch, const ChannelNorm& a) {
  return visit_floating(a.dtype, [&]<class S>() {
    parallel_for(launch, a.batch * a.groups, rows_per_piece(a.channels / a.groups * a.length), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) norm_group<S>(a, unit);
    });
    return Status{};
  });
}

Status group_norm_backward(const Launch& launch, const ChannelNormBackward& a) {
  return visit_floating(a.dtype, [&]<class S>() {
    using T = Compute<S>;
    double* const sums = static_cast<double*>(launch.workspace);  // (batch, channels, 2)
    parallel_for(launch, a.batch * a.groups, rows_per_piece(a.channels / a.groups * a.length), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) norm_group_backward<S>(a, unit, sums);
    });
    parallel_for(launch, a.channels, 256, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        double s1 = 0, s2 = 0;
        for (int64_t n = 0; n < a.batch; ++n) s1 += sums[2 * (n * a.channels + c)], s2 += sums[2 * (n * a.channels + c) + 1];
        static_cast<T*>(a.dbias)[c] = T(s1);
        static_cast<T*>(a.dweight)[c] = T(s2);
      }
    });
    return Status{};
  });
}
size_t group_norm_backward_workspace(const ChannelNormBackward& a) { return size_t(2 * a.batch * a.channels) * sizeof(double); }

}  // namespace tg::TG_ISA
