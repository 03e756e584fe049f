// Moving rectangles of elements between strided memory and small contiguous buffers: what lets every elementwise kernel be
// one loop over contiguous data. A tile has at most `tile_elements` elements, so its buffer stays in the L1 cache. It covers
// part of the two innermost dims of a view:
//
//   long rows      1 x 1024               read where they lie whenever their stride is 1
//   short rows     1024/cols x cols       many rows to one call of the loop
//   transposed     32 x 32                one operand runs down columns; both sides use whole cache lines
//
// A transposed tile is moved in 8 x 8 blocks: such a block touches eight cache lines of the far side, which an 8-way L1 cache
// holds even when a power-of-two row length maps them all to one set, and the blocks below it use the rest of those lines
// before they are dropped.
#pragma once
#include <cstring>

#include "core/dtype.h"
#include "kernels/cpu/simd.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

inline constexpr int64_t tile_elements = 1024;

// A number's bits without its meaning: moving bytes needs no type, only a size, and may_alias makes that legal.
template <class U> struct [[gnu::may_alias]] Bits { U bits; };

// One side of a move: where row 0, column 0 is, and how many elements lie between rows and between columns.
struct Side {
  char* data;
  int64_t row, col;
};

template <class U>
[[gnu::always_inline]] static inline void move_block(const Side& to, const Side& from, int64_t r0, int64_t rows, int64_t c0,
                                                     int64_t cols) {
  auto* out = reinterpret_cast<Bits<U>*>(to.data) + r0 * to.row + c0 * to.col;
  const auto* in = reinterpret_cast<const Bits<U>*>(from.data) + r0 * from.row + c0 * from.col;
  for (int64_t c = 0; c < cols; ++c) {
    for (int64_t r = 0; r < rows; ++r) out[r * to.row + c * to.col].bits = in[r * from.row + c * from.col].bits;
  }
}

template <class U> static void move_elements(const Side& to, const Side& from, int64_t rows, int64_t cols) {
  auto* out = reinterpret_cast<Bits<U>*>(to.data);
  const auto* in = reinterpret_cast<const Bits<U>*>(from.data);
  if (to.col == 1 && from.col == 1) {
    for (int64_t r = 0; r < rows; ++r) memcpy(out + r * to.row, in + r * from.row, static_cast<size_t>(cols) * sizeof(U));
  } else if (to.col == 1 && from.col == 0) {
    for (int64_t r = 0; r < rows; ++r) {
      const U value = in[r * from.row].bits;
      for (int64_t c = 0; c < cols; ++c) out[r * to.row + c].bits = value;
    }
  } else if (from.row == 1 || to.row == 1) {  // transposed
    for (int64_t c0 = 0; c0 < cols; c0 += 8) {
      for (int64_t r0 = 0; r0 < rows; r0 += 8) {
        if (c0 + 8 <= cols && r0 + 8 <= rows) move_block<U>(to, from, r0, 8, c0, 8);
        else move_block<U>(to, from, r0, r0 + 8 < rows ? 8 : rows - r0, c0, c0 + 8 < cols ? 8 : cols - c0);
      }
    }
  } else {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) out[r * to.row + c * to.col].bits = in[r * from.row + c * from.col].bits;
    }
  }
}

// Moves `rows` x `cols` elements of `element` bytes.
static inline void move_tile(const Side& to, const Side& from, int element, int64_t rows, int64_t cols) {
  switch (element) {
    case 1: return move_elements<uint8_t>(to, from, rows, cols);
    case 2: return move_elements<uint16_t>(to, from, rows, cols);
    case 4: return move_elements<uint32_t>(to, from, rows, cols);
    default: return move_elements<uint64_t>(to, from, rows, cols);
  }
}

// The tiling of a view.
template <int N> struct TileWalk {
  const Strided<N>& view;
  int64_t height = 1, width = 1;        // the two innermost dims
  int64_t rows, cols;                   // of a full tile
  int64_t row_tiles, col_tiles, tiles;  // tiles down, tiles across, all tiles
  Side step[N];                         // the operands' strides in those dims

  explicit TileWalk(const Strided<N>& v) : view(v) {
    const int last = v.ndim - 1;
    if (v.ndim > 0) width = v.shape[last];
    if (v.ndim > 1) height = v.shape[last - 1];
    tiles = height > 0 && width > 0 ? 1 : 0;
    bool transposed = false;
    for (int k = 0; k < N; ++k) {
      step[k] = {static_cast<char*>(v.operand[k].data), v.ndim > 1 ? v.operand[k].strides[last - 1] : 0,
                 v.ndim > 0 ? v.operand[k].strides[last] : 1};
      if (step[k].data && step[k].row != 0) transposed |= magnitude(step[k].col) > magnitude(step[k].row);
    }
    if (tiles == 0) width = height = 1;  // an empty view: no tile, but nothing to divide by zero either
    cols = smaller(width, transposed ? 32 : tile_elements);
    rows = smaller(height, cols >= 256 ? 1 : tile_elements / cols);
    if (transposed) cols = smaller(width, tile_elements / rows);  // a few long rows
    row_tiles = (height + rows - 1) / rows;
    col_tiles = (width + cols - 1) / cols;
    tiles *= row_tiles * col_tiles;
    for (int d = 0; d < v.ndim - 2; ++d) tiles *= v.shape[d];
  }

  // How many tiles have about so many elements.
  int64_t tiles_per(int64_t elements) const { return rows * cols < elements ? elements / (rows * cols) : 1; }

 private:
  static int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }
  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
};

// Calls body(sides, rows, cols) for the tiles of [begin, end): across, then down, then through the outer dims.
template <int N, class Body>
[[gnu::always_inline]] static inline void for_each_tile(const TileWalk<N>& walk, int64_t begin, int64_t end, const Body& body) {
  const Strided<N>& view = walk.view;
  int64_t left = begin;
  int64_t col = left % walk.col_tiles * walk.cols;
  left /= walk.col_tiles;
  int64_t row = left % walk.row_tiles * walk.rows;
  left /= walk.row_tiles;
  int64_t index[max_dims], offset[N] = {};  // of the outer dims
  for (int d = view.ndim - 3; d >= 0; --d) {
    index[d] = left % view.shape[d];
    left /= view.shape[d];
    for (int k = 0; k < N; ++k) offset[k] += index[d] * view.operand[k].strides[d];
  }
  for (int64_t tile = begin; tile < end; ++tile) {
    Side side[N];
    for (int k = 0; k < N; ++k) {
      const int64_t elements = offset[k] + row * walk.step[k].row + col * walk.step[k].col;
      side[k] = walk.step[k];
      if (side[k].data) side[k].data += elements * size_of(view.operand[k].dtype);
    }
    body(side, row + walk.rows < walk.height ? walk.rows : walk.height - row,
         col + walk.cols < walk.width ? walk.cols : walk.width - col);
    if ((col += walk.cols) < walk.width) continue;
    col = 0;
    if ((row += walk.rows) < walk.height) continue;
    row = 0;
    for (int d = view.ndim - 3; d >= 0; --d) {
      for (int k = 0; k < N; ++k) offset[k] += view.operand[k].strides[d];
      if (++index[d] < view.shape[d]) break;
      index[d] = 0;
      for (int k = 0; k < N; ++k) offset[k] -= view.shape[d] * view.operand[k].strides[d];
    }
  }
}

// buffer[0..n) = the number, as type T.
static inline void fill_tile(void* buffer, DType type, const Scalar& number, int64_t n) {
  visit(type, [&]<class T>() {
    T value;
    if constexpr (dtype_of<T> == DType::f32 || dtype_of<T> == DType::f64) value = static_cast<T>(number.real);
    else if constexpr (dtype_of<T> == DType::bf16) value = to_bf16(static_cast<float>(number.real));
    else if constexpr (dtype_of<T> == DType::f16) value = to_f16(static_cast<float>(number.real));
    else if constexpr (dtype_of<T> == DType::b8) value = number.integer != 0 || number.real != 0;
    else value = static_cast<T>(number.integer);
    T* out = static_cast<T*>(buffer);
    for (int64_t i = 0; i < n; ++i) out[i] = value;
  });
}

// Contiguous conversion between a 16-bit float and the float32 that kernels compute in: whole vectors, then a masked one.
template <class To, class From> static void convert_floats(To* out, const From* in, int64_t n) {
  using V = Vec<float>;
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::load(in + i).store(out + i);
  if (i < n) V::load(in + i, n - i).store(out + i, n - i);
}

static inline void widen_tile(float* out, const void* in, DType type, int64_t n) {
  if (type == DType::bf16) convert_floats(out, static_cast<const bf16*>(in), n);
  else convert_floats(out, static_cast<const f16*>(in), n);
}

static inline void narrow_tile(void* out, DType type, const float* in, int64_t n) {
  if (type == DType::bf16) convert_floats(static_cast<bf16*>(out), in, n);
  else convert_floats(static_cast<f16*>(out), in, n);
}

}  // namespace tg::TG_ISA
