// Winograd's convolution where the transformed weights are large: 512 x 512 channels make 38 MB of U, which would be written to
// the memory and read back for a few tiles. Here a part of U that fits the second-level cache is made where it is used:
//
//   x --> V   of a group of tiles (a last-level cache holds it), all workers together
//   for every 16 output channels, dealt out to the workers:
//     for every `depth` input channels:      U[xi][16][depth] from the weights       590 KB, second-level cache
//       for every xi:                        M[xi][16][tiles] += U V
//     M --> y
//
// Weights are transformed again for every group: about 16 cycles a pair of channels, beside 36 / 16 cycles a tile for products.
// Sums are cut every `depth` channels, which like the groups follow from the shape alone.
#pragma once
#include "kernels/cpu/conv2d/winograd_product.h"

namespace tg::TG_ISA {

template <int m, int r> struct WinogradStream : WinogradSteps<m, r> {
  using Steps = WinogradSteps<m, r>;
  using Steps::lanes, Steps::products, Steps::tiling, Steps::workers;
  using Steps::m_step, Steps::v_step, Steps::p, Steps::panel, Steps::panels, Steps::pixel_floats;
  using typename Steps::Block;
  using typename Steps::F;
  using typename Steps::P;

  static constexpr int64_t rows = 16;  // output channels at once
  static constexpr int64_t most_tiles = 192;

  int64_t group_tiles, depth, u_row, u_step;

  WinogradStream(const WinogradProblem& problem, int threads) : Steps(problem, threads) {
    group_tiles = balanced(tiling.count(), most_tiles, lanes);
    panel = balanced(group_tiles, nr<P>, lanes);
    depth = balanced(p.in_channels, products > 16 ? kc / 2 : kc, 16);
    u_row = p.transposed ? rows : depth + 16;
    u_step = (p.transposed ? depth : rows) * u_row + line_floats;
    this->set_steps(group_tiles, rows);
  }

  int64_t own_floats() const { return products * (u_step + m_step) + pixel_floats(); }
  size_t workspace() const { return size_t(products * v_step + workers * own_floats()) * sizeof(float); }

  void run(const Launch& launch) {
    float* const v = static_cast<float*>(launch.workspace);
    const int64_t tiles = tiling.count(), W = workers, chunks = ceil_div(p.out_channels, rows);
    auto each = [&](int64_t begin, const auto& step) {
      parallel_for(launch, W, 1, [&](int64_t w, int64_t) {
        float* const own = v + products * v_step + w * own_floats();
        float* const sums = own + products * u_step;
        step(Block{own, v, sums, sums + products * m_step, begin, smaller(group_tiles, tiles - begin)}, w);
      });
    };
    for (int64_t begin = 0; begin < tiles; begin += group_tiles) {
      each(begin,
           [&](const Block& b, int64_t w) { this->transform_inputs(b, p.in_channels * w / W, p.in_channels * (w + 1) / W); });
      each(begin, [&](const Block& b, int64_t w) {
        for (int64_t i = chunks * w / W; i < chunks * (w + 1) / W; ++i)
          chunk(b, i * rows, smaller(rows, p.out_channels - i * rows));
      });
    }
  }

 private:
  void chunk(const Block& b, int64_t first, int64_t count) {
    for (int64_t k = 0; k < p.in_channels; k += depth) {
      const int64_t terms = smaller(depth, p.in_channels - k);
      transform_weights(b.u, first, count, k, terms);
      multiply(b, count, k, terms);
    }
    this->transform_outputs(b, first, first + count, rows);
  }

  void transform_weights(float* u, int64_t first, int64_t count, int64_t k, int64_t terms) {
    constexpr int64_t taps = r * r;
    if (p.transposed) {
      for (int64_t i = 0; i < terms; ++i)
        for (int64_t c = 0; c < count; c += lanes)
          transform_weight<F>(p.weight + (k + i) * p.weight_row + (first + c) * taps, count - c, true, u + i * u_row + c,
                              u_step);
    } else {
      for (int64_t i = 0; i < count; ++i)
        for (int64_t c = 0; c < terms; c += lanes)
          transform_weight<F>(p.weight + (first + i) * p.weight_row + (k + c) * taps, terms - c, false, u + i * u_row + c,
                              u_step);
    }
  }

  void multiply(const Block& b, int64_t count, int64_t k, int64_t terms) {
    const int64_t tile_rows = balanced(count, mr, 1);
    TileArguments<P> t;
    t.a_stride = u_row, t.b_stride = panel, t.c_stride = panel;
    t.depth = terms, t.add = k > 0;
    for (int64_t xi = 0; xi < products; ++xi)
      for (int64_t j = 0; j < b.count; j += panel) {
        const int64_t vectors = ceil_div(smaller(panel, b.count - j), lanes), at = j / panel;
        t.b = b.v + xi * v_step + (at * p.in_channels + k) * panel;
        for (int64_t row = 0; row < count; row += tile_rows) {
          const int64_t n = smaller(tile_rows, count - row);
          t.a = b.u + xi * u_step + (p.transposed ? row : row * u_row);
          t.c = b.sums + xi * m_step + (at * rows + row) * panel;
          (p.transposed ? find_tile<P, false>(n, vectors) : find_tile<P, true>(n, vectors))(t);
        }
      }
  }
};

}  // namespace tg::TG_ISA
