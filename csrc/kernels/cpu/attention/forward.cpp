// attention: out = softmax(scale * q k^T + mask) v for every batch and head, in blocks, without the (rows, cols) matrix.
//
// Shapes: q (batch, heads, rows, size), k (batch, groups, cols, size), v (batch, groups, cols, value_size),
// out (batch, heads, rows, value_size), lse (batch, heads, rows).
//
//                       keys ->   [ block 0 ][ block 1 ][ block 2 ]        for a block of 64 queries, key block by key block:
//   64 queries  strip of mr rows  [#########]                                scores = q k^T            (mr, keys) in L1
//                       ...       [         ]                                weights = e^(scores - largest so far)
//                                                                            out = out * rescale + weights v
//
// This is the online softmax of Milakov and Gimelshein 2018 (https://arxiv.org/abs/1805.02867) in the arrangement of
// FlashAttention (Dao et al. 2022, https://arxiv.org/abs/2205.14135): when a block brings a larger score, what was summed so far
// is multiplied by e^(old largest - new largest). Blocks of keys that causality or a boolean mask hides are not computed.
//
// Cost: 2 rows * cols * (size + value_size) operations a head, half of it if causal, plus an exponential a score. k and v of a
// group of heads are packed once; one or few queries (decoding) read them where they lie (few_rows.h).
//
// Numerics: computed in float32 (double for double). Scores are one chain of FMAs, weights sum up block by block; the error is
// that of a softmax and a product of float32. A row without a key gives 0 and lse = -infinity. The order of all sums follows
// from the shapes, so the bits do not depend on the number of threads, and not on keys that a row does not see.
#include "core/parallel.h"
#include "kernels/cpu/attention/few_rows.h"
#include "kernels/cpu/attention/pairs.h"
#include "kernels/cpu/kernels.h"

namespace tg::TG_ISA {

// Pieces of the queries of one group of heads; each packs the keys anew.
static int64_t pieces_of(const Attention& a) {
  const int64_t groups = a.batch * a.groups, blocks = ceil_div(a.rows, query_block);
  return groups >= 32 ? 1 : smaller(blocks, ceil_div(32, groups));
}

template <class S> class Forward {
  using T = Compute<S>;
  using O = Operand<S>;
  using P = typename O::P;
  using Element = typename O::Element;

 public:
  Forward(const Attention& a, void* base) : a_(a), key_block_(key_block_of<S>(a)), memory_(base) {
    keys_ = memory_.take<Element>(ceil_div(a.cols, nr<P>) * O::panel_elements(a.size));
    values_ = memory_.take<Element>(O::elements(a.cols) * padded<T>(a.value_size));
    queries_ = memory_.take<Element>(query_block * O::row_elements(a.size));
    sums_ = memory_.take<T>(query_block * padded<T>(a.value_size));
    scores_ = memory_.take<T>(mr * stride());
    line_ = memory_.take<T>(stride());
  }
  size_t bytes() const { return memory_.used(); }

  // Heads of group g, every `pieces`-th block of queries.
  void run(int64_t b, int64_t g, int64_t piece, int64_t pieces) {
    pack_panels(head_of<const S>(a_.k, b, g), a_.k.row_stride, a_.cols, a_.size, keys_);
    pack_lines_of(head_of<const S>(a_.v, b, g), a_.v.row_stride, a_.cols, a_.value_size, values_);
    const int64_t shared = a_.heads / a_.groups;
    for (int64_t h = g * shared; h < (g + 1) * shared; ++h)
      for (int64_t row = piece * query_block; row < a_.rows; row += pieces * query_block)
        queries(b, h, row, smaller(query_block, a_.rows - row));
  }

 private:
  int64_t stride() const { return key_block_ + Vec<T>::width; }

  // The output of `rows` queries from `row` on.
  void queries(int64_t b, int64_t h, int64_t row, int64_t rows) {
    copy_left(head_of<const S>(a_.q, b, h) + row * a_.q.row_stride, a_.q.row_stride, rows, a_.size, queries_, a_.scale);
    const HeadMask<T> mask(a_, b, h);
    const Dropout<T> dropout(a_, b, h);
    const int64_t strip_rows = ceil_div(rows, ceil_div(rows, mr));
    RowState<T> state;
    bool started[query_block] = {};  // strips that have a sum
    for (int64_t i = 0; i < rows; ++i) state.high[i] = -Format<T>::infinity, state.sum[i] = 0;
    for (int64_t col = 0; col < a_.cols; col += key_block_) {
      const int64_t cols = visible_cols(a_, row + rows, col, smaller(key_block_, a_.cols - col));
      if (cols == 0) break;
      const Seen seen = mask.seen(row, rows, col, cols);
      if (seen == Seen::nothing) continue;
      for (int64_t i = 0; i < rows; i += strip_rows) {
        const int64_t height = smaller(strip_rows, rows - i);
        const Strip<T> s{scores_, stride(), row + i, height, col, visible_cols(a_, row + i + height, col, cols), a_.causal};
        if (s.cols == 0) continue;
        bool& has_sum = started[i / strip_rows];
        strip(s, i, state, has_sum, seen == Seen::something ? &mask : nullptr, a_.dropout > 0 ? &dropout : nullptr);
        has_sum = true;
      }
    }
    finish(b, h, row, rows, strip_rows, state, started);
  }

  // One block of keys for one strip; i is the strip's first row within the block of queries.
  TG_INLINE void strip(const Strip<T>& s, int64_t i, RowState<T>& state, bool has_sum, const HeadMask<T>* mask,
                       const Dropout<T>* dropout) {
    multiply_panels<S>({s.rows, s.cols, a_.size, queries_ + i * O::row_elements(a_.size),
                        keys_ + s.col / nr<P> * O::panel_elements(a_.size), a_.cols - s.col, s.scores, s.stride});
    const T factor = finish_scores<S>(a_, s, mask, line_);
    T rescale[8];
    if constexpr (O::scaled) {
      exponentials(s, state.high + i, state.sum + i, rescale);
      if (dropout) dropout->apply(s, line_);
    } else {
      exponentials_of_pairs(s, factor, state.high + i, state.sum + i, rescale, dropout, line_);
    }
    const int64_t ld = padded<T>(a_.value_size);
    T* const sums = sums_ + i * ld;
    if (has_sum)
      for (int64_t r = 0; r < s.rows; ++r)
        if (rescale[r] != 1)
          for (int64_t j = 0; j < ld; j += Vec<T>::width)
            (Vec<T>::load(sums + r * ld + j) * Vec<T>(rescale[r])).store(sums + r * ld + j);
    const Element* const weights = reinterpret_cast<const Element*>(s.scores);
    multiply_block<P, true>(
        {s.rows, ld, O::elements(s.cols), weights, s.stride, values_ + O::elements(s.col) * ld, ld, sums, ld, has_sum});
  }

  void finish(int64_t b, int64_t h, int64_t row, int64_t rows, int64_t strip_rows, const RowState<T>& state,
              const bool* started) {
    S* const out = head_of<S>(a_.out, b, h) + row * a_.out.row_stride;
    T* const lse = static_cast<T*>(a_.lse) + (b * a_.heads + h) * a_.rows + row;
    const int64_t ld = padded<T>(a_.value_size);
    for (int64_t i = 0; i < rows; ++i) {
      T* const sums = sums_ + i * ld;
      if (!started[i / strip_rows])
        for (int64_t j = 0; j < ld; ++j) sums[j] = 0;
      const bool empty = state.sum[i] == 0;
      store_rows<S, T>(sums, 1, a_.value_size, empty ? T(0) : 1 / state.sum[i], out + i * a_.out.row_stride, 0);
      lse[i] = empty ? -Format<T>::infinity : state.high[i] + log_of(state.sum[i]);
    }
  }

  const Attention& a_;
  int64_t key_block_;
  Memory memory_;
  Element *keys_, *values_, *queries_;
  T *sums_, *scores_, *line_;
};

// --- rows of the table ------------------------------------------------------------------------------------------------
template <class S> static size_t bytes_per_worker(const Attention& a) {
  return has_few_rows(a) ? FewRows<S>(a, nullptr).bytes() : Forward<S>(a, nullptr).bytes();
}

// AVX512-BF16 has products of pairs and nothing else of its own.
static bool lower_does_it(const Attention& a) {
  return level == Level::avx512_bf16 && (a.dtype != DType::bf16 || has_few_rows(a));
}

Status attention(const Launch& launch, const Attention& a) {
  if (lower_does_it(a)) return lower::table().attention(launch, a);
  return visit_operands(a.dtype, [&]<class S>() {
    const bool few = has_few_rows(a);
    const int64_t pieces = few ? 1 : pieces_of(a), jobs = a.batch * a.groups * pieces;
    const int64_t workers = workers_for(a, jobs, launch.threads);
    const size_t stride = bytes_per_worker<S>(a);
    parallel_for(launch, workers, 1, [&](int64_t worker, int64_t) {
      void* const base = static_cast<char*>(launch.workspace) + size_t(worker) * stride;
      for (int64_t job = worker; job < jobs; job += workers) {  // neighbours differ in work: deal them out
        const int64_t group = job / pieces, b = group / a.groups, g = group % a.groups;
        if (few) FewRows<S>(a, base).run(b, g);
        else Forward<S>(a, base).run(b, g, job % pieces, pieces);
      }
    });
    return Status{};
  });
}

size_t attention_workspace(const Attention& a, int threads) {
  if (lower_does_it(a)) return lower::table().attention_workspace(a, threads);
  size_t bytes = 0;
  visit_operands(a.dtype, [&]<class S>() {
    const int64_t jobs = a.batch * a.groups * (has_few_rows(a) ? 1 : pieces_of(a));
    bytes = size_t(workers_for(a, jobs, threads)) * bytes_per_worker<S>(a);
    return Status{};
  });
  return bytes;
}

}  // namespace tg::TG_ISA
