// Convolutions of stride 1 with 3x3 and 5x5 weights, and of stride 2 with 3x3 and 4x4, by Winograd's algorithm. Volumes with such
// lines and columns are sums of convolutions of images: one for every tap along the depth.
//   winograd_transform.h   the three linear maps
//   winograd_tiles.h       tiles and the pixels under them
//   winograd_product.h     forward, and gradient of the input
//   winograd_stream.h      the same for many channels, and for stride 2
//   winograd_shallow.h     the same for few input channels
//   winograd_weight.h      gradient of the weights
#include "kernels/cpu/conv2d/algorithms.h"
#include "kernels/cpu/conv2d/winograd_product.h"
#include "kernels/cpu/conv2d/winograd_shallow.h"
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

static float* of_group(const Volumes& x, int64_t group, int64_t groups) {
  return static_cast<float*>(x.data) + group * (x.channels / groups) * x.channel_stride;
}

static DepthTaps depth_of(const Conv3d& c) { return {c.y.size[0], c.stride[0], -c.padding[0], c.dilation[0], c.kernel[0]}; }

// Output channels [begin, begin + count) of a group. With a stride, the gradient for the input is a problem for each phase of
// x: its lines and columns of one kind.
static WinogradProblem problem_of(const Conv3d& c, bool backward, int64_t group, int64_t begin, int64_t count, int64_t phase) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, stride = c.stride[1], depth = c.kernel[0];
  WinogradProblem p;
  p.in = planes_of(backward ? c.y : c.x), p.out = planes_of(backward ? c.x : c.y);
  p.in.data = of_group(backward ? c.y : c.x, group, c.groups);
  p.out.data = of_group(backward ? c.x : c.y, group, c.groups) + begin * p.out.channel;
  p.batch = c.x.batch;
  p.in_channels = (backward ? out : in) * depth, p.out_channels = count;
  (backward ? p.out_spacing : p.in_spacing) = stride;
  p.depth = backward ? DepthTaps{c.x.size[0], 1, c.padding[0], -c.dilation[0], depth} : depth_of(c);
  const int64_t own[2] = {phase % stride, phase / stride};
  for (int d = 0; d < 2; ++d) {
    const int64_t k = c.kernel[d + 1], dilation = c.dilation[d + 1], padding = c.padding[d + 1];
    p.kernel[d] = k, p.dilation[d] = dilation;
    if (backward) {  // y's lines rise as the taps fall; every stride-th tap meets the phase
      const int64_t reach = own[d] + padding, last = k - 1 - (((k - 1 - reach) % stride + stride) % stride);
      p.taps[d][0] = {last, -stride, last / stride + 1};
      p.padding[d] = stride == 1 ? (k - 1) * dilation - padding : (last - reach) / stride;
    } else {
      p.padding[d] = padding;
      for (int64_t a = 0; a < stride; ++a) p.taps[d][a] = {a, stride, ceil_div(k - a, stride)};
    }
  }
  p.out.data += own[0] * p.out.row + own[1];
  p.out.height -= own[0], p.out.width -= own[1];
  const int64_t taps = depth * c.kernel[1] * c.kernel[2];
  p.weight_row = in * taps;
  p.weight = static_cast<const float*>(c.weight) + group * out * p.weight_row + begin * (backward ? taps : p.weight_row);
  p.transposed = backward;
  p.bias = !backward && c.bias ? static_cast<const float*>(c.bias) + group * out + begin : nullptr;
  p.activation = backward ? Activation::none : c.activation;
  return p;
}

static WinogradWeightProblem weight_problem_of(const Conv3d& c, int64_t group, int64_t begin, int64_t count) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
  WinogradWeightProblem p;
  p.x = planes_of(c.x), p.dy = planes_of(c.y);
  p.x.data = of_group(c.x, group, c.groups);
  p.dy.data = of_group(c.y, group, c.groups) + begin * p.dy.channel;
  p.batch = c.x.batch, p.in_channels = in * c.kernel[0], p.out_channels = count;
  for (int d = 0; d < 2; ++d) p.padding[d] = c.padding[d + 1], p.dilation[d] = c.dilation[d + 1];
  p.depth = depth_of(c);
  p.weight_row = in * taps;
  p.weight = static_cast<float*>(c.weight) + (group * out + begin) * p.weight_row;
  return p;
}

// Many channels: the transformed weights do not stay in a second-level cache.
static bool has_much_weight(int64_t in, int64_t out) { return in * out >= 192 * 192; }

// Tiles of m x m outputs, of all planes and phases.
static int64_t tiles_of(const Conv3d& c, Pass pass, int64_t m) {
  const Volumes& tiled = pass == Pass::backward_input && c.stride[1] == 1 ? c.x : c.y;
  auto along = [&](int d) { return ceil_div(ceil_div(tiled.size[d], c.dilation[d]), m) * c.dilation[d]; };
  return tiled.batch * tiled.size[0] * along(1) * along(2);
}

// Cycles for 16 pairs of an input and an output channel: the products of 16 tiles at a time, and the weights' transform.
static int64_t winograd_cost(int64_t products, int64_t tiles, int64_t transform) {
  return products * ceil_div(tiles, 16) + transform;
}
static int64_t direct_cost(const Conv3d& c) {
  const int64_t taps = c.kernel[1] * c.kernel[2];
  return (taps + 1) * c.y.batch * c.y.size[0] * c.y.size[1] * c.y.size[2] / 16 + 5;
}

// Few channels: the terms of a sum, all phases of them, if Winograd's sums are cheaper than the definition's, otherwise 0. In
// cycles for a register of tiles: an output channel takes about 300 beside the products, a term 300 to transform; and both more
// for every line of tiles that the register is put together from.
static int64_t shallow_terms(const Conv3d& c, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, k = c.kernel[1], stride = c.stride[1];
  if (pass == Pass::backward_weight || c.algorithm != ConvAlgorithm::automatic || (in >= 16 && out >= 16)) return 0;
  if (stride == 1 ? k != 3 : stride != 2 || k < 3 || k > 8 || pass == Pass::backward_input) return 0;
  if (stride > 1 && (c.dilation[1] > 1 || c.dilation[2] > 1 || c.kernel[0] > 1)) return 0;
  const int64_t m = 4, side = m + (stride == 1 ? k : (k + 1) / 2) - 1;
  const int64_t sources = pass == Pass::forward ? in : out, results = round_up(pass == Pass::forward ? out : in, 4);
  const int64_t terms = sources * c.kernel[0] * stride * stride, products = side * side;
  if (terms > 64 || tiles_of(c, pass, m) < 48) return 0;
  const int64_t cols = ceil_div(ceil_div((pass == Pass::forward ? c.y : c.x).size[2], c.dilation[2]), m);
  const int64_t lines = ceil_div(Vec<float>::width, smaller(cols, Vec<float>::width));
  const int64_t winograd = (products * terms + 300 + 60 * lines) * results + (300 + 130 * lines) * terms;
  const int64_t direct = (m * m * k * k * sources * c.kernel[0] * 5 / 4 + 150) * results;
  return winograd < direct ? terms : 0;
}

static int strided_tile(const Conv3d& c, Pass pass) {
  if (pass == Pass::backward_weight || c.algorithm == ConvAlgorithm::precise || c.kernel[0] > 1) return 0;
  if ((c.kernel[1] != 3 && c.kernel[1] != 4) || c.dilation[1] * c.dilation[2] > 1) return 0;
  const int64_t tiles = tiles_of(c, pass, 4), products = c.kernel[1] == 3 ? 81 : 100;
  const int64_t transform = pass == Pass::forward ? 32 : 100;  // the gradient's phases are separate problems
  return tiles >= 16 && winograd_cost(products, tiles, transform) < direct_cost(c) ? 4 : 0;
}

int winograd_tile(const Conv3d& c, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, r = c.kernel[1];
  if (c.algorithm == ConvAlgorithm::direct || c.x.dtype != DType::f32 || c.kernel[2] != r) return 0;
  if (c.stride[1] != c.stride[2] || (c.stride[0] > 1 && pass == Pass::backward_input)) return 0;
  if (shallow_terms(c, pass) > 0) return 4;
  if (in < 16 || out < 16) return 0;
  if (c.stride[1] == 2) return strided_tile(c, pass);
  if ((r != 3 && r != 5) || c.stride[1] != 1) return 0;
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
static int64_t phases_of(const Conv3d& c, Pass pass) { return pass == Pass::backward_input ? c.stride[1] * c.stride[2] : 1; }

static bool streams(const Conv3d& c, Pass pass) {
  return pass != Pass::backward_weight &&
         (c.stride[1] > 1 || has_much_weight(c.x.channels / c.groups, c.y.channels / c.groups));
}

// What does one piece of output channels, and of a strided gradient one phase.
template <int m, int r, class Body>
static void with_piece(const Conv3d& c, int threads, Pass pass, int64_t group, int64_t begin, int64_t count, int64_t phase,
                       const Body& body) {
  if constexpr (r == 3 || r == 5) {
    if (pass == Pass::backward_weight) {
      const WinogradWeightProblem p = weight_problem_of(c, group, begin, count);
      return body(WinogradWeight<m, r>(p, threads));
    }
  }
  const WinogradProblem p = problem_of(c, pass == Pass::backward_input, group, begin, count, phase);
  if constexpr (m == 4) {
    if (shallow_terms(c, pass) > 0) return body(WinogradShallow<m, r>(p, threads));
  }
  if constexpr (r == 3 || r == 5) {
    if (!streams(c, pass)) return body(WinogradProduct<m, r>(p, threads));
  }
  if constexpr (r != 4) {
    if (r == 2 || c.stride[1] == 1) body(WinogradStream<m, r>(p, threads));
  }
}

// Output channels done at once.
template <int m, int r> static int64_t step_of(const Conv3d& c, Pass pass) {
  const int64_t in = c.x.channels / c.groups, out = c.y.channels / c.groups, products = (m + r - 1) * (m + r - 1);
  if (streams(c, pass) || shallow_terms(c, pass) > 0) return pass == Pass::backward_input ? in : out;
  return pass == Pass::backward_input ? channels_at_once(in, out * c.kernel[0], products)
                                      : channels_at_once(out, in * c.kernel[0], products);
}

// What the pieces of output channels need: the whole ones, and a shorter one at the end, which may be cut up differently.
template <int m, int r> static size_t workspace_of(const Conv3d& c, int threads, Pass pass) {
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

template <int m, int r> static void run(const Launch& launch, const Conv3d& c, Pass pass) {
  const int64_t channels = (pass == Pass::backward_input ? c.x : c.y).channels / c.groups, step = step_of<m, r>(c, pass);
  for (int64_t group = 0; group < c.groups; ++group)
    for (int64_t begin = 0; begin < channels; begin += step)
      for (int64_t phase = 0; phase < phases_of(c, pass); ++phase)
        with_piece<m, r>(c, launch.threads, pass, group, begin, smaller(step, channels - begin), phase,
                         [&](auto&& piece) { piece.run(launch); });
}

// body<m, r>() for the maps of a shape: a stride of 2 leaves every second tap.
template <class Body> static auto with_maps(const Conv3d& c, int tile, const Body& body) {
  const int64_t k = c.stride[1] == 2 ? (c.kernel[1] + 1) / 2 : c.kernel[1];
  if (k == 2) return body.template operator()<4, 2>();
  if (k == 4) return body.template operator()<4, 4>();
  if (k == 5) return body.template operator()<2, 5>();
  return tile == 4 ? body.template operator()<4, 3>() : body.template operator()<2, 3>();
}

static Status run_tile(const Launch& launch, const Conv3d& c, Pass pass, int tile) {
  with_maps(c, tile, [&]<int m, int r>() { run<m, r>(launch, c, pass); });
  return {};
}

size_t winograd_workspace(const Conv3d& c, int threads, Pass pass, int tile) {
  return with_maps(c, tile, [&]<int m, int r>() { return workspace_of<m, r>(c, threads, pass); });
}
Status winograd_forward(const Launch& launch, const Conv3d& c, int tile) { return run_tile(launch, c, Pass::forward, tile); }
Status winograd_backward_input(const Launch& launch, const Conv3d& c, int tile) {
  return run_tile(launch, c, Pass::backward_input, tile);
}
Status winograd_backward_weight(const Launch& launch, const Conv3d& c, int tile) {
  return run_tile(launch, c, Pass::backward_weight, tile);
}

}  // namespace tg::TG_ISA
