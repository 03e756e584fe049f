// Matrix products: c[i] = activation(a[i] b[i] + bias), optionally added to what c holds, for every i of a batch.
//
// Shapes: a (M, K), b (K, N), c (M, N), bias (N). a and b may have any strides, c has contiguous rows.
//
// How: the loops of Goto and van de Geijn, with BLIS's names for the block sizes. Read in this order:
//   matmul/tile.h      an mr x nr tile of c in registers: where the time goes
//   matmul/pack.h      operands copied into the order the tile reads them
//   matmul/blocks.h    blocks that stay in the caches, and the five loops around the tile
//   matmul/finish.h    bias, activation, storage type
//   matmul/stream.h    one or two rows of a: a matter of memory speed only
//   matmul/integers.h  integers
// and below: which of these a product takes, and its division among threads.
//
// Cost: 2 M N K floating-point operations. Memory: a is read N / nc times, b once and its packed copy M / mr times from the
// second-level cache, c K / kc times; with 512-blocks that is far below what a core can load, so the arithmetic sets the pace.
//
// Numerics: float32 for float32, bfloat16 and float16, double for double, integers in their own type. k is cut every 512
// terms; each block is one chain of FMAs from zero; the blocks are added in order, to c's old value if it is accumulated.
// An element's bits therefore depend on its row of a and its column of b alone: not on threads, tiles, strides or on how many
// other rows there are. (bfloat16 with AVX512-BF16 multiplies pairs of k in one instruction, which takes denormals for zero:
// other bits than the other instruction sets, but the same independence.) The error is at most about
// (min(K, 512) + K / 512) * 2^-24 * sum |a b|, typically its square root.
#include "core/parallel.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/matmul/blocks.h"
#include "kernels/cpu/matmul/integers.h"

namespace tg::TG_ISA {

// A second thread pays from about this much work (measured: 64^3 gains nothing, 96^3 half).
static constexpr int64_t operations_per_thread = 200'000;
// Columns of c up to which a product is computed as its transpose: the lanes of a register run along the longer side then.
static constexpr int64_t few_columns = 4;

// How the work is divided: every matrix of the batch into rows x columns pieces.
struct Division {
  int64_t batch, workers, row_pieces, col_pieces;
  int64_t jobs() const { return batch * row_pieces * col_pieces; }
};

// A dense matrix of one batch after another that share b is one tall matrix.
static void fold_batch(Matmul& m) {
  while (m.batch_ndim > 0) {
    const int d = m.batch_ndim - 1;
    const bool joined =
        m.b_strides[d] == 0 && m.a_strides[d] == m.a.rows * m.a.row_stride && m.c_strides[d] == m.c.rows * m.c.row_stride;
    if (!joined && m.batch_shape[d] != 1) return;
    if (m.batch_shape[d] != 1) {
      m.a.rows *= m.batch_shape[d];
      m.c.rows *= m.batch_shape[d];
    }
    m.batch_ndim = d;
  }
}

// c^T = b^T a^T: c is then written by columns.
static bool computes_transpose(const Matmul& m) { return m.b.cols <= few_columns && m.a.rows > m.b.cols; }

static Division divide(const Matmul& m, int threads) {
  Division d{1, 1, 1, 1};
  for (int i = 0; i < m.batch_ndim; ++i) d.batch *= m.batch_shape[i];
  int64_t M = m.a.rows, N = m.b.cols;
  if (computes_transpose(m)) M = m.b.cols, N = m.a.rows;
  const double operations = 2.0 * double(d.batch) * double(M) * double(N) * double(m.a.cols > 0 ? m.a.cols : 1);
  const double useful = operations / double(operations_per_thread);
  d.workers = useful < 1 ? 1 : useful < threads ? int64_t(useful) : threads;
  if (d.workers <= 1) return d.workers = 1, d;

  // Whole matrices if they can be dealt out evenly, otherwise each in as many pieces as make it even.
  if (d.batch >= 4 * d.workers || d.batch % d.workers == 0) return d;
  const int64_t pieces = d.batch > d.workers ? d.workers : ceil_div(d.workers, d.batch);
  // The cheapest way to cut one matrix into r x c pieces: a piece costs its multiplications, and for packing about four
  // operations per element of its part of b and two of a, of which there are rows and columns times K.
  double cheapest = 0;
  for (int64_t r = 1; r <= pieces; ++r) {
    if (pieces % r != 0) continue;
    const double rows = double(ceil_div(M, r)), cols = double(ceil_div(N, pieces / r));
    const double cost = rows * cols + 4 * cols + 2 * rows;
    if (cheapest == 0 || cost < cheapest) cheapest = cost, d.row_pieces = r, d.col_pieces = pieces / r;
  }
  return d;
}

template <class S> static Product<S> product_of(const Matmul& m) {
  Product<S> p;
  p.M = m.a.rows, p.N = m.b.cols, p.K = m.a.cols;
  p.a = {static_cast<const S*>(m.a.data), m.a.col_stride, m.a.row_stride};
  p.b = {static_cast<const S*>(m.b.data), m.b.row_stride, m.b.col_stride};
  p.c = static_cast<S*>(m.c.data);
  p.c_stride = m.c.row_stride;
  p.c_by_columns = false;
  p.accumulate = m.accumulate;
  p.finish = {static_cast<const S*>(m.bias), static_cast<S*>(m.pre_activation), m.activation};
  return p;
}

template <class S> static void swap_operands(Product<S>& p) {
  const Source<S> a = p.a;
  const int64_t M = p.M;
  p.M = p.N, p.N = M;
  p.a = p.b, p.b = a;
  p.c_by_columns = true;
}

// Matrix `index` of the batch: only the pointers differ.
template <class S> static void select_matrix(Product<S>& p, const Matmul& m, int64_t index) {
  for (int d = m.batch_ndim - 1; d >= 0; --d) {
    const int64_t i = index % m.batch_shape[d];
    index /= m.batch_shape[d];
    p.a.data += i * m.a_strides[d];
    p.b.data += i * m.b_strides[d];
    p.c += i * m.c_strides[d];
    if (p.finish.pre_activation) p.finish.pre_activation += i * m.c_strides[d];
  }
}

// Keeps rows [i, i + M) and columns [j, j + N).
template <class S> static void select_piece(Product<S>& p, int64_t i, int64_t M, int64_t j, int64_t N) {
  p.M = M, p.N = N;
  p.a = p.a.at(0, i);
  p.b = p.b.at(0, j);
  const int64_t row = p.c_by_columns ? j : i, col = p.c_by_columns ? i : j;
  p.c += row * p.c_stride + col;
  if (p.finish.bias) p.finish.bias += col;
  if (p.finish.pre_activation) p.finish.pre_activation += row * p.c_stride + col;
}

// The largest piece of the division, which says how much workspace a worker needs.
template <class S> static size_t bytes_per_worker(const Matmul& m, const Division& d) {
  using P = typename products_of<S>::type;
  Product<S> p = product_of<S>(m);
  if (computes_transpose(m)) swap_operands(p);
  p.M = ceil_div(p.M, d.row_pieces);
  p.N = smaller(p.N, round_up(ceil_div(p.N, d.col_pieces), Vec<typename P::Sum>::width));
  return size_t(Blocks<P, S>(p, nullptr).workspace());
}

template <class S> [[gnu::noinline]] static void run_job(const Matmul& m, const Division& d, int64_t job, void* workspace) {
  using P = typename products_of<S>::type;
  Product<S> p = product_of<S>(m);
  select_matrix(p, m, job / (d.row_pieces * d.col_pieces));
  if (computes_transpose(m)) swap_operands(p);
  // Pieces of columns begin at whole registers.
  const int64_t rows = ceil_div(p.M, d.row_pieces);
  const int64_t cols = round_up(ceil_div(p.N, d.col_pieces), Vec<typename P::Sum>::width);
  const int64_t i = job / d.col_pieces % d.row_pieces * rows, j = job % d.col_pieces * cols;
  if (i >= p.M || j >= p.N) return;
  select_piece(p, i, smaller(rows, p.M - i), j, smaller(cols, p.N - j));
  Blocks<P, S>(p, workspace).run();
}

template <class S> static Status multiply_floats(const Launch& launch, const Matmul& m) {
  const Division d = divide(m, launch.threads);
  const size_t stride = bytes_per_worker<S>(m, d);
  const int64_t jobs = d.jobs();
  parallel_for(launch, d.workers, 1, [&](int64_t worker, int64_t) {
    void* const workspace = static_cast<char*>(launch.workspace) + size_t(worker) * stride;
    for (int64_t job = jobs * worker / d.workers; job < jobs * (worker + 1) / d.workers; ++job)
      run_job<S>(m, d, job, workspace);
  });
  return {};
}

template <class S> static Status multiply_integers(const Launch& launch, const Matmul& m) {
  if (m.activation != Activation::none && m.activation != Activation::relu) return {Status::missing};
  int64_t batch = 1;
  for (int i = 0; i < m.batch_ndim; ++i) batch *= m.batch_shape[i];
  const int64_t rows = m.a.rows, grain = 1 + operations_per_thread / (1 + m.a.cols * m.b.cols);
  parallel_for(launch, batch * rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      Product<S> p = product_of<S>(m);
      select_matrix(p, m, r / rows);
      select_piece(p, r % rows, 1, 0, p.N);
      integer_product(p);
    }
  });
  return {};
}

// --- rows of the table ------------------------------------------------------------------------------------------------
template <class S> inline constexpr bool is_floating_type = is_floating(dtype_of<S>);
// What this instruction set does no better than the next lower one is not compiled again but handed on.
template <class S>
inline constexpr bool gains =
    level == Level::baseline || (level == Level::avx512_bf16 ? dtype_of<S> == DType::bf16 : is_floating_type<S>);

template <class S> [[gnu::noinline]] static Status multiply(const Launch& launch, const Matmul& m) {
  if constexpr (dtype_of<S> == DType::b8) return {Status::missing};
  else if constexpr (!gains<S>) return lower::table().matmul(launch, m);
  else if constexpr (is_floating_type<S>) return multiply_floats<S>(launch, m);
  else return multiply_integers<S>(launch, m);
}

template <class S> static size_t workspace(const Matmul& m, int threads) {
  if constexpr (!is_floating_type<S>) {
    return 0;
  } else if constexpr (!gains<S>) {
    return lower::table().matmul_workspace(m, threads);
  } else {
    const Division d = divide(m, threads);
    return size_t(d.workers) * bytes_per_worker<S>(m, d);
  }
}

Status matmul(const Launch& launch, const Matmul& original) {
  Matmul m = original;
  fold_batch(m);
  return visit(m.c.dtype, [&]<class S>() { return multiply<S>(launch, m); });
}

size_t matmul_workspace(const Matmul& original, int threads) {
  Matmul m = original;
  fold_batch(m);
  return visit(m.c.dtype, [&]<class S>() { return workspace<S>(m, threads); });
}

}  // namespace tg::TG_ISA
