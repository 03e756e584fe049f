// Moving rectangles of elements between strided memory and small contiguous buffers: what lets every elementwise kernel be
// one loop over contiguous data. A tile has at most `tile_elements` elements, so its buffer stays in the L1 cache.
//
// A transposed tile is moved in square blocks that are transposed in registers: four vectors of four float32 are read down
// the columns and written along the rows. Going down a few columns before the next ones uses up their cache lines while an
// 8-way L1 cache still has them, even when a power-of-two row length maps them all to one set.
#pragma once
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <cstring>

#include "core/dtype.h"
#include "kernels/cpu/simd.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

inline constexpr int64_t tile_elements = 1024;

// A number's bits without its meaning: moving bytes needs no type, only a size, and may_alias makes that legal.
template <int bytes> struct BitsOf;
template <> struct BitsOf<1> { using type [[gnu::may_alias]] = uint8_t; };
template <> struct BitsOf<2> { using type [[gnu::may_alias]] = uint16_t; };
template <> struct BitsOf<4> { using type [[gnu::may_alias]] = uint32_t; };
template <> struct BitsOf<8> { using type [[gnu::may_alias]] = uint64_t; };

// One side of a move: where row 0, column 0 is, and how many elements lie between rows and between columns.
struct Side {
  char* data;
  int64_t row, col;
};

// Copies a row. The rows of a tile are short, and a call of memcpy would take longer than they do. The last piece overlaps the
// one before it, so that no length needs single elements.
[[gnu::always_inline]] static inline void copy_row(char* to, const char* from, int64_t bytes) {
  if (bytes > 256) {
    memcpy(to, from, static_cast<size_t>(bytes));
  } else if (bytes >= 32) {
    for (int64_t i = 0; i + 32 < bytes; i += 32) __builtin_memcpy(to + i, from + i, 32);
    __builtin_memcpy(to + bytes - 32, from + bytes - 32, 32);
  } else if (bytes >= 16) {
    __builtin_memcpy(to, from, 16);
    __builtin_memcpy(to + bytes - 16, from + bytes - 16, 16);
  } else {
    if (bytes & 8) __builtin_memcpy(to, from, 8), to += 8, from += 8;
    if (bytes & 4) __builtin_memcpy(to, from, 4), to += 4, from += 4;
    if (bytes & 2) __builtin_memcpy(to, from, 2), to += 2, from += 2;
    if (bytes & 1) *to = *from;
  }
}

// Moves rows [r0, r1) x columns [c0, c1) one element at a time. Strides are copied: the stores might change the originals,
// for all the compiler knows.
template <int bytes>
[[gnu::always_inline]] static inline void move_block(const Side to, const Side from, int64_t r0, int64_t r1, int64_t c0,
                                                     int64_t c1) {
  using U = typename BitsOf<bytes>::type;
  for (int64_t r = r0; r < r1; ++r) {
    U* out = reinterpret_cast<U*>(to.data) + r * to.row;
    const U* in = reinterpret_cast<const U*>(from.data) + r * from.row;
    for (int64_t c = c0; c < c1; ++c) out[c * to.col] = in[c * from.col];
  }
}

#ifdef __SSE2__
// The lower or upper halves of two vectors, element by element in turn.
template <int bytes> [[gnu::always_inline]] static inline __m128i zip_low(__m128i a, __m128i b) {
  if constexpr (bytes == 1) return _mm_unpacklo_epi8(a, b);
  else if constexpr (bytes == 2) return _mm_unpacklo_epi16(a, b);
  else if constexpr (bytes == 4) return _mm_unpacklo_epi32(a, b);
  else return _mm_unpacklo_epi64(a, b);
}
template <int bytes> [[gnu::always_inline]] static inline __m128i zip_high(__m128i a, __m128i b) {
  if constexpr (bytes == 1) return _mm_unpackhi_epi8(a, b);
  else if constexpr (bytes == 2) return _mm_unpackhi_epi16(a, b);
  else if constexpr (bytes == 4) return _mm_unpackhi_epi32(a, b);
  else return _mm_unpackhi_epi64(a, b);
}

// A block of n x n elements, n of them to a vector: `in` has rows side by side, `out` has columns side by side. Zipping
// vector i with vector i + n/2 rotates the bits of every element's (vector, lane) number; log2(n) times exchanges the two.
template <int bytes> [[gnu::always_inline]] static inline void transpose_block(char* out, int64_t row, const char* in,
                                                                               int64_t col) {
  constexpr int n = 16 / bytes;
  __m128i v[n], zipped[n];
  for (int c = 0; c < n; ++c) v[c] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + c * col * bytes));
  for (int round = 1; round < n; round *= 2) {
    for (int i = 0; i < n / 2; ++i) {
      zipped[2 * i] = zip_low<bytes>(v[i], v[i + n / 2]);
      zipped[2 * i + 1] = zip_high<bytes>(v[i], v[i + n / 2]);
    }
    for (int i = 0; i < n; ++i) v[i] = zipped[i];
  }
  for (int r = 0; r < n; ++r) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + r * row * bytes), v[r]);
}
#else
template <int bytes> [[gnu::always_inline]] static inline void transpose_block(char* out, int64_t row, const char* in,
                                                                               int64_t col) {
  constexpr int n = 16 / bytes;
  move_block<bytes>({out, row, 1}, {const_cast<char*>(in), 1, col}, 0, n, 0, n);
}
#endif

// The last few columns of a transposed tile: as many streams side by side.
template <int bytes, int count> static void move_few_columns(const Side to, const Side from, int64_t rows, int64_t first) {
  using U = typename BitsOf<bytes>::type;
  const int64_t row = to.row, col = from.col;
  U* out = reinterpret_cast<U*>(to.data) + first;
  const U* in = reinterpret_cast<const U*>(from.data) + first * col;
  for (int64_t r = 0; r < rows; ++r, out += row, ++in) {
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) out[c] = in[c * col];
  }
}

// from.row == 1 and to.col == 1.
template <int bytes> static void move_transposed(const Side& to, const Side& from, int64_t rows, int64_t cols) {
  constexpr int64_t n = 16 / bytes;
  const int64_t whole_rows = rows - rows % n, whole_cols = cols - cols % n;
  for (int64_t c = 0; c < whole_cols; c += n) {
    for (int64_t r = 0; r < whole_rows; r += n) {
      transpose_block<bytes>(to.data + (r * to.row + c) * bytes, to.row, from.data + (r + c * from.col) * bytes, from.col);
    }
  }
  if (cols == 1) return move_few_columns<bytes, 1>(to, from, rows, 0);
  if (cols == 2) return move_few_columns<bytes, 2>(to, from, rows, 0);
  if (cols == 3) return move_few_columns<bytes, 3>(to, from, rows, 0);
  move_block<bytes>(to, from, whole_rows, rows, 0, cols);
  if (cols - whole_cols == 1) return move_few_columns<bytes, 1>(to, from, whole_rows, whole_cols);
  if (cols - whole_cols == 2) return move_few_columns<bytes, 2>(to, from, whole_rows, whole_cols);
  if (cols - whole_cols == 3) return move_few_columns<bytes, 3>(to, from, whole_rows, whole_cols);
  move_block<bytes>(to, from, 0, whole_rows, whole_cols, cols);
}

template <int bytes> static void move_elements(const Side& to, const Side& from, int64_t rows, int64_t cols) {
  using U = typename BitsOf<bytes>::type;
  if (to.col == 1 && from.col == 1) {
    for (int64_t r = 0; r < rows; ++r) copy_row(to.data + r * to.row * bytes, from.data + r * from.row * bytes, cols * bytes);
  } else if (to.col == 1 && from.col == 0) {
    for (int64_t r = 0; r < rows; ++r) {
      U* out = reinterpret_cast<U*>(to.data) + r * to.row;
      const U value = reinterpret_cast<const U*>(from.data)[r * from.row];
      for (int64_t c = 0; c < cols; ++c) out[c] = value;
    }
  } else if (to.col == 1 && from.row == 1) {
    move_transposed<bytes>(to, from, rows, cols);
  } else if (to.row == 1 && from.col == 1) {  // the same with rows and columns exchanged
    move_transposed<bytes>({to.data, to.col, to.row}, {from.data, from.col, from.row}, cols, rows);
  } else {
    move_block<bytes>(to, from, 0, rows, 0, cols);
  }
}

// Moves `rows` x `cols` elements of `element` bytes.
static inline void move_tile(const Side& to, const Side& from, int element, int64_t rows, int64_t cols) {
  switch (element) {
    case 1: return move_elements<1>(to, from, rows, cols);
    case 2: return move_elements<2>(to, from, rows, cols);
    case 4: return move_elements<4>(to, from, rows, cols);
    default: return move_elements<8>(to, from, rows, cols);
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
