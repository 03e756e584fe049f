// Winograd's convolution where sums are short: few input channels, as first layers have. A matrix product of so few terms would
// write and read each of its sums for a handful of multiplications. Here they stay in registers until they are outputs:
//
//   x  -->  V[tiles / 16][column j][term][line i][16 tiles]     of a block of tiles, near
//   w  -->  U[channels / 4][column j][term][line i][4]          once
//   for 4 output channels and 16 (8, 4) tiles:
//     for every column j of the n x n products:
//       sum[i][channel] = sum over the terms of U V             n * 4 registers
//       half[channel][j] = A' sum                               m of the n lines are left
//     y = half A                                                and to the pixels
//
// V and U are read from front to end. Where a stride has phases as terms and the last column of one is missing (a 7x7 weight has
// four columns of one kind, three of the other), its product at infinity is left out.
//
// Numerics: one chain of FMAs over the terms. Bits do not depend on blocks or threads: a tile's outputs are its own.
#pragma once
#include "kernels/cpu/conv2d/axis.h"
#include "kernels/cpu/conv2d/gather.h"
#include "kernels/cpu/conv2d/winograd_product.h"

namespace tg::TG_ISA {

template <int m, int r> struct WinogradShallow : WinogradSteps<m, r> {
  using Steps = WinogradSteps<m, r>;
  using Steps::d_step, Steps::lanes, Steps::p, Steps::products, Steps::tiling, Steps::workers;
  using typename Steps::Block;
  using typename Steps::F;
  static constexpr int n = F::n, channels = 4;
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
  static constexpr int lines_at_once = n;  // n * 4 sums and a register of V; weights are broadcast from memory
#else
  static constexpr int lines_at_once = 3;
#endif
  static constexpr int64_t v_bytes = 192 << 10;

  int64_t block_tiles, last_terms;  // last_terms: of the column at infinity

  WinogradShallow(const WinogradProblem& problem, int threads) : Steps(problem, threads) {
    const double terms_used = double(products * p.terms()) * double(tiling.count());
    workers = smaller(workers, workers_for(2 * terms_used * double(p.out_channels), int(workers)));
    const int64_t fit = v_bytes / (products * p.terms() * int64_t(sizeof(float))) / lanes * lanes;
    block_tiles = balanced(ceil_div(tiling.count(), workers), smaller(larger(fit, lanes), 64), lanes);
    d_step = block_tiles + 16;
    last_terms = p.terms();
    if (p.in_spacing > 1 && p.weight_taps(p.in_spacing).cols.count < r) last_terms /= p.in_spacing;
  }

  int64_t u_floats() const { return round_up(p.out_channels, channels) * products * p.terms(); }
  int64_t v_floats() const { return block_tiles * products * p.terms(); }
  int64_t y_floats() const { return channels * m * m * d_step; }
  int64_t pixel_floats() const { return round_up(larger(2 * products * d_step, y_floats()) + lanes, line_floats); }
  size_t workspace() const {
    return size_t(round_up(u_floats(), line_floats) + workers * (v_floats() + pixel_floats())) * sizeof(float);
  }

  void run(const Launch& launch) {
    float* const u = static_cast<float*>(launch.workspace);
    const int64_t tiles = tiling.count(), W = workers, groups = ceil_div(p.out_channels, lanes);
    parallel_for(launch, groups, ceil_div(groups, W), [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) transform_weights(u, g * lanes);
    });
    parallel_for(launch, W, 1, [&](int64_t w, int64_t) {
      float* const v = u + round_up(u_floats(), line_floats) + w * (v_floats() + pixel_floats());
      // Whole registers of tiles for every worker.
      const int64_t registers = ceil_div(tiles, lanes), end = smaller(registers * (w + 1) / W * lanes, tiles);
      for (int64_t begin = registers * w / W * lanes; begin < end; begin += block_tiles)
        block({u, v, nullptr, v + v_floats(), begin, smaller(block_tiles, end - begin)});
    });
  }

 private:
  int64_t column_floats(int64_t of) const { return p.terms() * n * of; }

  // Output channels [first, first + lanes), a lane each.
  void transform_weights(float* u, int64_t first) {
    const int64_t size = p.kernel[0] * p.kernel[1], count = smaller(lanes, round_up(p.out_channels - first, channels));
    TapBlock taps;
    alignas(64) float from[products * lanes];
    for (int64_t term = 0; term < p.terms(); ++term) {
      const int64_t channel = p.channel_of(term), apart = p.transposed ? p.transposed_step() : p.weight_row;
      const float* const w =
          p.transposed ? p.transposed_weight(channel, first) : p.weight + first * p.weight_row + channel * size;
      gather_taps(w, size, apart, p.out_channels - first, w, taps);
      transform_weight<F>(p.weight_taps(p.phase_of(term)), taps, from, lanes);
      for (int64_t o = 0; o < count; ++o) {
        float* const to = u + (first + o) / channels * n * column_floats(channels) + o % channels;
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < n; ++j)
            to[j * column_floats(channels) + (term * n + i) * channels] = from[(i * n + j) * lanes + o];
      }
    }
  }

  void block(const Block& b) {
    this->gather_terms(b, 0, p.terms(), [&](int64_t term, const float* pixels) {
      for (int64_t t = 0; t < b.count; t += lanes) split_input(pixels + t, b.v + t * p.terms() * products + term * n * lanes);
    });
    const int64_t groups = ceil_div(p.out_channels, channels), size = m * m * d_step;
    const bool later = p.activation != Activation::none && p.activation != Activation::relu;
    TilePrefetch outputs;
    outputs.template start<m>(p.out, {p.out.depth, 1, 0, 0, 1}, tiling, p.out_channels, b.begin, b.count, 0, 0, groups);
    for (int64_t o = 0; o < p.out_channels; o += channels) {
      outputs.template step<true>();
      for (int64_t t = 0; t < b.count; t += lanes) multiply(b, t, o);
      for (int64_t c = 0; c < smaller(channels, p.out_channels - o); ++c) {
        float* const y = b.pixels + c * size;
        if (later)
          finish_tile<float, float>({y, d_step, y, d_step, m * m, round_up(b.count, lanes)}, {nullptr, nullptr, p.activation});
        scatter_tiles(ScatterTiles<m>{p.out, tiling, b.begin, b.count, y, d_step}, o + c);
      }
    }
  }

  [[gnu::noinline]] void split_input(const float* d, float* v) const {
    both_dimensions<n, n>([](const auto& x, auto& y) TG_INLINE_LAMBDA { F::input(x, y); },
                          [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(d + (i * n + j) * d_step); },
                          [&](int i, int j, Vec<float> x)
                              TG_INLINE_LAMBDA { x.store(v + j * column_floats(lanes) + i * lanes); });
  }

  // sum[i][c] for `lines` of the n lines of one column.
  template <int lines>
  TG_INLINE static void add_terms(const float* v, const float* u, int64_t terms, Vec<float> (&sum)[n][channels], int first) {
    Vec<float> part[lines][channels];
#pragma GCC unroll 8
    for (int i = 0; i < lines; ++i)
#pragma GCC unroll 4
      for (int c = 0; c < channels; ++c) part[i][c] = Vec<float>(0);
    for (int64_t k = 0; k < terms; ++k, v += n * lanes, u += n * channels)
#pragma GCC unroll 8
      for (int i = 0; i < lines; ++i) {
        const Vec<float> x = Vec<float>::load(v + i * lanes);
#pragma GCC unroll 4
        for (int c = 0; c < channels; ++c) part[i][c] = fma(Vec<float>(u[i * channels + c]), x, part[i][c]);
      }
#pragma GCC unroll 8
    for (int i = 0; i < lines; ++i)
#pragma GCC unroll 4
      for (int c = 0; c < channels; ++c) sum[first + i][c] = part[i][c];
  }

  // The outputs of tiles [t, t + lanes) of the block and channels [o, o + 4) to b.pixels.
  [[gnu::noinline]] void multiply(const Block& b, int64_t t, int64_t o) const {
    const float* v = b.v + t * p.terms() * products;
    const float* u = b.u + o / channels * n * column_floats(channels);
    Vec<float> half[channels][m][n];
    for (int j = 0; j < n; ++j, v += column_floats(lanes), u += column_floats(channels)) {
      const int64_t terms = j == n - 1 ? last_terms : p.terms();
      Vec<float> sum[n][channels];
      if constexpr (lines_at_once == n) {
        add_terms<n>(v, u, terms, sum, 0);
      } else {
        add_terms<lines_at_once>(v, u, terms, sum, 0);
        constexpr int rest = n - lines_at_once, second = rest < lines_at_once ? rest : lines_at_once;
        add_terms<second>(v + lines_at_once * lanes, u + lines_at_once * channels, terms, sum, lines_at_once);
        if constexpr (rest > second)
          add_terms<rest - second>(v + 2 * lines_at_once * lanes, u + 2 * lines_at_once * channels, terms, sum,
                                   2 * lines_at_once);
      }
#pragma GCC unroll 4
      for (int c = 0; c < channels; ++c) {
        Vec<float> column[n], mapped[m];
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i) column[i] = sum[i][c];
        F::output(column, mapped);
#pragma GCC unroll 4
        for (int i = 0; i < m; ++i) half[c][i][j] = mapped[i];
      }
    }
    const Vec<float> least(p.activation == Activation::relu ? 0 : -__builtin_inff());
    for (int c = 0; c < channels; ++c) {
      const Vec<float> bias(p.bias && o + c < p.out_channels ? p.bias[o + c] : 0);
      float* const y = b.pixels + c * m * m * d_step + t;
#pragma GCC unroll 4
      for (int i = 0; i < m; ++i) {
        Vec<float> mapped[m];
        F::output(half[c][i], mapped);
#pragma GCC unroll 4
        for (int j = 0; j < m; ++j) max_or_second(least, mapped[j] + bias).store(y + (i * m + j) * d_step);
      }
    }
  }
};

}  // namespace tg::TG_ISA
