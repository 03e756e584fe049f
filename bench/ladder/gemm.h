// What the ladders share: a vector register as a type, and the packed matrix product that is the last rung but one of
// matmul.cpp and a step of the other three.
//
// The compiler's vector extension gives +, *, / over W floats at once; an expression a * b + c becomes one fused
// multiply-add. A matrix is a pointer with two strides, so transposing costs nothing: packing reads it in any order.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#if defined(__AVX512F__)
constexpr long W = 16, MR = 8, NV = 3;  // floats of a register; tile: rows, registers of a row. 24 of 32 registers are sums
#elif defined(__AVX__)
constexpr long W = 8, MR = 6, NV = 2;  // 12 of 16 registers
#else
constexpr long W = 4, MR = 6, NV = 2;
#endif
constexpr long NR = W * NV;
typedef float Vec __attribute__((vector_size(4 * W), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
inline Vec all(float x) { return x - Vec{}; }

struct Matrix {
  const float* p;
  long row, column;
};  // element (i, j) is p[i * row + j * column]

// c (MR, V * W) += a panel (k, MR) times b panel (k, NR): every loaded number is used MR or NR times. V is NV but for the last
// columns of c.
template <long V> inline void whole_tile(long k, const float* a, const float* b, float* c, long ldc) {
  Vec sum[MR][V] = {};
  for (long l = 0; l < k; ++l, a += MR, b += NR) {
    Vec row[V];
#pragma GCC unroll 4
    for (long j = 0; j < V; ++j) row[j] = load(b + j * W);
#pragma GCC unroll 8
    for (long i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (long j = 0; j < V; ++j) sum[i][j] += all(a[i]) * row[j];
  }
#pragma GCC unroll 8
  for (long i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (long j = 0; j < V; ++j) store(c + i * ldc + j * W, load(c + i * ldc + j * W) + sum[i][j]);
}
inline void registers(long count, long k, const float* a, const float* b, float* c, long ldc) {
  if (count == 1) whole_tile<1>(k, a, b, c, ldc);
  else if (count == 2) whole_tile<2>(k, a, b, c, ldc);
  else whole_tile<NV>(k, a, b, c, ldc);
}

// The same at the border of c, which has only so many rows and columns there: a whole tile beside it, of which they count.
inline void tile(long k, const float* a, const float* b, float* c, long ldc, long rows, long columns) {
  rows = std::min(rows, MR), columns = std::min(columns, NR);
  const long count = (columns + W - 1) / W;
  if (rows == MR && columns == count * W) return registers(count, k, a, b, c, ldc);
  float whole[MR * NR] = {};
  registers(count, k, a, b, whole, NR);
  for (long i = 0; i < rows; ++i)
    for (long j = 0; j < columns; ++j) c[i * ldc + j] += whole[i * NR + j];
}

// Panels of `width` columns: panel after panel, row after row, so that tile() reads memory in order. Zeros fill the last.
// Reads run along whichever side of m lies in order.
inline void pack(Matrix m, long rows, long columns, long width, float* out, bool threads = false) {
  const long panels = (columns + width - 1) / width;
#pragma omp parallel for if (threads)
  for (long panel = 0; panel < panels; ++panel) {
    const long count = std::min(width, columns - panel * width);
    const float* from = m.p + panel * width * m.column;
    float* const to = out + panel * rows * width;
    if (count < width) std::fill(to, to + rows * width, 0.0f);
    if (m.column == 1) {
      for (long i = 0; i < rows; ++i) std::copy_n(from + i * m.row, count, to + i * width);
    } else {
      for (long i = 0; i < rows; i += 16)  // few rows at a time: they stay in the cache until all columns are there
        for (long j = 0; j < count; ++j)
          for (long r = i; r < std::min(rows, i + 16); ++r) to[r * width + j] = from[r * m.row + j * m.column];
    }
  }
}

// c (m, n) += a (m, k) b (k, n). Blocks of b of K_BLOCK rows fill the second level of the cache with few panels at a time;
// blocks of M_BLOCK rows of a stay in it while all panels of b pass by.
constexpr long K_BLOCK = 512, M_BLOCK = 12 * MR;
inline void gemm(Matrix a, Matrix b, float* c, long ldc, long m, long n, long k, bool threads = false) {
  static thread_local std::vector<float> b_room;
  b_room.resize((n + NR) * K_BLOCK);
  float* const b_packed = b_room.data();
  for (long l = 0; l < k; l += K_BLOCK) {
    const long depth = std::min(K_BLOCK, k - l);
    pack({b.p + l * b.row, b.row, b.column}, depth, n, NR, b_packed, threads);
#pragma omp parallel for if (threads) schedule(dynamic)
    for (long i = 0; i < m; i += M_BLOCK) {
      static thread_local std::vector<float> a_room;
      a_room.resize(M_BLOCK * K_BLOCK);
      const long rows = std::min(M_BLOCK, m - i);
      pack({a.p + i * a.row + l * a.column, a.column, a.row}, depth, rows, MR, a_room.data());
      for (long j = 0; j < n; j += NR)
        for (long r = 0; r < rows; r += MR)
          tile(depth, a_room.data() + r * depth, b_packed + j * depth, c + (i + r) * ldc + j, ldc, rows - r, n - j);
    }
  }
}

// e^x for x <= 88: 2^n e^r with |r| <= ln 2 / 2, and a polynomial for e^r. Adding 1.5 * 2^23 leaves n in the low bits.
inline Vec exp(Vec x) {
  typedef int32_t Bits __attribute__((vector_size(4 * W), may_alias));
  x = x < all(-87.0f) ? all(-87.0f) : x;
  const Vec shifted = x * 1.442695041f + 12582912.0f, n = shifted - 12582912.0f;
  const Vec r = x - n * 0.693145751953125f - n * 1.428606765330187e-06f;
  const Vec p = 1.0f + r * (1.0f + r * (0.5f + r * (0.16666542f + r * (0.04166628f + r * (0.00836661f + r * 0.00139465f)))));
  return reinterpret_cast<Vec>(reinterpret_cast<Bits>(p) + (reinterpret_cast<Bits>(shifted) << 23));
}
inline Vec sigmoid(Vec x) {
  const Vec y = x < all(-87.0f) ? all(-87.0f) : x;
  return 1.0f / (1.0f + exp(-(y > all(87.0f) ? all(87.0f) : y)));
}
inline Vec tanh(Vec x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }
