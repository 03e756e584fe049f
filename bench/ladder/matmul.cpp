// From three loops to the shipped matrix product: c (m, n) = a (m, k) @ b (k, n), all row-major.
//
// Every rung computes the same thing; the comment says what it removes and what limits it now. A core can do two fused
// multiply-adds of whole registers a cycle: everything else a rung does beside them is what the next rung takes away.
#include "gemm.h"
#include "scalar.h"

extern "C" {

// 1. The definition. The inner loop walks down a column of b: each number comes from another cache line, and each addition
// waits four cycles for the one before it.
ONE_AT_A_TIME void three_loops(const float* a, const float* b, float* c, long m, long n, long k) {
  for (long i = 0; i < m; ++i)
    for (long j = 0; j < n; ++j) {
      float sum = 0;
      SCALAR_LOOP
      for (long l = 0; l < k; ++l) sum += a[i * k + l] * b[l * n + j];
      c[i * n + j] = sum;
    }
}

// 2. The same loops in another order: a row of b, multiplied by one number, is added to a row of c. Memory is read in order
// and the sums do not wait for each other. One number an instruction.
ONE_AT_A_TIME void row_order(const float* a, const float* b, float* c, long m, long n, long k) {
  for (long i = 0; i < m; ++i) {
    for (long j = 0; j < n; ++j) c[i * n + j] = 0;
    for (long l = 0; l < k; ++l) {
      const float x = a[i * k + l];
      SCALAR_LOOP
      for (long j = 0; j < n; ++j) c[i * n + j] += x * b[l * n + j];
    }
  }
}

// 3. W numbers an instruction. For one multiply-add there are two loads and a store: the row of c goes through the cache k
// times, and loads and stores are what the core is busy with.
void vectors(const float* a, const float* b, float* c, long m, long n, long k) {
  for (long i = 0; i < m; ++i) {
    float* row = c + i * n;
    for (long j = 0; j < n; ++j) row[j] = 0;
    for (long l = 0; l < k; ++l) {
      const Vec x = all(a[i * k + l]);
      long j = 0;
      for (; j + W <= n; j += W) store(row + j, load(row + j) + x * load(b + l * n + j));
      for (; j < n; ++j) row[j] += a[i * k + l] * b[l * n + j];
    }
  }
}

// 4. A tile of MR x NR sums stays in registers for the whole inner dimension: MR + NV loads for MR * NV multiply-adds and no
// store. The rows of b that a tile reads lie n floats apart. Where that is a multiple of 4 KB (n = 1024), they all belong into
// the same few places of the cache and push each other out; at n = 1008 this rung is four times as fast.
void register_tile(const float* a, const float* b, float* c, long m, long n, long k) {
  const long whole_rows = m / MR * MR, whole_columns = n / NR * NR;
  for (long j = 0; j < whole_columns; j += NR)
    for (long i = 0; i < whole_rows; i += MR) {
      Vec sum[MR][NV] = {};
      for (long l = 0; l < k; ++l)
#pragma GCC unroll 8
        for (long r = 0; r < MR; ++r)
#pragma GCC unroll 4
          for (long v = 0; v < NV; ++v) sum[r][v] += all(a[(i + r) * k + l]) * load(b + l * n + j + v * W);
#pragma GCC unroll 8
      for (long r = 0; r < MR; ++r)
#pragma GCC unroll 4
        for (long v = 0; v < NV; ++v) store(c + (i + r) * n + j + v * W, sum[r][v]);
    }
  for (long i = 0; i < m; ++i)  // the border
    for (long j = i < whole_rows ? whole_columns : 0; j < n; ++j) {
      float sum = 0;
      for (long l = 0; l < k; ++l) sum += a[i * k + l] * b[l * n + j];
      c[i * n + j] = sum;
    }
}

// 5. Blocks that fit the cache, copied so that a tile reads them in order (gemm.h). What is left: the copies, the border
// tiles, and the pauses between tiles.
void packed(const float* a, const float* b, float* c, long m, long n, long k) {
  std::fill(c, c + m * n, 0.0f);
  gemm({a, k, 1}, {b, n, 1}, c, n, m, n, k);
}

// 6. Blocks of rows on all cores; the packed b is shared. Every sum is computed by one thread in one order, so the result has
// the same bits for any number of threads.
void threads(const float* a, const float* b, float* c, long m, long n, long k) {
  std::fill(c, c + m * n, 0.0f);
  gemm({a, k, 1}, {b, n, 1}, c, n, m, n, k, true);
}

}  // extern "C"
