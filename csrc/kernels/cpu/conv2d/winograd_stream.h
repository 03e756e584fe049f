// Winograd's convolution where the transformed weights are large: 512 x 512 channels make 38 MB of U, which would be written to
// the memory and read back for a few tiles. Here a part of U that fits the second-level cache is made where it is used:
//
//   x --> V   of a group of tiles (a last-level cache holds it), all workers together
//   for every 32 output channels, dealt out to the workers:
//     for every `depth` terms:               U[xi][32][depth] from the weights       660 KB, second-level cache
//       for every xi:                        M[xi][32][tiles] += U V
//     M --> y
//
// Weights are transformed again for every group: about 16 cycles a pair of channels, beside 36 / 16 cycles a tile for products.
// Sums are cut every `depth` terms, which like the groups follow from the shape alone.
//
// Strided convolutions take this way with any number of channels. With a stride of 2 the taps of a 3x3 or 4x4 weight fall into
// four phases of 2x2, each a convolution of stride 1 over the lines and columns of one kind:
//
//   w0 w1 w2        w0 w2   w1 .      the phases' products are added before they are turned into outputs; those at infinity
//   w3 w4 w5   -->  w6 w8   w7 .      of a phase whose second tap is missing are zero and left out: 81 products for 16
//   w6 w7 w8        w3 w5   w4 .      outputs instead of 144 (of 4x4 weights 100 instead of 256)
//                   .  .    .  .
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

  static constexpr int64_t most_rows = 4 * mr;
  static constexpr int64_t most_tiles = 192;

  int64_t group_tiles, depth, u_row, u_step;
  int64_t rows;  // output channels at once: V is read so much less often; fewer where that divides the work better

  WinogradStream(const WinogradProblem& problem, int threads) : Steps(problem, threads) {
    group_tiles = balanced(tiling.count(), most_tiles, lanes);
    panel = balanced(group_tiles, nr<P>, lanes);
    auto longest = [&](int64_t n) { return ceil_div(ceil_div(p.out_channels, n), workers) * n; };
    rows = longest(most_rows) * 8 > longest(most_rows / 2) * 9 ? most_rows / 2 : most_rows;
    const int64_t unit = p.phases() * p.channel_block(), most = products > 16 ? kc / 4 : kc / 2;
    depth =
        p.phases() == 1 ? balanced(p.terms(), most, 16) : balanced(p.terms(), unit > most ? unit : most / unit * unit, unit);
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
      each(begin, [&](const Block& b, int64_t w) { this->transform_inputs(b, p.terms() * w / W, p.terms() * (w + 1) / W); });
      each(begin, [&](const Block& b, int64_t w) {
        for (int64_t i = chunks * w / W; i < chunks * (w + 1) / W; ++i)
          chunk(b, i * rows, smaller(rows, p.out_channels - i * rows));
      });
    }
  }

 private:
  void chunk(const Block& b, int64_t first, int64_t count) {
    for (int64_t k = 0; k < p.terms(); k += depth) {
      const int64_t end = smaller(k + depth, p.terms());
      p.transposed ? transform_columns(b.u, first, count, k, end) : transform_rows(b.u, first, count, k, end);
      multiply(b, count, k, end);
    }
    this->transform_outputs(b, first, first + count, rows);
  }

  // Weights of the output channels from `first` on and the terms [k, end). A phase is written from its first channel to its last
  // before the next one begins: a register may write beyond the last.
  void transform_rows(float* u, int64_t first, int64_t count, int64_t k, int64_t end) {
    constexpr int64_t at_once = 64;
    const int64_t size = p.kernel[0] * p.kernel[1], part = p.phases() == 1 ? end - k : p.channel_block();
    TapBlock blocks[at_once / lanes];
    for (int64_t i = 0; i < count; ++i)
      for (int64_t at = k; at < end; at += p.phases() * part)
        for (int64_t begin = 0; begin < part; begin += at_once) {
          const int64_t stop = smaller(begin + at_once, part), channel = p.channel_of(at);
          for (int64_t c = begin; c < stop; c += lanes) {
            const float* const w = p.weight + (first + i) * p.weight_row + (channel + c) * size;
            gather_taps(w, size, size, smaller(part, p.in_channels - channel) - c, address(w, 2 * lanes * size),
                        blocks[(c - begin) / lanes]);
          }
          for (int64_t phase = 0; phase < p.phases(); ++phase)
            for (int64_t c = begin; c < stop; c += lanes)
              transform_weight<F>(p.weight_taps(phase), blocks[(c - begin) / lanes], u + i * u_row + at - k + phase * part + c,
                                  u_step);
        }
  }
  void transform_columns(float* u, int64_t first, int64_t count, int64_t k, int64_t end) {
    const int64_t size = p.kernel[0] * p.kernel[1];
    const WeightTaps taps = p.weight_taps(0);
    TapBlock block;
    for (int64_t i = k; i < end; ++i)
      for (int64_t c = 0; c < count; c += lanes) {
        const float* const w = p.transposed_weight(i, first + c);
        gather_taps(w, size, p.transposed_step(), count - c, address(w, 4 * p.weight_row), block);
        transform_weight<F>(taps, block, u + (i - k) * u_row + c, u_step);
      }
  }

  // Is product xi of a phase zero? It is at infinity if the last tap is missing.
  bool vanishes(int64_t xi, int64_t phase) const {
    const WeightTaps taps = p.weight_taps(phase);
    return (xi / F::n == F::n - 1 && taps.rows.count < r) || (xi % F::n == F::n - 1 && taps.cols.count < r);
  }

  // The terms [k, end), without the phases whose product is zero.
  void multiply(const Block& b, int64_t count, int64_t k, int64_t end) {
    const int64_t part = p.channel_block();
    for (int64_t xi = 0; xi < products; ++xi) {
      bool any = k > 0;
      for (int64_t begin = k; begin < end;) {
        int64_t stop = begin;
        while (stop < end && !vanishes(xi, p.phase_of(stop))) stop = smaller(end, (stop / part + 1) * part);
        if (stop > begin) multiply(b, count, xi, k, begin, stop, any), any = true;
        else stop = smaller(end, (stop / part + 1) * part);
        begin = stop;
      }
      if (!any) __builtin_memset(b.sums + xi * m_step, 0, size_t(m_step) * sizeof(float));
    }
  }

  void multiply(const Block& b, int64_t count, int64_t xi, int64_t k, int64_t begin, int64_t end, bool add) {
    const int64_t tile_rows = balanced(count, mr, 1);
    TileArguments<P> t;
    t.a_stride = u_row, t.b_stride = panel, t.c_stride = panel;
    t.depth = end - begin, t.add = add;
    for (int64_t j = 0; j < b.count; j += panel) {
      const int64_t vectors = ceil_div(smaller(panel, b.count - j), lanes), at = j / panel;
      t.b = b.v + xi * v_step + (at * p.terms() + begin) * panel;
      for (int64_t row = 0; row < count; row += tile_rows) {
        const int64_t n = smaller(tile_rows, count - row);
        t.a = b.u + xi * u_step + (p.transposed ? (begin - k) * u_row + row : row * u_row + begin - k);
        t.c = b.sums + xi * m_step + (at * rows + row) * panel;
        (p.transposed ? find_tile<P, false>(n, vectors) : find_tile<P, true>(n, vectors))(t);
      }
    }
  }
};

}  // namespace tg::TG_ISA
