// Depthwise convolutions: every group has one input channel, so every output plane is one filter over one input plane.
//
//   forward          y[n][o] = filter[o] over x[n][c], c = o / multiplier
//   backward_input   dx[n][c] = sum over c's outputs o: filter[o], turned by 180 degrees, over dy[n][o]
//   backward_weight  dfilter[o][i][j] = sum over n and pixels of dy[n][o] and x[n][c], shifted
//
// Cost: two operations a tap and pixel, and one reading and one writing of memory: from 3 x 3 filters on planes beyond the caches
// up to 7 x 7 memory sets the pace. Planes are dealt out to the threads whole; a filter's gradient is summed by one thread, over
// the images in order, so its bits do not depend on their number. Sums are chains over the filter's taps, for the gradient of
// the filter chains of about 512 pixels a lane, added in order.
#include "core/parallel.h"
#include "kernels/cpu/conv2d/algorithms.h"
#include "kernels/cpu/conv2d/depthwise_rows.h"
#include "kernels/cpu/conv2d/depthwise_scatter.h"
#include "kernels/cpu/conv2d/depthwise_weight.h"
#include "kernels/cpu/matmul/finish.h"

namespace tg::TG_ISA {

static constexpr int64_t streaming_bytes = 16 << 20;  // results from this size on do not wait for their reader in a cache

template <class T> static Lines<T> lines_of(const Images& x, int64_t n, int64_t c) {
  return {static_cast<T*>(x.data) + n * x.batch_stride + c * x.channel_stride, x.height, x.width, x.row_stride};
}

// Square filters that are not dilated have a loop of their own: 3 wide, and in float32 also 5 and 7 (0: none).
template <class T> inline constexpr bool has_wide_filters = sizeof(T) == 4 && Vec<float>::width > 4;
template <class T> static int unrolled_kernel(const Conv2d& c) {
  const int64_t k = c.kernel[0];
  if (c.kernel[1] != k || c.dilation[0] != 1 || c.dilation[1] != 1) return 0;
  return k == 3 || (has_wide_filters<T> && (k == 5 || k == 7)) ? int(k) : 0;
}

template <class T> static bool streams(const Images& y) {
  constexpr int64_t lanes = Vec<T>::width;
  return y.width % lanes == 0 && y.row_stride % lanes == 0 && y.channel_stride % lanes == 0 && y.batch_stride % lanes == 0 &&
         reinterpret_cast<uintptr_t>(y.data) % sizeof(Vec<T>) == 0 &&
         y.batch * y.channels * y.height * y.width * int64_t(sizeof(T)) >= streaming_bytes;
}

template <class T> static DepthwisePlane<T> plane_of(const Conv2d& c) {
  DepthwisePlane<T> p{};
  for (int d = 0; d < 2; ++d) p.kernel[d] = c.kernel[d], p.dilation[d] = c.dilation[d], p.padding[d] = c.padding[d];
  p.stride = c.stride[0];
  p.least = -T(__builtin_inf());
  return p;
}

template <class T, int stride> static void filter_plane(const DepthwisePlane<T>& p, int unrolled) {
  if (unrolled == 3) return depthwise_plane<T, 3, stride>(p);
  if constexpr (has_wide_filters<T>) {
    if (unrolled == 5) return depthwise_plane<T, 5, stride>(p);
    if (unrolled == 7) return depthwise_plane<T, 7, stride>(p);
  }
  depthwise_any_plane<T, stride>(p);
}

template <class T> static void forward(const Launch& launch, const Conv2d& c) {
  const int64_t O = c.y.channels, multiplier = O / c.x.channels, planes = c.x.batch * O, taps = c.kernel[0] * c.kernel[1];
  const int unrolled = unrolled_kernel<T>(c);
  const bool later = c.activation != Activation::none && c.activation != Activation::relu;
  DepthwisePlane<T> all = plane_of<T>(c);
  if (c.activation == Activation::relu) all.least = 0;
  all.stream = unrolled && !later && streams<T>(c.y);
  parallel_for(launch, planes, ceil_div(planes, launch.threads), [&](int64_t begin, int64_t end) {
    DepthwisePlane<T> p = all;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / O, o = i % O;
      p.in = lines_of<const T>(c.x, n, o / multiplier);
      p.out = lines_of<T>(c.y, n, o);
      p.filter = static_cast<const T*>(c.weight) + o * taps;
      p.bias = c.bias ? static_cast<const T*>(c.bias)[o] : T(0);
      p.stride == 1 ? filter_plane<T, 1>(p, unrolled) : filter_plane<T, 2>(p, unrolled);
      if (later)
        finish_tile<T, T>({p.out.data, p.out.row, p.out.data, p.out.row, p.out.height, p.out.width},
                          {nullptr, nullptr, c.activation});
    }
  });
}

// The filters turned by 180 degrees, where the gradient is a convolution of stride 1 itself.
template <class T> static void backward_input(const Launch& launch, const Conv2d& c) {
  const int64_t C = c.x.channels, multiplier = c.y.channels / C, planes = c.x.batch * C, taps = c.kernel[0] * c.kernel[1];
  const int unrolled = unrolled_kernel<T>(c);
  DepthwisePlane<T> all = plane_of<T>(c);
  const bool turned = all.stride == 1;
  const T* filters = static_cast<const T*>(c.weight);
  if (turned) {
    T* const copy = static_cast<T*>(launch.workspace);
    for (int64_t o = 0; o < c.y.channels; ++o)
      for (int64_t i = 0; i < taps; ++i) copy[o * taps + i] = filters[o * taps + taps - 1 - i];
    filters = copy;
    for (int d = 0; d < 2; ++d) all.padding[d] = (c.kernel[d] - 1) * c.dilation[d] - c.padding[d];
    all.stream = unrolled && multiplier == 1 && streams<T>(c.x);
  }
  parallel_for(launch, planes, ceil_div(planes, launch.threads), [&](int64_t begin, int64_t end) {
    DepthwisePlane<T> p = all;
    for (int64_t i = begin; i < end; ++i)
      for (int64_t k = 0; k < multiplier; ++k) {
        const int64_t n = i / C, o = i % C * multiplier + k;
        p.in = lines_of<const T>(c.y, n, o);
        p.out = lines_of<T>(c.x, n, i % C);
        p.filter = filters + o * taps;
        p.add = k > 0;
        turned ? filter_plane<T, 1>(p, unrolled) : depthwise_scatter_plane(p, unrolled);
      }
  });
}

template <class T, int k, int stride> static void weight_plane(const DepthwisePlane<T>& p, Vec<T>* sums) {
  constexpr int at_once = depthwise_filter_rows<k>, rest = k % at_once;
  for (int64_t i = 0; i + at_once <= k; i += at_once) depthwise_weight_plane<T, k, stride, at_once>(p, i, sums);
  if constexpr (rest > 0) depthwise_weight_plane<T, k, stride, rest>(p, k - rest, sums);
}

template <class T, int stride> static void weight_plane(const DepthwisePlane<T>& p, int unrolled, Vec<T>* sums) {
  if (unrolled == 3) return weight_plane<T, 3, stride>(p, sums);
  if constexpr (has_wide_filters<T>) {
    if (unrolled == 5) return weight_plane<T, 5, stride>(p, sums);
    if (unrolled == 7) return weight_plane<T, 7, stride>(p, sums);
  }
  depthwise_any_weight_plane<T, stride>(p, sums);
}

template <class T> static void backward_weight(const Launch& launch, const Conv2d& c) {
  const int64_t O = c.y.channels, multiplier = O / c.x.channels, taps = c.kernel[0] * c.kernel[1];
  const int64_t per_worker = ceil_div(O, launch.threads);
  const int unrolled = unrolled_kernel<T>(c);
  parallel_for(launch, O, per_worker, [&](int64_t begin, int64_t end) {
    Vec<T>* const sums = static_cast<Vec<T>*>(launch.workspace) + begin / per_worker * taps;
    DepthwisePlane<T> p = plane_of<T>(c);
    for (int64_t o = begin; o < end; ++o) {
      for (int64_t i = 0; i < taps; ++i) sums[i] = Vec<T>(T(0));
      for (int64_t n = 0; n < c.x.batch; ++n) {
        p.in = lines_of<const T>(c.x, n, o / multiplier);
        p.out = lines_of<T>(c.y, n, o);
        p.stride == 1 ? weight_plane<T, 1>(p, unrolled, sums) : weight_plane<T, 2>(p, unrolled, sums);
      }
      T* const gradient = static_cast<T*>(c.weight) + o * taps;
      for (int64_t i = 0; i < taps; ++i) gradient[i] = reduce_add(sums[i]);
    }
  });
}

// --- the three products -----------------------------------------------------------------------------------------------
bool depthwise_suits(const Conv2d& c, Pass) {
  if (c.x.dtype != DType::f32 && c.x.dtype != DType::f64) return false;
  return c.groups > 1 && c.x.channels == c.groups && c.stride[0] == c.stride[1] && c.stride[0] <= 2 &&
         c.x.batch * c.y.channels > 0;
}

size_t depthwise_workspace(const Conv2d& c, int threads, Pass pass) {
  const size_t taps = size_t(c.kernel[0] * c.kernel[1]), item = c.x.dtype == DType::f32 ? sizeof(float) : sizeof(double);
  if (pass == Pass::backward_weight) return size_t(threads > 1 ? threads : 1) * taps * sizeof(Vec<float>);
  return pass == Pass::backward_input && c.stride[0] == 1 ? size_t(c.y.channels) * taps * item : 0;
}
Status depthwise_forward(const Launch& launch, const Conv2d& c) {
  c.x.dtype == DType::f32 ? forward<float>(launch, c) : forward<double>(launch, c);
  return {};
}
Status depthwise_backward_input(const Launch& launch, const Conv2d& c) {
  c.x.dtype == DType::f32 ? backward_input<float>(launch, c) : backward_input<double>(launch, c);
  return {};
}
Status depthwise_backward_weight(const Launch& launch, const Conv2d& c) {
  c.x.dtype == DType::f32 ? backward_weight<float>(launch, c) : backward_weight<double>(launch, c);
  return {};
}

}  // namespace tg::TG_ISA
