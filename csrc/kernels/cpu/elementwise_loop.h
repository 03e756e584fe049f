// How every elementwise kernel walks its operands. The arithmetic is one loop per functor and compute type over contiguous
// data; this driver, which does not know the functor, brings any view to that loop:
//
//   one dim, all strides 1, compute type     the loop runs on the arrays themselves: the common case, nothing in the way
//   everything else                          the view is cut into tiles (tile_walk.h); an operand that is strided, broadcast,
//                                            a number or a 16-bit float is copied into a buffer in the L1 cache, and the
//                                            loop runs on pointers that are now all contiguous
//
// So the bits of a result never depend on the layout, and there is no second loop to keep in step. Numbers and broadcast
// values are filled in once, not once per tile. The output may be one of the inputs: a tile is read before it is written.
// Parallel over pieces of the flat range or of the list of tiles.
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/tile_walk.h"

namespace tg::TG_ISA {

// data[0] is the output; n elements of every operand lie side by side.
using Loop = void (*)(void* const* data, int64_t n);

// Elements per piece of work: 32 KB of float32. An addition of 16384 elements takes 2 us, twice what a parallel region costs;
// from four pieces on two threads gain (measured on Zen 4).
inline constexpr int64_t elementwise_grain = 8192;
inline constexpr int64_t parallel_pieces = 4;

// One operand's tile as contiguous memory of the loop's type.
struct TileBuffer {
  alignas(64) char elements[tile_elements * 8];
  const char* source = nullptr;  // what is in it: the tile that starts here, of this shape
  int64_t rows = 0, cols = 0;
};

template <int N>
[[gnu::noinline]] static void run_tiles(const Strided<N>& view, const TileWalk<N>& walk, Loop loop, const DType* types,
                                        int64_t begin, int64_t end) {
  TileBuffer buffer[N];
  alignas(64) char raw[tile_elements * 2];  // 16-bit floats between strided memory and their conversion
  for (int k = 1; k < N; ++k) {
    if (!view.operand[k].data) fill_tile(buffer[k].elements, types[k], view.operand[k].scalar, walk.rows * walk.cols);
  }
  for_each_tile(walk, begin, end, [&](const Side(&side)[N], int64_t rows, int64_t cols) {
    const int64_t n = rows * cols;
    void* data[N];
    bool contiguous[N];
    for (int k = 0; k < N; ++k) {
      const auto& operand = view.operand[k];
      const bool convert = operand.dtype != types[k];
      contiguous[k] = (cols == 1 || side[k].col == 1) && (rows == 1 || side[k].row == cols);
      data[k] = buffer[k].elements;
      if (!operand.data) continue;  // a number, filled in above
      if (contiguous[k] && !convert) {
        data[k] = side[k].data;
      } else if (k > 0 && !(buffer[k].source == side[k].data && buffer[k].rows == rows && buffer[k].cols == cols)) {
        const char* source = side[k].data;
        if (!contiguous[k]) {
          char* target = convert ? raw : buffer[k].elements;
          move_tile({target, cols, 1}, side[k], size_of(operand.dtype), rows, cols);
          source = target;
        }
        if (convert) widen_tile(reinterpret_cast<float*>(buffer[k].elements), source, operand.dtype, n);
        buffer[k].source = side[k].data;
        buffer[k].rows = rows;
        buffer[k].cols = cols;
      }
    }

    loop(data, n);

    if (data[0] != buffer[0].elements) return;  // already in its place
    const DType out = view.operand[0].dtype;
    char* result = buffer[0].elements;
    if (out != types[0]) {
      char* target = contiguous[0] ? side[0].data : raw;
      narrow_tile(target, out, reinterpret_cast<const float*>(result), n);
      result = target;
    }
    if (!contiguous[0]) move_tile(side[0], {result, cols, 1}, size_of(out), rows, cols);
  });
}

template <int N>
[[gnu::noinline]] static void run_strided(const Launch& launch, const Strided<N>& view, Loop loop, const DType* types) {
  const TileWalk<N> walk(view);
  const int64_t grain = walk.tiles_per(elementwise_grain);
  if (walk.tiles < parallel_pieces * grain) return run_tiles<N>(view, walk, loop, types, 0, walk.tiles);
  parallel_for(launch, walk.tiles, grain,
               [&](int64_t begin, int64_t end) { run_tiles<N>(view, walk, loop, types, begin, end); });
}

template <int N>
[[gnu::noinline]] static void run_flat(const Launch& launch, const Strided<N>& view, Loop loop, const DType* types, int64_t n) {
  parallel_for(launch, n, elementwise_grain, [&](int64_t begin, int64_t end) {
    void* data[N];
    for (int k = 0; k < N; ++k) data[k] = static_cast<char*>(view.operand[k].data) + begin * size_of(types[k]);
    loop(data, end - begin);
  });
}

// Applies the loop to the whole view. types[k] is what the loop reads and writes for operand k.
template <int N>
[[gnu::always_inline]] static inline Status run_elementwise(const Launch& launch, const Strided<N>& view, Loop loop,
                                                            const DType (&types)[N]) {
  if (!loop) return {Status::missing, 0};
  if (view.ndim <= 1) {
    const int64_t n = view.ndim ? view.shape[0] : 1;
    bool flat = true;
    void* data[N];
    for (int k = 0; k < N; ++k) {
      const auto& operand = view.operand[k];
      data[k] = operand.data;
      flat = flat && operand.data && operand.dtype == types[k] && (view.ndim == 0 || operand.strides[0] == 1);
    }
    if (flat) {
      if (n < parallel_pieces * elementwise_grain) loop(data, n);
      else run_flat<N>(launch, view, loop, types, n);
      return {};
    }
  }
  run_strided<N>(launch, view, loop, types);
  return {};
}

}  // namespace tg::TG_ISA
