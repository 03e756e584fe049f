// 1x1 convolutions of stride 1: matrix products whose columns are the pixels of all images.
//
//   forward          y[o][pixel]  = activation(sum over c of w[o][c] x[c][pixel] + bias[o])
//   backward_input   dx[c][pixel] = sum over o of w[o][c] dy[o][pixel]
//   backward_weight  dw[o][c]     = sum over pixels of dy[o][pixel] x[c][pixel]
//
// Pixels are numbered through the images (pixels.h), so that a 7x7 image does not leave registers half empty at its end. Panels
// of pixels are packed for the matrix tile (matmul/tile.h); of the first two the weights as well, once. Sums are cut every 512
// terms (backward_weight: where an image ends before that), the parts added in order.
#include "core/parallel.h"
#include "kernels/cpu/conv2d/algorithms.h"
#include "kernels/cpu/conv2d/phases.h"
#include "kernels/cpu/conv2d/pixels.h"

namespace tg::TG_ISA {

static constexpr int64_t pixels_bytes = 384 << 10;  // packed pixels: most of the second-level cache

// out[i][pixel] = activation(sum over k of a[k][i] in[k][pixel] + bias[i])
template <class T> struct PointwiseProduct {
  using P = Products<T>;
  static constexpr int64_t lanes = Vec<T>::width, panel = nr<P>;

  Pixels<T> in, out;
  Source<T> weight;  // element (k, i)
  int64_t K, M;
  const T* bias;
  Activation activation;
  int64_t row_pieces, col_pieces, piece_cols, piece_rows, tile_rows, block_cols;

  PointwiseProduct(const Conv2d& c, bool backward, int64_t group, int threads)
      : in(backward ? c.y : c.x, group * ((backward ? c.y : c.x).channels / c.groups)),
        out(backward ? c.x : c.y, group * ((backward ? c.x : c.y).channels / c.groups)) {
    const int64_t C = c.x.channels / c.groups, O = c.y.channels / c.groups;
    T* const w = static_cast<T*>(c.weight) + group * O * C;
    weight = backward ? Source<T>{w, C, 1} : Source<T>{w, 1, C};
    K = backward ? O : C, M = backward ? C : O;
    bias = !backward && c.bias ? static_cast<const T*>(c.bias) + group * O : nullptr;
    activation = backward ? Activation::none : c.activation;

    tile_rows = balanced(M, mr, 1);
    const int64_t workers = threads > 1 ? threads : 1, panels = ceil_div(out.count(), panel);
    col_pieces = smaller(workers, ceil_div(panels, 2));
    row_pieces = smaller(ceil_div(workers, col_pieces), ceil_div(M, tile_rows));
    piece_cols = ceil_div(panels, col_pieces) * panel;
    piece_rows = ceil_div(ceil_div(M, tile_rows), row_pieces) * tile_rows;
    const int64_t most = pixels_bytes / int64_t(sizeof(T)) / K / panel * panel;
    block_cols = balanced(smaller(piece_cols, out.count()), most > panel ? most : panel, panel);
  }

  // The packed weights: blocks of k, of each its tiles of rows.
  int64_t tile_elements(int64_t depth) const { return depth * tile_rows + gap<P>; }
  int64_t weight_elements() const {
    return round_up(ceil_div(M, tile_rows) * (K * tile_rows + ceil_div(K, kc) * gap<P>), gap<P>);
  }
  T* weight_tile(T* packed, int64_t k, int64_t row) const {
    const int64_t tiles = ceil_div(M, tile_rows), depth = smaller(kc, K - k);
    return packed + tiles * (k * tile_rows + k / kc * gap<P>)+row / tile_rows * tile_elements(depth);
  }
  int64_t pixel_elements() const { return block_cols * K + block_cols / panel * gap<P> + lanes; }
  size_t workspace() const {
    return size_t(weight_elements() + row_pieces * col_pieces * round_up(pixel_elements(), gap<P>)) * sizeof(T);
  }

  void run(const Launch& launch) {
    T* const packed = static_cast<T*>(launch.workspace);
    const int64_t tiles = ceil_div(M, tile_rows), workers = row_pieces * col_pieces;
    parallel_for(launch, tiles, ceil_div(tiles, workers), [&](int64_t begin, int64_t end) {
      const int64_t row = begin * tile_rows, rows = smaller(end * tile_rows, M) - row;
      for (int64_t k = 0; k < K; k += kc) {
        const int64_t depth = smaller(kc, K - k);
        Pack<P, T>::panels(weight.at(k, row),
                           {depth, rows, tile_rows, weight_tile(packed, k, row), tile_elements(depth), false});
      }
    });
    parallel_for(launch, workers, 1, [&](int64_t job, int64_t) {
      T* const b = packed + weight_elements() + job * round_up(pixel_elements(), gap<P>);
      const int64_t row = job % row_pieces * piece_rows, end_row = smaller(row + piece_rows, M);
      const int64_t col = job / row_pieces * piece_cols, end = smaller(col + piece_cols, out.count());
      if (row >= end_row) return;
      for (int64_t j = col; j < end; j += block_cols) block(packed, b, row, end_row, j, smaller(block_cols, end - j), end);
    });
  }

 private:
  int64_t panel_elements() const { return K * panel + gap<P>; }

  // Lines of pixels to their panels, whole registers at a time: what spills over is written again by the next.
  [[gnu::noinline]] void pack_pixels(T* to, int64_t begin, int64_t count) const {
    for (int64_t k = 0; k < K; ++k)
      in.for_each_piece(begin, count, [&](int64_t offset, int64_t at, int64_t n) TG_INLINE_LAMBDA {
        const T* from = in.data + k * in.channel + offset;
        while (n > 0) {
          const int64_t part = smaller(n, panel - at % panel);
          T* const line = to + at / panel * panel_elements() + k * panel + at % panel;
          for (int64_t q = 0; q < part; q += lanes) Vec<T>::load(from + q, part - q).store(line + q);
          from += part, at += part, n -= part;
        }
      });
  }

  void block(T* packed, T* b, int64_t begin_row, int64_t end_row, int64_t begin, int64_t count, int64_t end) {
    pack_pixels(b, begin, count);
    // The next block's pixels are fetched meanwhile: a few lines of cache with every tile.
    const int64_t next = begin + count, next_count = smaller(block_cols, end - next), line = 64 / int64_t(sizeof(T));
    const int64_t calls = ceil_div(end_row - begin_row, tile_rows) * ceil_div(count, panel);
    const int64_t wanted = next_count > 0 ? K * ceil_div(next_count, line) : 0, per_call = ceil_div(wanted, calls);
    const PixelPlace first = in.place(next);
    PixelPlace at = first;
    int64_t fetched_row = 0, fetched = 0;
    for (int64_t row = begin_row; row < end_row; row += tile_rows)
      for (int64_t j = 0; j < count; j += panel) {
        for (int64_t f = 0; f < per_call && fetched_row < K; ++f) {
          __builtin_prefetch(in.data + fetched_row * in.channel + at.image * in.batch + at.row * in.line + at.q, 0, 2);
          in.advance(at, line);
          if ((fetched += line) >= next_count) fetched = 0, ++fetched_row, at = first;
        }
        tile(packed, b + j / panel * panel_elements(), row, smaller(tile_rows, end_row - row), begin + j,
             smaller(panel, count - j));
      }
  }

  void tile(T* packed, const T* b, int64_t row, int64_t rows, int64_t col, int64_t cols) {
    T aside[mr * panel];
    TileArguments<P> t;
    t.b_stride = panel, t.a_stride = rows;
    t.c = aside, t.c_stride = panel;
    T* const image = out.data + row * out.channel;
    const int64_t q = col % out.length, vectors = ceil_div(cols, lanes);
    const bool in_place = !bias && activation == Activation::none && cols % lanes == 0 && q + cols <= out.length;
    if (in_place) {
      t.c = image + col / (out.lines * out.length) * out.batch + col / out.length % out.lines * out.line + q;
      t.c_stride = out.channel;
    }
    const Tile<P> multiply = find_tile<P, false>(rows, vectors);
    for (int64_t k = 0; k < K; k += kc) {
      t.depth = smaller(kc, K - k);
      t.a = weight_tile(packed, k, row);
      t.b = b + k * panel;
      t.add = k > 0;
      multiply(t);
    }
    if (in_place) return;
    if (bias)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < vectors * lanes; j += lanes)
          (Vec<T>::load(aside + i * panel + j) + Vec<T>(bias[row + i])).store(aside + i * panel + j);
    if (activation != Activation::none)
      finish_tile<T, T>({aside, panel, aside, panel, rows, vectors * lanes}, {nullptr, nullptr, activation});
    out.for_each_piece(col, cols, [&](int64_t offset, int64_t at, int64_t n) TG_INLINE_LAMBDA {
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < n; j += lanes)
          store_first(Vec<T>::load(aside + i * panel + at + j, n - j), image + i * out.channel + offset + j, n - j);
    });
  }
};

// dw[o][c] = sum over pixels of dy[o][pixel] x[c][pixel]. Workers share every step of a stage: packing, then multiplying.
template <class T> struct PointwiseWeight {
  using P = Products<T>;
  static constexpr int64_t lanes = Vec<T>::width;

  Pixels<T> x, dy;
  T* weight;
  int64_t C, O, workers, tile_rows, panel, block,
      stage;  // block: pixels whose products are one sum; stage: blocks packed at once

  PointwiseWeight(const Conv2d& c, int64_t group, int threads)
      : x(c.x, group * (c.x.channels / c.groups)),
        dy(c.y, group * (c.y.channels / c.groups)),
        C(c.x.channels / c.groups),
        O(c.y.channels / c.groups),
        workers(threads > 1 ? threads : 1) {
    weight = static_cast<T*>(c.weight) + group * O * C;
    tile_rows = balanced(O, mr, 1), panel = balanced(C, nr<P>, lanes);
    const int64_t image = c.x.height * c.x.width;
    block = image >= kc ? balanced(image, kc, 1) : kc / image * image;
    block = smaller(block, x.count());
    const int64_t most = (4 << 20) / ((O + C) * block * int64_t(sizeof(T)));
    stage = smaller(most > 1 ? most : 1, 8);
  }

  // Rows of dy and panels of x, of one block.
  int64_t a_row() const { return block + gap<P>; }
  int64_t panel_elements() const { return block * panel + gap<P>; }
  int64_t block_elements() const { return round_up(O * a_row() + ceil_div(C, panel) * panel_elements(), gap<P>); }
  // Sums are kept in the result where its rows are whole registers.
  bool in_place() const { return C % lanes == 0; }
  int64_t sums_row() const { return in_place() ? C : round_up(C, lanes); }
  size_t workspace() const { return size_t(stage * block_elements() + (in_place() ? 0 : O * sums_row())) * sizeof(T); }

  void run(const Launch& launch) {
    T* const packed = static_cast<T*>(launch.workspace);
    T* const sums = in_place() ? weight : packed + stage * block_elements();
    const int64_t count = x.count(), blocks = ceil_div(count, block), W = workers;
    auto each = [&](const auto& step) { parallel_for(launch, W, 1, [&](int64_t worker, int64_t) { step(worker); }); };
    for (int64_t first = 0; first < blocks; first += stage) {
      const int64_t n = smaller(stage, blocks - first), panels = ceil_div(C, panel), row_tiles = ceil_div(O, tile_rows);
      each([&](int64_t w) {
        for (int64_t i = 0; i < n; ++i) {
          const int64_t begin = (first + i) * block, terms = smaller(block, count - begin);
          T* const a = packed + i * block_elements();
          pack_rows(a, begin, terms, O * w / W, O * (w + 1) / W);
          pack_panels(a + O * a_row(), begin, terms, panels * w / W, panels * (w + 1) / W);
        }
      });
      each([&](int64_t w) {
        const int64_t tiles = row_tiles * panels;
        for (int64_t i = 0; i < n; ++i) {
          const T* const a = packed + i * block_elements();
          multiply(a, sums, smaller(block, count - (first + i) * block), first + i > 0, tiles * w / W, tiles * (w + 1) / W);
        }
      });
    }
    if (!in_place())
      for (int64_t o = 0; o < O; ++o)
        for (int64_t c = 0; c < C; c += lanes) Vec<T>::load(sums + o * sums_row() + c).store(weight + o * C + c, C - c);
  }

 private:
  [[gnu::noinline]] void pack_rows(T* to, int64_t begin, int64_t terms, int64_t row, int64_t end) const {
    dy.for_each_piece(begin, terms, [&](int64_t offset, int64_t at, int64_t n) TG_INLINE_LAMBDA {
      for (int64_t o = row; o < end; ++o) {
        const T* const from = dy.data + o * dy.channel + offset;
        for (int64_t q = 0; q < n; q += lanes) Vec<T>::load(from + q, n - q).store(to + o * a_row() + at + q, n - q);
      }
    });
  }

  void pack_panels(T* to, int64_t begin, int64_t terms, int64_t first, int64_t end) const {
    x.for_each_piece(begin, terms, [&](int64_t offset, int64_t at, int64_t n) {
      for (int64_t j = first; j < end; ++j) {
        const Source<T> from{x.data + j * panel * x.channel + offset, 1, x.channel};
        const int64_t cols = smaller(panel, C - j * panel), ld = round_up(cols, lanes);
        pack_columns<T>(from, n, cols, to + j * panel_elements() + at * ld, ld);
      }
    });
  }

  void multiply(const T* a, T* sums, int64_t terms, bool add, int64_t begin, int64_t end) const {
    const int64_t panels = ceil_div(C, panel);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / panels * tile_rows, j = i % panels, vectors = ceil_div(smaller(panel, C - j * panel), lanes);
      const TileArguments<P> t{terms,           a + row * a_row(),
                               a_row(),         a + O * a_row() + j * panel_elements(),
                               vectors * lanes, sums + row * sums_row() + j * panel,
                               sums_row(),      add};
      find_tile<P, true>(smaller(tile_rows, O - row), vectors)(t);
    }
  }
};

// --- the three products -----------------------------------------------------------------------------------------------
bool pointwise_suits(const Conv2d& c, Pass) {
  if (c.x.dtype != DType::f32 && c.x.dtype != DType::f64) return false;
  for (int d = 0; d < 2; ++d)
    if (c.kernel[d] != 1 || c.stride[d] != 1 || c.padding[d] != 0) return false;
  const Images &x = c.x, &y = c.y;
  if (x.height != y.height || x.width != y.width) return false;
  if (x.batch * x.height * x.width == 0) return false;
  return x.channels > c.groups || y.channels > c.groups;  // otherwise every channel is a group of its own
}

template <class T> static size_t workspace_of(const Conv2d& c, int threads, Pass pass) {
  if (pass == Pass::backward_weight) return PointwiseWeight<T>(c, 0, threads).workspace();
  return PointwiseProduct<T>(c, pass == Pass::backward_input, 0, threads).workspace();
}

template <class T> static void run(const Launch& launch, const Conv2d& c, Pass pass) {
  for (int64_t group = 0; group < c.groups; ++group) {
    if (pass == Pass::backward_weight) PointwiseWeight<T>(c, group, launch.threads).run(launch);
    else PointwiseProduct<T>(c, pass == Pass::backward_input, group, launch.threads).run(launch);
  }
}

static Status run(const Launch& launch, const Conv2d& c, Pass pass) {
  if (c.x.dtype == DType::f32) run<float>(launch, c, pass);
  else run<double>(launch, c, pass);
  return {};
}

size_t pointwise_workspace(const Conv2d& c, int threads, Pass pass) {
  return c.x.dtype == DType::f32 ? workspace_of<float>(c, threads, pass) : workspace_of<double>(c, threads, pass);
}
Status pointwise_forward(const Launch& launch, const Conv2d& c) { return run(launch, c, Pass::forward); }
Status pointwise_backward_input(const Launch& launch, const Conv2d& c) { return run(launch, c, Pass::backward_input); }
Status pointwise_backward_weight(const Launch& launch, const Conv2d& c) { return run(launch, c, Pass::backward_weight); }

}  // namespace tg::TG_ISA
