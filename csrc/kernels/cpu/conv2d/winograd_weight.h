// Winograd's convolution for the gradient of the weights: the exact transpose of the forward one.
//
//   x   --transform_input-->            V[xi][panel][tile][c]     turned: the lanes run over channels
//   dy  --transform_output_gradient-->  M[xi][o][tile]
//   dU[xi][o][c] += sum over the block's tiles of M V             a matrix product for every xi
//   dU  --transform_weight_gradient-->  dw                        once, after the last block
//
// Blocks are added in order. With few channels a block is too little work to share: then the blocks are cut into slabs, each
// with a dU of its own and done by one worker from end to end, and the slabs' dU are added in order on the way to dw. Otherwise
// there is one slab, and the workers share the steps of each block. Blocks and slabs follow from the shapes alone, so that an
// element's bits do not depend on the number of threads.
//
//   few channels   | block block block | block block block | block block |    dU 0 + dU 1 + dU 2
//                       slab 0               slab 1            slab 2
#pragma once
#include "kernels/cpu/conv2d/winograd_product.h"

namespace tg::TG_ISA {

struct WinogradWeightProblem {
  Planes x, dy;
  int64_t batch, in_channels, out_channels;
  int64_t padding[2], dilation[2];
  float* weight;  // [out_channels][in_channels][r][r], rows weight_row floats apart
  int64_t weight_row;
  DepthTaps depth;  // volumes: in_channels counts every tap along the depth
};

template <int m, int r> struct WinogradWeight {
  using F = WinogradTransform<m, r>;
  using P = Products<float>;
  static constexpr int64_t products = F::n * F::n, lanes = Vec<float>::width;

  const WinogradWeightProblem& p;
  Tiling x_tiling, dy_tiling;
  int64_t workers, block_tiles, slabs, panel, tile_rows;
  int64_t v_step, m_row, m_step, u_row, u_step, d_step;

  WinogradWeight(const WinogradWeightProblem& problem, int threads)
      : p(problem),
        x_tiling(tiling_of<m>(p.batch * p.dy.depth, p.dy, p.padding, p.dilation, true)),
        dy_tiling(tiling_of<m>(p.batch * p.dy.depth, p.dy, {0, 0}, p.dilation, true)),
        workers(threads > 1 ? threads : 1) {
    // All of dU is read and written once a block; V and M should stay in the last-level cache meanwhile.
    const int64_t most = p.in_channels + p.out_channels <= 512 ? 128 : 64;
    block_tiles = balanced(x_tiling.count(), most, lanes);
    panel = balanced(p.in_channels, nr<P>, lanes);
    tile_rows = balanced(p.out_channels, mr, 1);
    v_step = panels() * block_tiles * panel + line_floats;
    m_row = block_tiles + line_floats;
    m_step = p.out_channels * m_row + line_floats;
    u_row = panels() * panel + line_floats;
    u_step = p.out_channels * u_row + line_floats;
    d_step = block_tiles + 16;
    slabs = p.in_channels * p.out_channels <= 64 * 64 ? smaller(most_slabs, blocks()) : 1;
  }

  static constexpr int64_t most_slabs = 8;
  int64_t blocks() const { return ceil_div(x_tiling.count(), block_tiles); }

  int64_t panels() const { return ceil_div(p.in_channels, panel); }
  // of a worker: pixels of one channel, and a register full of transformed channels
  int64_t turned_step() const { return block_tiles + line_floats; }
  int64_t scratch_floats() const {
    return round_up(2 * products * d_step + lanes, line_floats) + products * lanes * turned_step();
  }
  int64_t vm_floats() const { return products * (v_step + m_step); }
  // One worker has room for a block of its own if it does whole slabs.
  size_t workspace() const {
    const int64_t rooms = slabs > 1 ? workers : 1;
    return size_t(slabs * products * u_step + rooms * vm_floats() + workers * scratch_floats()) * sizeof(float);
  }

  void run(const Launch& launch) {
    float* const u = static_cast<float*>(launch.workspace);
    if (slabs > 1) do_slabs(launch, u);
    else share_blocks(launch, u);
    const int64_t W = workers;
    parallel_for(launch, W, 1, [&](int64_t w, int64_t) {
      for (int64_t o = p.out_channels * w / W; o < p.out_channels * (w + 1) / W; ++o) {
        for (int64_t slab = 1; slab < slabs; ++slab)
          for (int64_t xi = 0; xi < products; ++xi)
            add_row(u + (slab * products + xi) * u_step + o * u_row, u + xi * u_step + o * u_row);
        for (int64_t c = 0; c < p.in_channels; c += lanes)
          transform_weight_gradient<F>(u + o * u_row + c, u_step, p.weight + o * p.weight_row + c * r * r, p.in_channels - c);
      }
    });
  }

 private:
  struct Block {
    float *u, *v, *sums, *scratch;
    int64_t begin, count;  // tiles
    int64_t next_count;    // of the block after this one, to be fetched meanwhile; 0 for none
    bool add;              // to what is in u
    int64_t padded_count() const { return round_up(count, lanes); }
  };

  DepthTaps own_depth() const { return {p.dy.depth, 1, 0, 0, 1}; }
  int64_t row_tiles() const { return ceil_div(p.out_channels, tile_rows); }
  int64_t channel_groups() const { return ceil_div(p.in_channels, lanes); }

  void do_slabs(const Launch& launch, float* u) {
    const int64_t W = smaller(workers, slabs), all = blocks(), tiles = x_tiling.count();
    parallel_for(launch, W, 1, [&](int64_t w, int64_t) {
      float* const v = u + slabs * products * u_step + w * (vm_floats() + scratch_floats());
      for (int64_t slab = slabs * w / W; slab < slabs * (w + 1) / W; ++slab) {
        const int64_t first = all * slab / slabs * block_tiles, end = smaller(all * (slab + 1) / slabs * block_tiles, tiles);
        for (int64_t begin = first; begin < end; begin += block_tiles) {
          const int64_t count = smaller(block_tiles, end - begin), next = smaller(block_tiles, tiles - begin - count);
          const Block block{
              u + slab * products * u_step, v, v + products * v_step, v + vm_floats(), begin, count, next, begin > first};
          transform_inputs(block, 0, channel_groups());
          transform_gradients(block, 0, p.out_channels);
          multiply(block, 0, products * row_tiles());
        }
      }
    });
  }

  void share_blocks(const Launch& launch, float* u) {
    float* const v = u + products * u_step;
    float* const scratch = v + vm_floats();
    const int64_t tiles = x_tiling.count(), W = workers;
    auto each = [&](const auto& step) { parallel_for(launch, W, 1, [&](int64_t worker, int64_t) { step(worker); }); };
    for (int64_t begin = 0; begin < tiles; begin += block_tiles) {
      const int64_t count = smaller(block_tiles, tiles - begin), next = smaller(block_tiles, tiles - begin - count);
      const Block block{u, v, v + products * v_step, nullptr, begin, count, next, begin > 0};
      each([&](int64_t w) {
        Block own = block;
        own.scratch = scratch + w * scratch_floats();
        transform_inputs(own, channel_groups() * w / W, channel_groups() * (w + 1) / W);
        transform_gradients(own, p.out_channels * w / W, p.out_channels * (w + 1) / W);
      });
      each([&](int64_t w) {
        const int64_t all = products * row_tiles();
        multiply(block, all * w / W, all * (w + 1) / W);
      });
    }
  }

  TG_INLINE void add_row(const float* from, float* to) const {
    for (int64_t c = 0; c < panels() * panel; c += lanes) (Vec<float>::load(to + c) + Vec<float>::load(from + c)).store(to + c);
  }

  // Groups of `lanes` channels. Those that are not there count as zero.
  void transform_inputs(const Block& b, int64_t begin, int64_t end) {
    float* const turned = b.scratch + round_up(2 * products * d_step + lanes, line_floats);
    const int64_t t_step = lanes * turned_step(), size = products * d_step;
    GatherTiles<m, F::n> gather{p.x, x_tiling, p.depth, b.begin, b.count, b.scratch, d_step};
    for (int64_t group = begin; group < end; ++group) {
      const int64_t first = group * lanes, channels = smaller(lanes, p.in_channels - first);
      gather.to = b.scratch;
      gather_tiles(gather, first);
      for (int64_t c = 0; c < channels; ++c) {
        float* const pixels = gather.to;
        gather.to = b.scratch + ((c + 1) & 1) * size;
        if (c + 1 < channels) gather_tiles(gather, first + c + 1);
        for (int64_t t = 0; t < b.count; t += lanes)
          transform_input<F>(pixels + t, d_step, turned + c * turned_step() + t, t_step);
      }
      for (int64_t c = channels; c < lanes; ++c)
        for (int64_t xi = 0; xi < products; ++xi)
          __builtin_memset(turned + xi * t_step + c * turned_step(), 0, size_t(b.padded_count()) * sizeof(float));
      float* const v = b.v + first / panel * block_tiles * panel + first % panel;
      for (int64_t xi = 0; xi < products; ++xi) turn(turned + xi * t_step, v + xi * v_step, b.padded_count());
    }
  }

  // v[t][c] = from[c][t]
  [[gnu::noinline]] void turn(const float* from, float* v, int64_t tiles) {
    for (int64_t t = 0; t < tiles; t += lanes) {
      Vec<float> block[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) block[i] = Vec<float>::load(from + i * turned_step() + t);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) block[i].store(v + (t + i) * panel);
    }
  }

  void transform_gradients(const Block& b, int64_t begin, int64_t end) {
    const int64_t size = m * m * d_step;
    GatherTiles<m, m> gather{p.dy, dy_tiling, own_depth(), b.begin, b.count, b.scratch, d_step};
    if (begin < end) gather_tiles(gather, begin);
    for (int64_t o = begin; o < end; ++o) {
      float* const pixels = gather.to;
      gather.to = b.scratch + ((o + 1 - begin) & 1) * size;
      if (o + 1 < end) gather_tiles(gather, o + 1);
      for (int64_t t = 0; t < b.count; t += lanes)
        transform_output_gradient<F, m>(pixels + t, d_step, b.sums + o * m_row + t, m_step);
    }
  }

  void multiply(const Block& b, int64_t begin, int64_t end) {
    const int64_t next = b.begin + b.count, steps = (end - begin) * panels();
    TilePrefetch x, dy;
    x.template start<m>(p.x, p.depth, x_tiling, p.in_channels / p.depth.taps, next, b.next_count, p.padding[0],
                        r - 1 - p.padding[0], steps);
    dy.template start<m>(p.dy, own_depth(), dy_tiling, p.out_channels, next, b.next_count, 0, 0, steps);
    TileArguments<P> t;
    t.depth = b.padded_count();
    t.a_stride = m_row, t.b_stride = panel, t.c_stride = u_row;
    t.add = b.add;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t xi = i / row_tiles(), row = i % row_tiles() * tile_rows, rows = smaller(tile_rows, p.out_channels - row);
      t.a = b.sums + xi * m_step + row * m_row;
      for (int64_t j = 0; j < p.in_channels; j += panel) {
        x.template step<false>();
        dy.template step<false>();
        t.b = b.v + xi * v_step + j / panel * block_tiles * panel;
        t.c = b.u + xi * u_step + row * u_row + j;
        find_tile<P, true>(rows, ceil_div(smaller(panel, p.in_channels - j), lanes))(t);
      }
    }
  }
};

}  // namespace tg::TG_ISA
