// The gradient of an embedding: dweight[index[i], :] += dy[i, :], dense.
//
// Shapes: dy (count, cols), dweight (rows, cols). A stable counting sort of the numbers gives every row of the table the list
// of its tokens; then each row is summed by one thread, in the order of the tokens, in registers, and written once:
//
//   index    3 1 3 0 1            starts  0 1 3 3 5   (row v's tokens are order[starts[v] .. starts[v + 1]))
//                                 order   3 | 1 4 | | 0 2
//
// Rows that no token names are cleared on the way, in runs. So nothing is read back from dweight, and threads need no atomics.
//
// Cost: 2 count + rows steps for the sort, count * cols additions. Memory: dy once, dweight once; for large tables clearing
// them is most of the work.
// Numerics: each element is one sum in the order of the tokens, in float32 (double for double), rounded once at the end;
// by_frequency multiplies the sum by 1 / how often the row was picked.
#include "kernels/arguments/embedding.h"
#include "core/parallel.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

// starts (rows + 1) and order (count) in the workspace.
static Status sort_by_row(const EmbeddingBackward& e, int64_t* starts, int64_t* order) {
  for (int64_t v = 0; v <= e.rows; ++v) starts[v] = 0;
  for (int64_t i = 0; i < e.count; ++i) {
    const int64_t v = e.index[i];
    if (v < 0 || v >= e.rows) return {Status::index_out_of_range, v};
    ++starts[v + 1];
  }
  for (int64_t v = 0; v < e.rows; ++v) starts[v + 1] += starts[v];
  for (int64_t i = 0; i < e.count; ++i) order[starts[e.index[i]]++] = i;
  for (int64_t v = e.rows; v > 0; --v) starts[v] = starts[v - 1];  // filling moved every start to its end
  starts[0] = 0;
  return {};
}

template <class S> static void sum_row(const EmbeddingBackward& e, int64_t v, const int64_t* tokens, int64_t count) {
  using T = Compute<S>;
  using V = Vec<T>;
  constexpr int vectors = 4;
  const S* const dy = static_cast<const S*>(e.dy);
  S* const out = static_cast<S*>(e.dweight) + v * e.cols;
  const V scale(e.by_frequency ? T(1) / T(count) : T(1));
  for (int64_t c = 0; c < e.cols; c += vectors * V::width) {
    V sum[vectors];
    for (int j = 0; j < vectors; ++j) sum[j] = V(T(0));
    if (c + vectors * V::width <= e.cols) {
      for (int64_t i = 0; i < count; ++i) {
        const S* const from = dy + tokens[i] * e.cols + c;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) sum[j] += V::load(from + j * V::width);
      }
    } else {
      for (int64_t i = 0; i < count; ++i)
        for (int j = 0; j < vectors && c + j * V::width < e.cols; ++j)
          sum[j] += V::load(dy + tokens[i] * e.cols + c + j * V::width, e.cols - c - j * V::width);
    }
    for (int j = 0; j < vectors && c + j * V::width < e.cols; ++j)
      (sum[j] * scale).store(out + c + j * V::width, e.cols - c - j * V::width);
  }
}

// --- rows of the table ------------------------------------------------------------------------------------------------
size_t embedding_backward_workspace(const EmbeddingBackward& e) { return size_t(e.rows + 1 + e.count) * sizeof(int64_t); }

Status embedding_backward(const Launch& launch, const EmbeddingBackward& e) {
  int64_t* const starts = static_cast<int64_t*>(launch.workspace);
  int64_t* const order = starts + e.rows + 1;
  if (const Status status = sort_by_row(e, starts, order); status.code != Status::ok) return status;
  return visit_floating(e.dtype, [&]<class S>() {
    // small tables in one piece: a second thread pays from about this many elements read and written
    const int64_t grain = (e.rows + e.count) * e.cols < 131072 ? e.rows : rows_per_piece(e.cols);
    parallel_for(launch, e.rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t v = begin; v < end;) {
        int64_t filled = v;
        while (filled < end && (starts[filled] == starts[filled + 1] || filled == e.padding_idx)) ++filled;
        if (filled > v) __builtin_memset(static_cast<S*>(e.dweight) + v * e.cols, 0, size_t((filled - v) * e.cols) * sizeof(S));
        if (filled < end) sum_row<S>(e, filled, order + starts[filled], starts[filled + 1] - starts[filled]);
        v = filled + 1;
      }
    });
    return Status{};
  });
}

}  // namespace tg::TG_ISA
