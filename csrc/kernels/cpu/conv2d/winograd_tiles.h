// Tiles of an output and the pixels under them. Tiles are numbered through all lines of all images, so that no lane is lost
// where a line has few of them:
//
//         tile_cols = 4                     a run: neighbouring tiles of one line,
//        +----+----+----+--+                cut apart into columns by a few shuffles
//        | 0  | 1  | 2  | 3|  tile_rows
//        +----+----+----+--+                a block of tiles: e.g. 2 .. 9 = runs {2, 3} {4, 5, 6, 7} {8, 9}
//        | 4  | 5  | 6  | 7|
//        +----+----+----+--+
//
// With dilation d the outputs fall into d x d phases that never meet: line f + d * k reads only lines of its own kind. Each
// phase is an image of its own here, its pixels d apart. A stride of 2 also leaves pixels apart, on the side of x.
#pragma once
#include "kernels/arguments/conv.h"
#include "kernels/cpu/conv2d/phases.h"
#include "kernels/cpu/matmul/blocks.h"

namespace tg::TG_ISA {

// One image plane after another: pixel (n, c, z, p, q) at data[n * batch + c * channel + z * plane + p * row + q].
struct Planes {
  float* data;
  int64_t batch, channel, plane, row;
  int64_t depth, height, width;
  TG_INLINE float* at(int64_t n, int64_t c, int64_t z) const { return data + n * batch + c * channel + z * plane; }
};

inline Planes planes_of(const Volumes& x) {
  return {
      static_cast<float*>(x.data), x.batch_stride, x.channel_stride, x.stride[0], x.stride[1], x.size[0], x.size[1], x.size[2]};
}

// Volumes are images with a plane each: plane z of the outputs reads the planes z * step + first + tap * spacing of the inputs,
// and every tap of a channel counts as a channel of its own, number channel * taps + tap. Images are volumes with one plane.
struct DepthTaps { int64_t outputs = 1, step = 1, first = 0, spacing = 0, taps = 1; };

struct Tiling {
  int64_t images;      // phases of all planes
  int64_t rows, cols;  // tiles of one (the largest: some tiles of the others may be empty)
  int64_t padding[2];  // lines and columns of zeros before the input
  int64_t spacing[2];  // lines and columns from one pixel of a tile to the next
  bool phased;         // every image appears spacing[0] * spacing[1] times, once from each pixel
  int64_t count() const { return images * rows * cols; }
};

template <int m>
Tiling tiling_of(int64_t batch, const Planes& out, const int64_t (&padding)[2], const int64_t (&spacing)[2], bool phased) {
  auto tiles = [&](int64_t size, int d) { return ceil_div(ceil_div(size, spacing[d]), m); };
  const int64_t phases = phased ? spacing[0] * spacing[1] : 1;
  return {batch * phases,           tiles(out.height, 0),     tiles(out.width, 1),
          {padding[0], padding[1]}, {spacing[0], spacing[1]}, phased};
}

// Walks the runs of tiles [begin, begin + count), none longer than `longest`.
struct Run {
  int64_t image, row, col;  // of its first tile
  int64_t length, at;       // at: its first tile's number in the block

  // Its image and phase, and the line and column of its first output.
  struct Place { int64_t image, line, column; };
  TG_INLINE Place place(const Tiling& g, int64_t m) const {
    const int64_t line = row * m * g.spacing[0], column = col * m * g.spacing[1];
    if (!g.phased) return {image, line, column};
    const int64_t phases = g.spacing[0] * g.spacing[1], phase = image % phases;
    return {image / phases, line + phase / g.spacing[1], column + phase % g.spacing[1]};
  }
};
template <class Body> TG_INLINE void for_each_run(const Tiling& g, int64_t begin, int64_t count, int64_t longest,
                                                  const Body& body) {
  Run run{begin / (g.rows * g.cols), begin / g.cols % g.rows, begin % g.cols, 0, 0};
  while (run.at < count) {
    run.length = smaller(smaller(g.cols - run.col, longest), count - run.at);
    body(run);
    run.at += run.length;
    run.col += run.length;
    if (run.col == g.cols) {
      run.col = 0;
      if (++run.row == g.rows) run.row = 0, ++run.image;
    }
  }
}

// `columns` columns of every tile of a run, from one line of pixels `spacing` apart: column j of tile t to to[j * step + t].
// Columns of neighbours may overlap: a register then holds a few tiles fewer than it has lanes. May write a whole register.
template <int m, int columns>
TG_INLINE void split_line(const float* line, int64_t first, int64_t width, int64_t spacing, int64_t tiles, float* to,
                          int64_t step) {
  constexpr int lanes = Vec<float>::width;
  Vec<float> pixels[m], phase[m];
  auto load = [&](int64_t i) TG_INLINE_LAMBDA {
    const int64_t at = first + i * lanes * spacing;
    return spacing == 1 ? load_within(line, at, width) : load_spaced(line, at, width, spacing);
  };
  pixels[0] = load(0);
  pixels[1] = (tiles - 1) * m + columns <= lanes ? Vec<float>(0) : load(1);
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16) || defined(TG_ISA_avx2)
  if (m == 4 && tiles < lanes / 2) {  // two registers of pixels are enough: phases take half a register
    const Vec<float> even = even_lanes(pixels[0], pixels[1]), odd = odd_lanes(pixels[0], pixels[1]);
    const Vec<float> both[2] = {even_lanes(even, odd), odd_lanes(even, odd)};  // columns 0 and 1, columns 2 and 3
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      store_low_half(both[j], to + 2 * j * step);
      store_high_half(both[j], to + (2 * j + 1) * step);
    }
#pragma GCC unroll 4
    for (int j = m; j < columns; j += 2) {
      const Vec<float> next = next_lanes(both[j % m / 2]);
      store_low_half(next, to + j * step);
      if (j + 1 < columns) store_high_half(next, to + (j + 1) * step);
    }
    return;
  }
#endif
  (void)tiles;
  if constexpr (m == 4) pixels[2] = load(2), pixels[3] = load(3);
  split_phases(pixels, phase);
#pragma GCC unroll 8
  for (int j = 0; j < columns; ++j) {
    if (j >= m) phase[j % m] = next_lanes(phase[j % m]);
    phase[j % m].store(to + j * step);
  }
}

template <int m, int columns> inline constexpr int64_t longest_run = Vec<float>::width - (columns - 1) / m;

// The pixels under the tiles [begin, begin + count), pixel (i, j) of each in its own line of `to`, `step` floats apart. size =
// m + r - 1 for inputs, which overlap, m for outputs. Lanes up to the next whole register become zero. Lines need room for one
// register more.
template <int m, int size> struct GatherTiles {
  Planes planes;
  Tiling tiling;    // padding: of these planes
  DepthTaps depth;  // of these planes
  int64_t begin, count;
  float* to;
  int64_t step;
  int64_t shift[2] = {0, 0};  // of all pixels, down and right
};
template <int m, int size> [[gnu::noinline]] static void gather_tiles(const GatherTiles<m, size>& g, int64_t term) {
  constexpr int lanes = Vec<float>::width;
  const int64_t channel = term / g.depth.taps, first = g.depth.first + term % g.depth.taps * g.depth.spacing;
  for_each_run(g.tiling, g.begin, g.count, longest_run<m, size>, [&](const Run& run) TG_INLINE_LAMBDA {
    const Run::Place at = run.place(g.tiling, m);
    const int64_t row = at.line + g.shift[0] - g.tiling.padding[0], col = at.column + g.shift[1] - g.tiling.padding[1];
    const int64_t z = at.image % g.depth.outputs * g.depth.step + first;
    const bool exists = z >= 0 && z < g.planes.depth;
    const float* const plane = g.planes.at(at.image / g.depth.outputs, channel, exists ? z : 0);
    for (int i = 0; i < size; ++i) {
      float* const to = g.to + i * size * g.step + run.at;
      const int64_t line = row + i * g.tiling.spacing[0];
      if (exists && line >= 0 && line < g.planes.height) {
        split_line<m, size>(plane + line * g.planes.row, col, g.planes.width, g.tiling.spacing[1], run.length, to, g.step);
      } else {
#pragma GCC unroll 8
        for (int j = 0; j < size; ++j) Vec<float>(0).store(to + j * g.step);
      }
    }
  });
  if (g.count % lanes)
    for (int k = 0; k < size * size; ++k)
      for (int64_t t = g.count; t < round_up(g.count, lanes); ++t) g.to[k * g.step + t] = 0;
}

// The reverse, for outputs: element (i, j) of the tiles from line i * m + j of `from` to its pixel.
template <int m> struct ScatterTiles {
  Planes planes;
  Tiling tiling;
  int64_t begin, count;
  const float* from;
  int64_t step;
};
template <int m> [[gnu::noinline]] static void scatter_tiles(const ScatterTiles<m>& s, int64_t channel) {
  constexpr int lanes = Vec<float>::width;
  for_each_run(s.tiling, s.begin, s.count, lanes, [&](const Run& run) TG_INLINE_LAMBDA {
    const Run::Place at = run.place(s.tiling, m);
    const int64_t apart = s.tiling.spacing[0], spacing = s.tiling.spacing[1];
    const int64_t pixels = smaller(run.length * m, ceil_div(s.planes.width - at.column, spacing));
    const int64_t lines = smaller(m, ceil_div(s.planes.height - at.line, apart));
    float* const plane = s.planes.at(at.image / s.planes.depth, channel, at.image % s.planes.depth) + at.line * s.planes.row;
    for (int i = 0; i < lines; ++i) {
      Vec<float> phase[m], line[m];
#pragma GCC unroll 4
      for (int j = 0; j < m; ++j) phase[j] = Vec<float>::load(s.from + (i * m + j) * s.step + run.at);
      float* const to = plane + i * apart * s.planes.row + at.column;
      if (pixels <= m / 2 * lanes) {  // a short run: half of the shuffles
        join_first_half(phase, line);
#pragma GCC unroll 2
        for (int j = 0; j < m / 2; ++j)
          if (j * lanes < pixels) store_spaced(line[j], to + j * lanes * spacing, pixels - j * lanes, spacing);
        continue;
      }
      join_phases(phase, line);
#pragma GCC unroll 4
      for (int j = 0; j < m; ++j) {
        if (j * lanes >= pixels) break;
        store_spaced(line[j], to + j * lanes * spacing, pixels - j * lanes, spacing);
      }
    }
  });
}

// Touches the pixels of a block of tiles a few lines of cache at a time, while arithmetic leaves the memory idle: the planes of
// a block lie in as many pages as there are channels, which the processor does not fetch ahead by itself.
struct TilePrefetch {
  const char* plane = nullptr;  // the first channel's part of the first image
  int64_t channels = 0, images = 0, batch_bytes = 0, channel_bytes = 0;
  int64_t first_bytes = 0, last_bytes = 0, plane_bytes = 0;  // of a plane: where the first image's part begins, the last's ends
  int64_t channel = 0, image = 0, at = 0, per_step = 0;

  // `before` and `after`: lines beyond the tiles' own. Of the planes that a volume's taps meet the last one: it is new.
  template <int m>
  void start(const Planes& p, const DepthTaps& d, const Tiling& g, int64_t all_channels, int64_t begin, int64_t count,
             int64_t before, int64_t after, int64_t steps) {
    channels = channel = image = 0;
    if (count <= 0 || g.spacing[0] * g.spacing[1] > 1) return;
    const int64_t per_image = g.rows * g.cols, last = begin + count - 1, line_bytes = p.row * int64_t(sizeof(float));
    const int64_t first_line = begin % per_image / g.cols * m - before, end_line = (last % per_image / g.cols + 1) * m + after;
    const int64_t first_image = begin / per_image, last_image = last / per_image;
    const int64_t reach = d.first + (d.spacing > 0 ? (d.taps - 1) * d.spacing : 0);
    auto plane_offset = [&](int64_t i) {
      const int64_t z = i % d.outputs * d.step + reach;
      return (z < 0 ? 0 : smaller(z, p.depth - 1)) * p.plane * int64_t(sizeof(float));
    };
    plane = reinterpret_cast<const char*>(p.at(first_image / d.outputs, 0, 0));
    channels = all_channels, images = last_image / d.outputs - first_image / d.outputs + 1;
    batch_bytes = p.batch * int64_t(sizeof(float)), channel_bytes = p.channel * int64_t(sizeof(float));
    plane_bytes = (p.depth - 1) * p.plane * int64_t(sizeof(float)) + p.height * line_bytes;
    first_bytes = plane_offset(first_image) + (first_line > 0 ? first_line * line_bytes : 0);
    last_bytes = plane_offset(last_image) + smaller(end_line * line_bytes, p.height * line_bytes);
    at = first_bytes;
    const int64_t bytes = images * plane_bytes - first_bytes - (plane_bytes - last_bytes);
    per_step = channels * (bytes / 64 + images) / (steps > 0 ? steps : 1) + 1;
  }

  // (Inlined because gcc drops calls of functions that only prefetch.)
  template <bool write> TG_INLINE void step() {
    for (int64_t k = 0; k < per_step && channel < channels; ++k) {
      __builtin_prefetch(plane + channel * channel_bytes + image * batch_bytes + at, write, 2);
      at += 64;
      if (at >= (image == images - 1 ? last_bytes : plane_bytes)) {
        if (++image == images) image = 0, ++channel;
        at = image == 0 ? first_bytes : 0;
      }
    }
  }
};

}  // namespace tg::TG_ISA
