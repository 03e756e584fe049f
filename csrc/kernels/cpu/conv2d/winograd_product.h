// Winograd's convolution, forward and for the gradient of the input (which is a convolution of y's gradient with the weights
// turned by 180 degrees, channels exchanged):
//
//   x  --transform_inputs-->   V[xi][panel][c][tile]     xi: the n * n products, panel: as many tiles as the matrix tile is wide
//   w  --transform_weights-->  U[xi][o][c]               once, for all blocks
//   M[xi][panel][o][tile] = sum over c of U V            a matrix product for every xi, where the time goes
//   M  --transform_outputs-->  y                         with bias and activation
//
// A matrix tile reads a panel of V as it lies: nothing is packed. Planes of different xi lie a line of cache more than their
// size apart: otherwise the n * n stores of one transform would all fall into the same set of the cache.
//
// Two ways through this, by the size of U:
//   WinogradProduct   one block of tiles at a time, so that V and M of a block stay near; all of U is made first
//   WinogradStream    (winograd_stream.h) much U: its parts are made where they are used, and never reach the memory
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/conv2d/winograd_tiles.h"
#include "kernels/cpu/conv2d/winograd_transform.h"
#include "kernels/cpu/matmul/finish.h"

namespace tg::TG_ISA {

inline constexpr int64_t line_floats = 64 / sizeof(float);

struct WinogradProblem {
  Planes in, out;
  int64_t batch, in_channels, out_channels;
  int64_t padding[2];  // zeros before the lines and columns of `in`
  int64_t dilation[2] = {1, 1};
  int64_t in_spacing = 1;   // a stride: neighbouring outputs read pixels so far apart, in_spacing^2 phases of `in`
  int64_t out_spacing = 1;  // outputs lie so far apart
  int64_t kernel[2];        // of the weight
  TapChoice taps[2][2];     // [lines or columns][phase of `in`]: which of the weight's taps
  const float* weight;      // [row][column][kernel], of which this problem takes the first out_channels x in_channels ...
  int64_t weight_row;       // ... rows are so many floats apart
  bool transposed;          // ... or in_channels rows and out_channels columns
  DepthTaps depth;          // volumes: in_channels counts every tap along the depth
  const float* bias;        // out_channels, or null
  Activation activation;

  // With a stride, the phases of `in` count as channels. The terms of a sum are a block of channels of phase 0, the same of phase
  // 1, ..., then the next block; the last block may name channels that are not there. Phase a + 2 b holds the lines 2 k + a and
  // the columns 2 k + b.
  int64_t phases() const { return in_spacing * in_spacing; }
  int64_t channel_block() const { return phases() == 1 ? in_channels : balanced(in_channels, 32, 1); }
  int64_t terms() const { return ceil_div(in_channels, channel_block()) * phases() * channel_block(); }
  int64_t phase_of(int64_t term) const { return term / channel_block() % phases(); }
  int64_t channel_of(int64_t term) const {
    return term / (phases() * channel_block()) * channel_block() + term % channel_block();
  }
  WeightTaps weight_taps(int64_t phase) const {
    return {{kernel[0], kernel[1]}, taps[0][phase % in_spacing], taps[1][phase / in_spacing]};
  }
  // If `transposed`: the weights of a row and a column, and how far those of neighbours in the row lie apart. A channel's taps
  // along the depth follow each other.
  const float* transposed_weight(int64_t row, int64_t col) const {
    return weight + row / depth.taps * weight_row + row % depth.taps * kernel[0] * kernel[1] + col * transposed_step();
  }
  int64_t transposed_step() const { return depth.taps * kernel[0] * kernel[1]; }
};

// What both ways share: the maps between pixels and V, M and pixels.
template <int m, int r> struct WinogradSteps {
  using F = WinogradTransform<m, r>;
  using P = Products<float>;
  static constexpr int64_t products = F::n * F::n, lanes = Vec<float>::width;

  const WinogradProblem& p;
  Tiling tiling, in_tiling;  // of `out` and `in`
  int64_t workers, panel;
  int64_t v_step, m_step, d_step;  // between the planes of V, of M, and of the pixels of a channel

  WinogradSteps(const WinogradProblem& problem, int threads) : p(problem), workers(threads > 1 ? threads : 1) {
    const bool dilated = p.dilation[0] * p.dilation[1] > 1;
    const int64_t apart[2] = {dilated ? p.dilation[0] : p.out_spacing, dilated ? p.dilation[1] : p.out_spacing};
    in_tiling = tiling = tiling_of<m>(p.batch * p.out.depth, p.out, p.padding, apart, dilated);
    if (!dilated) in_tiling.spacing[0] = in_tiling.spacing[1] = p.in_spacing;
  }

  // `rows`: output channels in M at once.
  void set_steps(int64_t tiles, int64_t rows) {
    v_step = panels(tiles) * p.terms() * panel + line_floats;
    m_step = panels(tiles) * rows * panel + line_floats;
    d_step = round_up(tiles, lanes) + 16;
  }
  int64_t panels(int64_t tiles) const { return ceil_div(tiles, panel); }
  int64_t pixel_floats() const { return round_up(2 * products * d_step + lanes, line_floats); }

  struct Block {
    float *u, *v, *sums, *pixels;  // pixels: two buffers for the tiles of one channel
    int64_t begin, count;          // tiles
  };

  // Terms [begin, end). One is gathered while the one before is transformed: its unaligned stores must have reached the cache
  // before they can be loaded by whole registers.
  void transform_inputs(const Block& b, int64_t begin, int64_t end) {
    gather_terms(b, begin, end, [&](int64_t c, const float* pixels) {
      for (int64_t t = 0; t < b.count; t += lanes)
        transform_input<F>(pixels + t, d_step, b.v + (t / panel * p.terms() + c) * panel + t % panel, v_step);
    });
  }
  template <class Use> TG_INLINE void gather_terms(const Block& b, int64_t begin, int64_t end, const Use& use) {
    const int64_t size = products * d_step;
    GatherTiles<m, F::n> gather{p.in, in_tiling, p.depth, b.begin, b.count, b.pixels, d_step};
    auto gather_term = [&](int64_t term) {
      const int64_t phase = p.phase_of(term), channel = p.channel_of(term);
      if (channel >= p.in_channels) {
        __builtin_memset(gather.to, 0, size_t(size) * sizeof(float));
        return;
      }
      gather.shift[0] = phase % p.in_spacing, gather.shift[1] = phase / p.in_spacing;
      gather_tiles(gather, channel);
    };
    if (begin < end) gather_term(begin);
    for (int64_t c = begin; c < end; ++c) {
      float* const pixels = gather.to;
      gather.to = b.pixels + ((c + 1 - begin) & 1) * size;
      if (c + 1 < end) gather_term(c + 1);
      use(c, pixels);
    }
  }

  // Output channels [begin, end) from rows 0, 1, ... of the `rows` in M.
  void transform_outputs(const Block& b, int64_t begin, int64_t end, int64_t rows) {
    const int64_t size = products * d_step;
    const bool relu = p.activation == Activation::relu;
    ScatterTiles<m> scatter{p.out, tiling, b.begin, b.count, nullptr, d_step};
    for (int64_t o = begin; o <= end; ++o) {
      float* const pixels = b.pixels + ((o - begin) & 1) * size;
      if (o < end) {
        OutputTransform t{nullptr, m_step, nullptr, d_step, p.bias ? p.bias[o] : 0, relu ? 0 : -__builtin_inff()};
        for (int64_t j = 0; j < b.count; j += lanes) {
          t.q = b.sums + (j / panel * rows + o - begin) * panel + j % panel;
          t.y = pixels + j;
          transform_output<F, m>(t);
        }
        if (p.activation != Activation::none && !relu)
          finish_tile<float, float>({pixels, d_step, pixels, d_step, m * m, round_up(b.count, lanes)},
                                    {nullptr, nullptr, p.activation});
      }
      if (o > begin) {
        scatter.from = b.pixels + ((o - 1 - begin) & 1) * size;
        scatter_tiles(scatter, o - 1);
      }
    }
  }
};

template <int m, int r> struct WinogradProduct : WinogradSteps<m, r> {
  using Steps = WinogradSteps<m, r>;
  using Steps::d_step, Steps::m_step, Steps::v_step, Steps::p, Steps::panel, Steps::panels, Steps::pixel_floats;
  using Steps::lanes, Steps::products, Steps::tiling, Steps::workers;
  using typename Steps::Block;
  using typename Steps::F;
  using typename Steps::P;

  int64_t block_tiles, tile_rows;
  bool shared;  // few tiles: all workers do their part of every step of a block; otherwise each has blocks of its own
  int64_t weight_rows, u_row, u_step;

  WinogradProduct(const WinogradProblem& problem, int threads) : Steps(problem, threads) {
    panel = nr<P>;
    // V and M of a block should stay in the second-level cache, or next to it.
    const int64_t most = round_up(p.in_channels + p.out_channels <= 288 ? 96 : 48, panel), tiles = tiling.count();
    shared = workers > 1 && tiles < 2 * most * workers;
    block_tiles = balanced(shared ? tiles : ceil_div(tiles, workers), shared ? most * workers : most, lanes);
    tile_rows = balanced(p.out_channels, mr, 1);
    weight_rows = p.transposed ? p.in_channels : p.out_channels;
    u_row = round_up(p.transposed ? p.out_channels : p.in_channels, 16) + 16;
    u_step = weight_rows * u_row + line_floats;
    this->set_steps(block_tiles, p.out_channels);
  }

  int64_t u_floats() const { return products * u_step; }
  int64_t vm_floats() const { return products * (v_step + m_step); }
  size_t workspace() const {
    return size_t(u_floats() + (shared ? 1 : workers) * vm_floats() + workers * pixel_floats()) * sizeof(float);
  }

  void run(const Launch& launch) {
    float* const u = static_cast<float*>(launch.workspace);
    parallel_for(launch, weight_rows, ceil_div(weight_rows, workers),
                 [&](int64_t begin, int64_t end) { transform_weights(u, begin, end); });
    const int64_t tiles = tiling.count(), W = workers;
    if (!shared) {
      parallel_for(launch, W, 1, [&](int64_t worker, int64_t) {
        float* const v = u + u_floats() + worker * (vm_floats() + pixel_floats());
        const Block all{u, v, v + products * v_step, v + vm_floats(), 0, 0};
        run_blocks(all, tiles * worker / W, tiles * (worker + 1) / W);
      });
      return;
    }
    for (int64_t begin = 0; begin < tiles; begin += block_tiles) {
      float* const v = u + u_floats();
      const Block block{u, v, v + products * v_step, nullptr, begin, smaller(block_tiles, tiles - begin)};
      auto each = [&](const auto& step) {
        parallel_for(launch, W, 1, [&](int64_t worker, int64_t) {
          Block own = block;
          own.pixels = v + vm_floats() + worker * pixel_floats();
          step(own, worker);
        });
      };
      each([&](const Block& b, int64_t w) { this->transform_inputs(b, p.in_channels * w / W, p.in_channels * (w + 1) / W); });
      each([&](const Block& b, int64_t w) {
        const int64_t all = products * ceil_div(p.out_channels, tile_rows);
        TilePrefetch none;
        multiply(b, all * w / W, all * (w + 1) / W, none, none);
      });
      each([&](const Block& b, int64_t w) { outputs_of(b, p.out_channels * w / W, p.out_channels * (w + 1) / W); });
    }
  }

 private:
  void run_blocks(const Block& all, int64_t begin, int64_t end) {
    for (; begin < end; begin += block_tiles) {
      Block block = all;
      block.begin = begin, block.count = smaller(block_tiles, end - begin);
      this->transform_inputs(block, 0, p.in_channels);
      const int64_t row_tiles = ceil_div(p.out_channels, tile_rows), steps = products * row_tiles * panels(block.count);
      const int64_t next = begin + block_tiles, pad = p.padding[0];
      TilePrefetch inputs, outputs;
      const DepthTaps own{p.out.depth, 1, 0, 0, 1};
      inputs.template start<m>(p.in, p.depth, tiling, p.in_channels / p.depth.taps, next, smaller(block_tiles, end - next), pad,
                               r - 1 - pad, steps);
      outputs.template start<m>(p.out, own, tiling, p.out_channels, begin, block.count, 0, 0, steps);
      multiply(block, 0, products * row_tiles, inputs, outputs);
      outputs_of(block, 0, p.out_channels);
    }
  }

  void outputs_of(Block b, int64_t begin, int64_t end) {
    b.sums += begin * panel;
    this->transform_outputs(b, begin, end, p.out_channels);
  }

  void transform_weights(float* u, int64_t begin, int64_t end) {
    const int64_t cols = p.transposed ? p.out_channels : p.in_channels;
    const WeightTaps taps = p.weight_taps(0);
    TapBlock block;
    for (int64_t row = begin; row < end; ++row)
      for (int64_t c = 0; c < cols; c += lanes) {
        const float* const w = p.transposed ? p.transposed_weight(row, c) : p.weight + row * p.weight_row + c * r * r;
        const int64_t step = p.transposed ? p.transposed_step() : r * r;
        gather_taps(w, r * r, step, cols - c, address(w, 2 * lanes * step), block);
        transform_weight<F>(taps, block, u + row * u_row + c, u_step);
      }
  }

  // Rows of matrix tiles [begin, end) of all products: number i is row i % row_tiles of product i / row_tiles.
  void multiply(const Block& b, int64_t begin, int64_t end, TilePrefetch inputs, TilePrefetch outputs) {
    const int64_t row_tiles = ceil_div(p.out_channels, tile_rows);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t xi = i / row_tiles, row = i % row_tiles * tile_rows, rows = smaller(tile_rows, p.out_channels - row);
      TileArguments<P> t;
      t.a_stride = u_row, t.b_stride = panel, t.c_stride = panel;
      for (int64_t k = 0; k < p.in_channels; k += kc) {
        t.depth = smaller(kc, p.in_channels - k);
        t.add = k > 0;
        t.a = b.u + xi * u_step + (p.transposed ? k * u_row + row : row * u_row + k);
        for (int64_t j = 0; j < b.count; j += panel) {
          inputs.template step<false>();
          outputs.template step<true>();
          const int64_t vectors = ceil_div(smaller(panel, b.count - j), lanes), at = j / panel;
          t.b = b.v + xi * v_step + (at * p.in_channels + k) * panel;
          t.c = b.sums + xi * m_step + (at * p.out_channels + row) * panel;
          (p.transposed ? find_tile<P, false>(rows, vectors) : find_tile<P, true>(rows, vectors))(t);
        }
      }
    }
  }
};

}  // namespace tg::TG_ISA
