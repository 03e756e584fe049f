// copy: out[i] = in[i] from any element type to any other, any strides on both sides; the input may be a number (a fill).
//
//   float -> integer   towards zero. NaN becomes 0; int64 and int32 stop at their smallest and largest value; int8 and uint8
//                      keep the low 8 bits of the int32, as PyTorch does, so that -1.0 becomes 255
//   integer -> integer keeps the low bits
//   anything -> bool   whether it is not zero (a NaN is not zero)
//   -> bfloat16, float16   to nearest, ties to even, by way of float32
//
// Cost: bytes read plus bytes written. Equal types side by side are a memcpy, rows of them go one by one (copy_bytes.h). A
// transposed copy goes in blocks of one cache line by as many rows as a register has lanes:
//
//     in (columns of the output)      out
//     ................ line 0         v v v v     each line is read once and written once; of 8- and 16-bit types tiles
//     ................ line 1         v v v v     of 32 x 32 go through a buffer (strided_tile.h)
//     :                               : : : :
//
// Results of 16 MB and more go past the cache.
#include "kernels/cpu/copy_bytes.h"
#include "kernels/cpu/elementwise_loop.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

template <class T> constexpr bool is_16_bit_float = dtype_of<T> == DType::bf16 || dtype_of<T> == DType::f16;

// The nearest value of Whole (int32_t or int64_t), towards zero. The limits are powers of two, exact in F.
template <class Whole, class F> [[gnu::always_inline]] static inline Whole truncated(F x) {
  constexpr F limit = sizeof(Whole) == 8 ? F(0x1p63) : F(0x1p31);
  constexpr Whole smallest = static_cast<Whole>(uint64_t{1} << (8 * sizeof(Whole) - 1));
  if (x != x) return 0;
  if (x >= limit) return ~smallest;
  if (x < -limit) return smallest;
  return static_cast<Whole>(x);
}

template <class To, class From> [[gnu::always_inline]] static inline To converted(From x) {
  constexpr DType to = dtype_of<To>;
  if constexpr (is_16_bit_float<From>) return converted<To>(to_float(x));
  else if constexpr (to == DType::bf16) return to_bf16(static_cast<float>(x));
  else if constexpr (to == DType::f16) return to_f16(static_cast<float>(x));
  else if constexpr (to == DType::b8) return x != 0;
  else if constexpr (is_floating(dtype_of<From>) && to == DType::i64) return truncated<int64_t>(x);
  else if constexpr (is_floating(dtype_of<From>) && is_integral(to)) return static_cast<To>(truncated<int32_t>(x));
  else return static_cast<To>(x);
}

// Registers in and out. A large memcpy is `rep movsb`, which takes half as long again in the caches of Zen 4.
static void copy_bytes(char* out, const char* in, int64_t bytes) {
  using V = Vec<float>;
  constexpr int64_t width = V::width * 4;
  int64_t i = 0;
  for (; i + width <= bytes; i += width) {
    V v;
    __builtin_memcpy(&v, in + i, sizeof v);
    __builtin_memcpy(out + i, &v, sizeof v);
  }
  if (i < bytes) copy_row(out + i, in + i, bytes - i);
}

template <class To, class From> static void convert_loop(void* const* data, int64_t n, unsigned) {
  To* out = static_cast<To*>(data[0]);
  const From* in = static_cast<const From*>(data[1]);
  constexpr bool halves =
      (is_16_bit_float<To> && dtype_of<From> == DType::f32) || (is_16_bit_float<From> && dtype_of<To> == DType::f32);
  if constexpr (dtype_of<To> == dtype_of<From>)
    copy_bytes(static_cast<char*>(data[0]), static_cast<const char*>(data[1]), n * int64_t{sizeof(To)});
  else if constexpr (halves) convert_floats(out, in, n);
  else
    for (int64_t i = 0; i < n; ++i) out[i] = converted<To>(in[i]);
}

static Loop loop_for(DType to, DType from) {
  return visit(to, [&]<class To>() { return visit(from, []<class From>() -> Loop { return convert_loop<To, From>; }); });
}

// --- one type: elements are moved, not computed --------------------------------------------------------------------------
static constexpr int64_t piece_bytes = 32768;   // work per piece, and the longest stretch of a row
static constexpr int64_t long_row_bytes = 64;   // shorter rows share tiles
static constexpr int64_t transposed_tile = 64;  // rows and columns of a tile: whole cache lines on both sides

// Rows that lie side by side on both sides: the units [begin, end), a unit being a row or a stretch of it.
template <bool streamed> static void move_rows(const TileWalk<2>& walk, int64_t stretches, int64_t begin, int64_t end) {
  const int outer = walk.ndim - 1, element = walk.element[0];
  const int64_t row_bytes = walk.shape[outer] * element;
  int64_t stretch = begin % stretches, row = begin / stretches, index[max_dims + 2], to = 0, from = 0;
  for (int d = outer - 1; d >= 0; --d) {
    index[d] = row % walk.shape[d];
    row /= walk.shape[d];
    to += index[d] * walk.strides[0][d] * element, from += index[d] * walk.strides[1][d] * element;
  }
  const int inner = outer - 1;  // the dim that rows follow each other along
  const int64_t to_next = walk.strides[0][inner] * element, from_next = walk.strides[1][inner] * element;
  for (int64_t unit = begin; unit < end;) {
    char* out = walk.first[0].data + to;
    const char* in = walk.first[1].data + from;
    if (stretches == 1) {
      const int64_t rows = walk.shape[inner] - index[inner], count = rows < end - unit ? rows : end - unit;
      for (int64_t i = 0; i < count; ++i, out += to_next, in += from_next) copy_bytes<streamed>(out, in, row_bytes);
      unit += count, index[inner] += count;
      to += count * to_next, from += count * from_next;
    } else {
      const int64_t start = stretch * piece_bytes, bytes = stretch + 1 < stretches ? piece_bytes : row_bytes - start;
      copy_bytes<streamed>(out + start, in + start, bytes);
      ++unit;
      if (++stretch < stretches) continue;
      stretch = 0;
      ++index[inner];
      to += to_next, from += from_next;
    }
    for (int d = inner; d > 0 && index[d] == walk.shape[d]; --d) {
      index[d] = 0, ++index[d - 1];
      to += (walk.strides[0][d - 1] - walk.shape[d] * walk.strides[0][d]) * element;
      from += (walk.strides[1][d - 1] - walk.shape[d] * walk.strides[1][d]) * element;
    }
  }
  if constexpr (streamed) stream_end();
}

static void run_rows(const Launch& launch, const TileWalk<2>& walk) {
  const int last = walk.ndim - 1;
  int64_t rows = 1;
  for (int d = 0; d < last; ++d) rows *= walk.shape[d];
  const int64_t row_bytes = walk.shape[last] * walk.element[0];
  const int64_t stretches = row_bytes < 2 * piece_bytes ? 1 : (row_bytes + piece_bytes - 1) / piece_bytes;
  const bool streamed = rows * row_bytes >= streamed_bytes && row_bytes >= 256;
  parallel_for(launch, rows * stretches, row_bytes < piece_bytes ? piece_bytes / row_bytes : 1,
               [&](int64_t begin, int64_t end) {
                 streamed ? move_rows<true>(walk, stretches, begin, end) : move_rows<false>(walk, stretches, begin, end);
               });
}

// A tile whose input runs down columns, in blocks that are transposed in registers: cache lines are used whole at once on
// both sides, so it does no harm that a power-of-two stride maps them all to a few places of the cache.
template <class T, bool streamed> static void transpose_tile(const Side& to, const Side& from, int64_t rows, int64_t cols) {
  constexpr int64_t n = Vec<T>::width, line = 64 / sizeof(T);
  T* const out = reinterpret_cast<T*>(to.data);
  const T* const in = reinterpret_cast<const T*>(from.data);
  for (int64_t c0 = 0; c0 < cols; c0 += line) {
    for (int64_t r = 0; r < rows; r += n) {
      for (int64_t c = c0; c < c0 + line && c < cols; c += n) {
        Vec<T> block[n];
        if (r + n <= rows && c + n <= cols) {
#pragma GCC unroll 16
          for (int64_t i = 0; i < n; ++i) block[i] = Vec<T>::load(in + r + (c + i) * from.col);
          transpose(block);
#pragma GCC unroll 16
          for (int64_t i = 0; i < n; ++i) put<streamed>(block[i], out + (r + i) * to.row + c, n);
        } else {
          for (int64_t i = 0; i < n; ++i)
            block[i] = c + i < cols ? Vec<T>::load(in + r + (c + i) * from.col, rows - r) : Vec<T>(T(0));
          transpose(block);
          for (int64_t i = 0; i < n && r + i < rows; ++i) block[i].store(out + (r + i) * to.row + c, cols - c);
        }
      }
    }
  }
}

static bool on_cache_lines(const TileWalk<2>& walk) {
  bool whole = stream_aligned(walk.first[0].data);
  for (int d = 0; d < walk.ndim - 1; ++d) whole = whole && walk.strides[0][d] * walk.element[0] % 64 == 0;
  return whole;
}

static void run_transposed(const Launch& launch, TileWalk<2>& walk) {
  auto smaller = [](int64_t a, int64_t b) { return a < b ? a : b; };
  const int last = walk.ndim - 1;
  const int64_t height = walk.shape[last - 1], width = walk.shape[last];
  const int64_t area = transposed_tile * transposed_tile;
  walk.rows = smaller(height, transposed_tile), walk.cols = smaller(width, transposed_tile);
  if (height < transposed_tile) walk.cols = smaller(width, area / height / transposed_tile * transposed_tile);
  else if (width < transposed_tile) walk.rows = smaller(height, area / width / transposed_tile * transposed_tile);
  const int64_t tiles = walk.row_tiles * walk.col_tiles;
  walk.row_tiles = (height + walk.rows - 1) / walk.rows;
  walk.col_tiles = (width + walk.cols - 1) / walk.cols;
  walk.tiles = walk.tiles / tiles * walk.row_tiles * walk.col_tiles;
  int64_t bytes = walk.element[0];
  for (int d = 0; d <= last; ++d) bytes *= walk.shape[d];
  const bool streamed = bytes >= streamed_bytes && sizeof(Vec<float>) >= 32 && on_cache_lines(walk);
  parallel_for(launch, walk.tiles, walk.tiles_per(elementwise_grain), [&](int64_t begin, int64_t end) {
    for_each_tile(walk, begin, end, [&](const Side(&side)[2], int64_t rows, int64_t cols) {
      if (walk.element[0] == 4) {
        streamed ? transpose_tile<float, true>(side[0], side[1], rows, cols)
                 : transpose_tile<float, false>(side[0], side[1], rows, cols);
      } else {
        streamed ? transpose_tile<double, true>(side[0], side[1], rows, cols)
                 : transpose_tile<double, false>(side[0], side[1], rows, cols);
      }
    });
    if (streamed) stream_end();
  });
}

static void run_tiles_of(const Launch& launch, const TileWalk<2>& walk) {
  const int element = walk.element[0];
  parallel_for(launch, walk.tiles, walk.tiles_per(elementwise_grain), [&](int64_t begin, int64_t end) {
    alignas(64) char buffer[tile_elements * 8];
    for_each_tile(walk, begin, end, [&](const Side(&side)[2], int64_t rows, int64_t cols) {
      const Side &out = side[0], &in = side[1];
      const bool transposed = (out.col == 1 && in.row == 1) || (out.row == 1 && in.col == 1);
      if (transposed && rows >= 8 && cols >= 8) {
        // Transposed. Directly, a block would need lines of both sides, and equal power-of-two strides make them collide.
        move_tile({buffer, cols, 1}, in, element, rows, cols);
        move_tile(out, {buffer, cols, 1}, element, rows, cols);
      } else {
        move_tile(out, in, element, rows, cols);
      }
    });
  });
}

static void move_strided(const Launch& launch, const Strided<2>& view) {
  TileWalk<2> walk(view);
  const int last = walk.ndim - 1;
  const Side &out = walk.first[0], &in = walk.first[1];
  if (walk.tiles == 0) return;
  if (out.col == 1 && in.col == 1 && walk.shape[last] * walk.element[0] >= long_row_bytes) return run_rows(launch, walk);
  const bool by_column = out.col == 1 && in.row == 1 && walk.element[0] >= 4;
  if (by_column && walk.shape[last] >= 8 && walk.shape[last - 1] >= 8) return run_transposed(launch, walk);
  run_tiles_of(launch, walk);
}

Status copy(const Launch& launch, const Strided<2>& view) {
  const DType to = view.operand[0].dtype, from = view.operand[1].data ? view.operand[1].dtype : to;
  const bool flat = view.ndim == 0 || (view.ndim == 1 && view.operand[0].strides[0] == 1 && view.operand[1].strides[0] == 1);
  if (to == from && view.operand[1].data && !flat) {
    move_strided(launch, view);
    return {};
  }
  return run_elementwise<2>(launch, view, loop_for(to, from), {to, from});
}

}  // namespace tg::TG_ISA
