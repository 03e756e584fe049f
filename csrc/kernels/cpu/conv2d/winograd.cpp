// Convolutions of stride 1 with 3x3 and 5x5 weights, and of stride 2 with 3x3 and 4x4, by Winograd's algorithm.
//   winograd_transform.h   the three linear maps
//   winograd_tiles.h       tiles and the pixels under them
//   winograd_product.h     forward, and gradient of the input
//   winograd_stream.h      the same for many channels, and for stride 2
//   winograd_weight.h      gradient of the weights
#include "kernels/cpu/conv2d/algorithms.h"
#include "kernels/cpu/conv2d/winograd_product.h"
#include "kernels/cpu/conv2d/winograd_stream.h"
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

// Output channels [begin, begin + count) of a group. With a stride, the gradient for the input is a problem for each phase of
// x: its lines and columns of one kind.
static WinogradProblem problem_of(const Conv2d& c, bool backward, int64_t group, int64_t begin, int64_t count, int64_t phase) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, stride = c.stride[0];
  WinogradProblem p;
  p.in = planes_of(backward ? c.y : c.x), p.out = planes_of(backward ? c.x : c.y);
  p.in.data = of_group(backward ? c.y : c.x, group, c.groups);
  p.out.data = of_group(backward ? c.x : c.y, group, c.groups) + begin * p.out.channel;
  p.batch = c.x.batch;
  p.in_channels = backward ? out : in, p.out_channels = count;
  (backward ? p.out_spacing : p.in_spacing) = stride;
  const int64_t own[2] = {phase % stride, phase / stride};
  for (int d = 0; d < 2; ++d) {
    const int64_t k = c.kernel[d], dilation = c.dilation[d];
    p.kernel[d] = k, p.dilation[d] = dilation;
    if (backward) {  // y's lines rise as the taps fall; every stride-th tap meets the phase
      const int64_t reach = own[d] + c.padding[d], last = k - 1 - (((k - 1 - reach) % stride + stride) % stride);
      p.taps[d][0] = {last, -stride, last / stride + 1};
      p.padding[d] = stride == 1 ? (k - 1) * dilation - c.padding[d] : (last - reach) / stride;
    } else {
      p.padding[d] = c.padding[d];
      for (int64_t a = 0; a < stride; ++a) p.taps[d][a] = {a, stride, ceil_div(k - a, stride)};
    }
  }
  p.out.data += own[0] * p.out.row + own[1];
  p.out.height -= own[0], p.out.width -= own[1];
  const int64_t taps = c.kernel[0] * c.kernel[1];
  p.weight_row = in * taps;
  p.weight = static_cast<const float*>(c.weight) + group * out * p.weight_row + begin * (backward ? taps : p.weight_row);
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
  for (int d = 0; d < 2; ++d) p.padding[d] = c.padding[d], p.dilation[d] = c.dilation[d];
  p.weight_row = in * c.kernel[0] * c.kernel[1];
  p.weight = static_cast<float*>(c.weight) + (group * out + begin) * p.weight_row;
  return p;
}

// Many channels: the transformed weights do not stay in a second-level cache.
static bool has_much_weight(int64_t in, int64_t out) { return in * out >= 192 * 192; }

// Tiles of m x m outputs, of all images and phases.
static int64_t tiles_of(const Conv2d& c, Pass pass, int64_t m) {
  const Images& tiled = pass == Pass::backward_input && c.stride[0] == 1 ? c.x : c.y;
  auto along = [&](int64_t size, int d) { return ceil_div(ceil_div(size, c.dilation[d]), m) * c.dilation[d]; };
  return tiled.batch * along(tiled.height, 0) * along(tiled.width, 1);
}

// Cycles for 16 pairs of an input and an output channel: the products of 16 tiles at a time, and the weights' transform.
static int64_t winograd_cost(int64_t products, int64_t tiles, int64_t transform) {
  return products * ceil_div(tiles, 16) + transform;
}
static int64_t direct_cost(const Conv2d& c) {
  const int64_t taps = c.kernel[0] * c.kernel[1];
  return (taps + 1) * c.y.batch * c.y.height * c.y.width / 16 + 5;
}

static int strided_tile(const Conv2d& c, Pass pass) {
  if (pass == Pass::backward_weight || c.algorithm == ConvAlgorithm::precise) return 0;
  if ((c.kernel[0] != 3 && c.kernel[0] != 4) || c.dilation[0] * c.dilation[1] > 1) return 0;
  const int64_t tiles = tiles_of(c, pass, 4), products = c.kernel[0] == 3 ? 81 : 100;
  const int64_t transform = pass == Pass::forward ? 32 : 100;  // the gradient's phases are separate problems
  return tiles >= 16 && winograd_cost(products, tiles, transform) < direct_cost(c) ? 4 : 0;
}

int winograd_tile(const Conv2d& c, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, r = c.kernel[0];
  if (c.algorithm == ConvAlgorithm::direct || c.x.dtype != DType::f32 || in < 16 || out < 16) return 0;
  if (c.kernel[1] != r || c.stride[0] != c.stride[1]) return 0;
  if (c.stride[0] == 2) return strided_tile(c, pass);
  if ((r != 3 && r != 5) || c.stride[0] != 1) return 0;
  const bool precise = c.algorithm == ConvAlgorithm::precise;
  const int64_t tiles2 = tiles_of(c, pass, 2), tiles4 = tiles_of(c, pass, 4);
  if (r == 5) return !precise && tiles2 >= 48 ? 2 : 0;
  if (!has_much_weight(in, out)) return !precise && tiles4 >= 48 ? 4 : tiles4 >= 16 ? 2 : 0;
  // Few tiles leave lanes idle, and the weights' transform is shared by few.
  const int64_t four = winograd_cost(36, tiles4, 16), two = winograd_cost(16, tiles2, 7), direct = direct_cost(c);
  if (!precise && four < two) return four < direct ? 4 : 0;
  return two < direct ? 2 : 0;
}

// Problems that a pass is cut into.
static int64_t phases_of(const Conv2d& c, Pass pass) { return pass == Pass::backward_input ? c.stride[0] * c.stride[1] : 1; }

static bool streams(const Conv2d& c, Pass pass) {
  return pass != Pass::backward_weight &&
         (c.stride[0] > 1 || has_much_weight(c.x.channels / c.groups, c.y.channels / c.groups));
}

// What does one piece of output channels, and of a strided gradient one phase.
template <int m, int r, class Body>
static void with_piece(const Conv2d& c, int threads, Pass pass, int64_t group, int64_t begin, int64_t count, int64_t phase,
                       const Body& body) {
  if constexpr (r > 2) {
    if (pass == Pass::backward_weight) {
      const WinogradWeightProblem p = weight_problem_of(c, group, begin, count);
      return body(WinogradWeight<m, r>(p, threads));
    }
  }
  const WinogradProblem p = problem_of(c, pass == Pass::backward_input, group, begin, count, phase);
  if constexpr (r > 2) {
    if (!streams(c, pass)) return body(WinogradProduct<m, r>(p, threads));
  }
  body(WinogradStream<m, r>(p, threads));
}

// Output channels done at once.
template <int m, int r> static int64_t step_of(const Conv2d& c, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, products = (m + r - 1) * (m + r - 1);
  if (streams(c, pass)) return pass == Pass::backward_input ? in : out;
  return pass == Pass::backward_input ? channels_at_once(in, out, products) : channels_at_once(out, in, products);
}

// What the pieces of output channels need: the whole ones, and a shorter one at the end, which may be cut up differently.
template <int m, int r> static size_t workspace_of(const Conv2d& c, int threads, Pass pass) {
  const int64_t channels = (pass == Pass::backward_input ? c.x : c.y).channels / c.groups, step = step_of<m, r>(c, pass);
  const int64_t counts[2] = {smaller(step, channels), channels % step};
  size_t most = 0;
  for (const int64_t count : counts)
    for (int64_t phase = 0; count > 0 && phase < phases_of(c, pass); ++phase)
      with_piece<m, r>(c, threads, pass, 0, 0, count, phase, [&](const auto& piece) {
        const size_t bytes = piece.workspace();
        if (bytes > most) most = bytes;
      });
  return most;
}

template <int m, int r> static void run(const Launch& launch, const Conv2d& c, Pass pass) {
  const int64_t channels = (pass == Pass::backward_input ? c.x : c.y).channels / c.groups, step = step_of<m, r>(c, pass);
  for (int64_t group = 0; group < c.groups; ++group)
    for (int64_t begin = 0; begin < channels; begin += step)
      for (int64_t phase = 0; phase < phases_of(c, pass); ++phase)
        with_piece<m, r>(c, launch.threads, pass, group, begin, smaller(step, channels - begin), phase,
                         [&](auto&& piece) { piece.run(launch); });
}

static Status run_tile(const Launch& launch, const Conv2d& c, Pass pass, int tile) {
  if (c.stride[0] == 2) run<4, 2>(launch, c, pass);
  else if (c.kernel[0] == 5) run<2, 5>(launch, c, pass);
  else if (tile == 4) run<4, 3>(launch, c, pass);
  else run<2, 3>(launch, c, pass);
  return {};
}

size_t winograd_workspace(const Conv2d& c, int threads, Pass pass, int tile) {
  if (c.stride[0] == 2) return workspace_of<4, 2>(c, threads, pass);
  if (c.kernel[0] == 5) return workspace_of<2, 5>(c, threads, pass);
  return tile == 4 ? workspace_of<4, 3>(c, threads, pass) : workspace_of<2, 3>(c, threads, pass);
}
Status winograd_forward(const Launch& launch, const Conv2d& c, int tile) { return run_tile(launch, c, Pass::forward, tile); }
Status winograd_backward_input(const Launch& launch, const Conv2d& c, int tile) {
  return run_tile(launch, c, Pass::backward_input, tile);
}
Status winograd_backward_weight(const Launch& launch, const Conv2d& c, int tile) {
  return run_tile(launch, c, Pass::backward_weight, tile);
}

}  // namespace tg::TG_ISA
