// 3x3 convolutions of stride 1 by Winograd's algorithm.
//   winograd_transform.h   the three linear maps
//   winograd_tiles.h       tiles and the pixels under them
//   winograd_product.h     forward, and gradient of the input
//   winograd_weight.h      gradient of the weights
#include "kernels/cpu/conv2d/algorithms.h"
#include "kernels/cpu/conv2d/winograd_product.h"
#include "kernels/cpu/conv2d/winograd_weight.h"

namespace tg::TG_ISA {

// Transformed weights take up to 4 times the memory of the weights. Output channels are done in so many pieces that a piece's
// stay below this.
static constexpr int64_t weight_bytes = 48 << 20;

static int64_t channels_at_once(int64_t out_channels, int64_t in_channels, int64_t products) {
  const int64_t most = weight_bytes / (products * int64_t(sizeof(float)) * in_channels);
  return balanced(out_channels, most > 64 ? most : 64, 16);
}

static float* of_group(const Images& x, int64_t group, int64_t groups) {
  return static_cast<float*>(x.data) + group * (x.channels / groups) * x.channel_stride;
}

// Output channels [begin, begin + count) of a group.
static WinogradProblem problem_of(const Conv2d& c, bool backward, int64_t group, int64_t begin, int64_t count) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups;
  WinogradProblem p;
  p.in = planes_of(backward ? c.y : c.x), p.out = planes_of(backward ? c.x : c.y);
  p.in.data = of_group(backward ? c.y : c.x, group, c.groups);
  p.out.data = of_group(backward ? c.x : c.y, group, c.groups) + begin * p.out.channel;
  p.batch = c.x.batch;
  p.in_channels = backward ? out : in, p.out_channels = count;
  for (int d = 0; d < 2; ++d) p.padding[d] = backward ? 2 - c.padding[d] : c.padding[d];
  p.weight_row = in * 9;
  p.weight = static_cast<const float*>(c.weight) + group * out * p.weight_row + begin * (backward ? 9 : p.weight_row);
  p.transposed = backward;
  p.bias = !backward && c.bias ? static_cast<const float*>(c.bias) + group * out + begin : nullptr;
  p.activation = backward ? Activation::none : c.activation;
  return p;
}

static WinogradWeightProblem weight_problem_of(const Conv2d& c, int64_t group, int64_t begin, int64_t count) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups;
  WinogradWeightProblem p;
  p.x = planes_of(c.x), p.dy = planes_of(c.y);
  p.x.data = of_group(c.x, group, c.groups);
  p.dy.data = of_group(c.y, group, c.groups) + begin * p.dy.channel;
  p.batch = c.x.batch, p.in_channels = in, p.out_channels = count;
  for (int d = 0; d < 2; ++d) p.padding[d] = c.padding[d];
  p.weight_row = in * 9;
  p.weight = static_cast<float*>(c.weight) + (group * out + begin) * p.weight_row;
  return p;
}

int winograd_tile(const Conv2d& c, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups;
  if (c.algorithm == ConvAlgorithm::direct || c.x.dtype != DType::f32 || in < 16 || out < 16) return 0;
  for (int d = 0; d < 2; ++d)
    if (c.kernel[d] != 3 || c.stride[d] != 1 || c.dilation[d] != 1) return 0;
  const Images& tiled = pass == Pass::backward_input ? c.x : c.y;
  auto tiles = [&](int64_t m) { return tiled.batch * ceil_div(tiled.height, m) * ceil_div(tiled.width, m); };
  if (c.algorithm != ConvAlgorithm::precise && tiles(4) >= 48) return 4;
  return tiles(4) >= 16 ? 2 : 0;
}

template <int m> static size_t workspace_of(const Conv2d& c, int threads, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, products = (m + 2) * (m + 2);
  if (pass == Pass::backward_weight)
    return WinogradWeight<m>(weight_problem_of(c, 0, 0, channels_at_once(out, in, products)), threads).workspace();
  const bool backward = pass == Pass::backward_input;
  const int64_t count = channels_at_once(backward ? in : out, backward ? out : in, products);
  return WinogradProduct<m>(problem_of(c, backward, 0, 0, count), threads).workspace();
}

template <int m> static void run(const Launch& launch, const Conv2d& c, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, products = (m + 2) * (m + 2);
  const bool backward = pass == Pass::backward_input;
  const int64_t channels = backward ? in : out, step = channels_at_once(channels, backward ? out : in, products);
  for (int64_t group = 0; group < c.groups; ++group)
    for (int64_t begin = 0; begin < channels; begin += step) {
      const int64_t count = smaller(step, channels - begin);
      if (pass == Pass::backward_weight) {
        const WinogradWeightProblem p = weight_problem_of(c, group, begin, count);
        WinogradWeight<m>(p, launch.threads).run(launch);
      } else {
        const WinogradProblem p = problem_of(c, backward, group, begin, count);
        WinogradProduct<m>(p, launch.threads).run(launch);
      }
    }
}

static Status run_tile(const Launch& launch, const Conv2d& c, Pass pass, int tile) {
  if (tile == 4) run<4>(launch, c, pass);
  else run<2>(launch, c, pass);
  return {};
}

size_t winograd_workspace(const Conv2d& c, int threads, Pass pass, int tile) {
  return tile == 4 ? workspace_of<4>(c, threads, pass) : workspace_of<2>(c, threads, pass);
}
Status winograd_forward(const Launch& launch, const Conv2d& c, int tile) { return run_tile(launch, c, Pass::forward, tile); }
Status winograd_backward_input(const Launch& launch, const Conv2d& c, int tile) {
  return run_tile(launch, c, Pass::backward_input, tile);
}
Status winograd_backward_weight(const Launch& launch, const Conv2d& c, int tile) {
  return run_tile(launch, c, Pass::backward_weight, tile);
}

}  // namespace tg::TG_ISA
