// Cutting a strided view into tiles. A tile is part of two dims, rows x columns, chosen so that memory is walked in order:
//
//   long rows      1 x 1024               read where they lie whenever their stride is 1
//   short rows     1024/cols x cols       many rows to one call of a loop
//   transposed     32 x 32                an operand runs down columns; both sides use whole cache lines
//
// Dims may be walked in any order, so they are sorted by the stride of the output and merged again: an operation on
// transposed arrays of equal layout is then an operation on flat ones. Where an input runs down columns, the rows of a tile
// are the dim along which that input is closest in memory.
#pragma once
#include "kernels/cpu/strided_tile.h"

namespace tg::TG_ISA {

template <int N> struct TileWalk {
  int ndim = 0;
  int64_t shape[max_dims + 2];       // the last two are the dims of a tile, of size 1 where the view has fewer
  int64_t strides[N][max_dims + 2];  // 0 for an operand that is a number
  Side first[N];                     // the operands' first elements and their strides within a tile
  int element[N];                    // bytes
  int64_t rows, cols;                // of a full tile
  int64_t row_tiles, col_tiles;      // tiles down and across
  int64_t tiles = 1;                 // of the whole view

  explicit TileWalk(const Strided<N>& view) {
    if (view.ndim < 2) add_dim(1);
    if (view.ndim < 1) add_dim(1);
    for (int d = 0; d < view.ndim; ++d) {
      add_dim(view.shape[d]);
      for (int k = 0; k < N; ++k) strides[k][ndim - 1] = view.operand[k].data ? view.operand[k].strides[d] : 0;
      if (view.shape[d] == 0) tiles = 0;
    }
    if (view.ndim > 1 && tiles > 0) order_dims();
    const bool transposed = choose_rows();
    for (int k = 0; k < N; ++k) {
      first[k] = {static_cast<char*>(view.operand[k].data), strides[k][ndim - 2], strides[k][ndim - 1]};
      element[k] = size_of(view.operand[k].dtype);
    }
    const int64_t height = tiles > 0 ? shape[ndim - 2] : 1, width = tiles > 0 ? shape[ndim - 1] : 1;
    cols = smaller(width, transposed ? 32 : tile_elements);
    rows = smaller(height, cols >= 256 ? 1 : tile_elements / cols);
    if (transposed) cols = smaller(width, tile_elements / rows);  // a few long rows
    row_tiles = (height + rows - 1) / rows;
    col_tiles = (width + cols - 1) / cols;
    tiles *= row_tiles * col_tiles;
    for (int d = 0; d < ndim - 2; ++d) tiles *= shape[d];
  }

  // How many tiles have about so many elements.
  int64_t tiles_per(int64_t elements) const { return rows * cols < elements ? elements / (rows * cols) : 1; }

 private:
  static int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }
  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

  void add_dim(int64_t size) {
    shape[ndim] = size;
    for (int k = 0; k < N; ++k) strides[k][ndim] = 0;
    ++ndim;
  }

  void swap_dims(int a, int b) {
    const int64_t size = shape[a];
    shape[a] = shape[b], shape[b] = size;
    for (int k = 0; k < N; ++k) {
      const int64_t stride = strides[k][a];
      strides[k][a] = strides[k][b], strides[k][b] = stride;
    }
  }

  // Sorts the dims by falling stride of the output and merges neighbours that every operand walks as one.
  void order_dims() {
    for (int i = 1; i < ndim; ++i) {
      for (int d = i; d > 0 && magnitude(strides[0][d - 1]) < magnitude(strides[0][d]); --d) swap_dims(d - 1, d);
    }
    int merged = 0;
    for (int d = 1; d < ndim; ++d) {
      bool one = true;
      for (int k = 0; k < N; ++k) one = one && strides[k][merged] == strides[k][d] * shape[d];
      if (one) shape[merged] *= shape[d];
      else shape[++merged] = shape[d];
      for (int k = 0; k < N; ++k) strides[k][merged] = strides[k][d];
    }
    ndim = merged + 1;
    if (ndim == 1) {
      add_dim(1);
      swap_dims(0, 1);
    }
  }

  // Whether an input runs down columns; if so, the dim along which it is closest in memory becomes the rows.
  bool choose_rows() {
    const int last = ndim - 1;
    for (int k = 1; k < N; ++k) {
      int closest = last;
      for (int d = last - 1; d >= 0; --d) {
        if (strides[k][d] != 0 && magnitude(strides[k][d]) < magnitude(strides[k][closest])) closest = d;
      }
      if (closest != last) {
        swap_dims(closest, last - 1);
        return true;
      }
    }
    return false;
  }
};

// Calls body(sides, rows, cols) for the tiles of [begin, end): across, then down, then through the outer dims.
template <int N, class Body>
[[gnu::always_inline]] static inline void for_each_tile(const TileWalk<N>& walk, int64_t begin, int64_t end, const Body& body) {
  const int outer = walk.ndim - 2;
  const int64_t height = walk.shape[outer], width = walk.shape[outer + 1];
  int64_t left = begin;
  int64_t col = left % walk.col_tiles * walk.cols;
  left /= walk.col_tiles;
  int64_t row = left % walk.row_tiles * walk.rows;
  left /= walk.row_tiles;
  int64_t index[max_dims], offset[N] = {};  // of the outer dims
  for (int d = outer - 1; d >= 0; --d) {
    index[d] = left % walk.shape[d];
    left /= walk.shape[d];
    for (int k = 0; k < N; ++k) offset[k] += index[d] * walk.strides[k][d];
  }
  for (int64_t tile = begin; tile < end; ++tile) {
    Side side[N];
    for (int k = 0; k < N; ++k) {
      side[k] = walk.first[k];
      if (side[k].data) side[k].data += (offset[k] + row * side[k].row + col * side[k].col) * walk.element[k];
    }
    body(side, row + walk.rows < height ? walk.rows : height - row, col + walk.cols < width ? walk.cols : width - col);
    if ((col += walk.cols) < width) continue;
    col = 0;
    if ((row += walk.rows) < height) continue;
    row = 0;
    for (int d = outer - 1; d >= 0; --d) {
      for (int k = 0; k < N; ++k) offset[k] += walk.strides[k][d];
      if (++index[d] < walk.shape[d]) break;
      index[d] = 0;
      for (int k = 0; k < N; ++k) offset[k] -= walk.shape[d] * walk.strides[k][d];
    }
  }
}

}  // namespace tg::TG_ISA
