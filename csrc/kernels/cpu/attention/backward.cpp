// attention_backward: the gradients of attention, in blocks, from lse and out instead of the (rows, cols) matrix of weights.
//
// With P = e^(scores - lse), F the factors of dropout (1 without) and delta_i = sum_d dout[i, d] out[i, d], for every head:
//
//   dv = (P F)^T dout          dP = (dout v^T) F          dS = P (dP - delta)
//   dk = scale dS^T q          dq = scale dS k            dk, dv summed over the heads that share k and v
//
//                keys ->          a block of keys stays in the second-level cache, with its dk and dv, while the
//              +-----+=====+-----+   queries pass by, 64 at a time:
//              |     |     |     |
//   64 queries |     |P, dS|     |     strip by strip   P = e^(q k^T - lse), dS = P (dout v^T - delta)     (mr, keys)
//              |     |     |     |     then             dv += P^T dout, dk += dS^T q, dq += dS k           (64, keys)
//              +-----+=====+-----+
//
// This is the backward pass of FlashAttention (Dao et al. 2022, https://arxiv.org/abs/2205.14135) with keys outermost.
//
// Cost: five products of 2 rows * cols * size operations a head (half of it if causal) and an exponential a score.
//
// Numerics: as the forward pass. dk and dv of a block of keys sum up over blocks of 64 queries in order; dq over blocks of keys in
// order. Where batch * groups is small, the blocks of keys of one group of heads are dealt out to a number of parts that depends on
// the shapes alone, whose dq are added in order. So the bits do not depend on the number of threads.
#include "core/parallel.h"
#include "kernels/cpu/attention/pairs.h"
#include "kernels/cpu/kernels.h"

namespace tg::TG_ISA {

// Parts into which the keys of one group of heads are dealt out: part p takes blocks p, p + parts, ...
template <class S> static int64_t parts_of(const Attention& a) {
  const int64_t groups = a.batch * a.groups, blocks = ceil_div(a.cols, key_block_of<S>(a));
  return groups >= 8 ? 1 : smaller(larger_of(blocks, 1), ceil_div(8, groups));
}

// The dq of one part of one group of heads: (shared heads, rows, size), before the scale.
template <class T> static int64_t slab_elements(const Attention& a) {
  return round_up(a.heads / a.groups * a.rows * padded<T>(a.size), 64 / int64_t(sizeof(T)));
}

template <class S> class Backward {
  using T = Compute<S>;
  using V = Vec<T>;
  using O = Operand<S>;
  using P = typename O::P;
  using Element = typename O::Element;

 public:
  Backward(const Attention& a, const AttentionGradients& grads, void* base)
      : a_(a), grads_(grads), key_block_(key_block_of<S>(a)), memory_(base) {
    const int64_t panels = ceil_div(key_block_, nr<P>), rows = a.heads / a.groups * a.rows;
    const int64_t strip_rows = O::scaled ? query_block : mr, lines = O::elements(query_block);
    size_ = padded<T>(a.size), value_size_ = padded<T>(a.value_size);
    key_panels_ = memory_.take<Element>(panels * O::panel_elements(a.size));
    value_panels_ = memory_.take<Element>(panels * O::panel_elements(a.value_size));
    keys_ = memory_.take<Element>(O::elements(key_block_) * size_);
    dkeys_ = memory_.take<T>(key_block_ * size_);
    dvalues_ = memory_.take<T>(key_block_ * value_size_);
    queries_ = memory_.take<Element>(query_block * O::row_elements(a.size));
    douts_ = memory_.take<Element>(query_block * O::row_elements(a.value_size));
    scores_ = memory_.take<T>(strip_rows * stride());
    dscores_ = memory_.take<T>(strip_rows * stride());
    line_ = memory_.take<T>(2 * stride());
    lse_ = memory_.take<T>(rows);
    delta_ = memory_.take<T>(rows);
    if constexpr (!O::scaled) {
      query_lines_ = memory_.take<Element>(lines * size_);
      dout_lines_ = memory_.take<Element>(lines * value_size_);
      pairs_.weights = memory_.take<Element>(lines * stride());
      pairs_.dscores = memory_.take<Element>(lines * stride());
      pairs_.dscore_rows = memory_.take<Element>(query_block * stride() / 2);
      pairs_.stride = stride();
    }
  }
  size_t bytes() const { return memory_.used(); }

  // Part `part` of the keys of group g. dq goes to the slab.
  void run(int64_t b, int64_t g, int64_t part, int64_t parts, T* slab) {
    const int64_t shared = a_.heads / a_.groups;
    __builtin_memset(slab, 0, size_t(slab_elements<T>(a_)) * sizeof(T));
    for (int64_t i = 0; i < shared; ++i) row_terms(b, g * shared + i, lse_ + i * a_.rows, delta_ + i * a_.rows);
    for (int64_t col = part * key_block_; col < a_.cols; col += parts * key_block_) {
      const int64_t cols = smaller(key_block_, a_.cols - col);
      load_keys(b, g, col, cols);
      for (int64_t i = 0; i < shared; ++i)
        for (int64_t row = a_.causal ? col / query_block * query_block : 0; row < a_.rows; row += query_block)
          block(b, g * shared + i, row, smaller(query_block, a_.rows - row), col, cols, i * a_.rows, slab);
      // numbers of the compute type were multiplied as scale * q, so that dk has its scale already
      store_rows<S, T>(dkeys_, cols, a_.size, T(O::scaled ? 1 : a_.scale), at<S>(grads_.dk, b, g, col), grads_.dk.row_stride);
      store_rows<S, T>(dvalues_, cols, a_.value_size, T(1), at<S>(grads_.dv, b, g, col), grads_.dv.row_stride);
    }
  }

 private:
  int64_t stride() const { return key_block_ + V::width; }
  template <class X> static X* at(const Heads& x, int64_t b, int64_t h, int64_t row) {
    return head_of<X>(x, b, h) + row * x.row_stride;
  }

  // lse and delta of all rows of a head. A row without a key has lse -infinity: +infinity makes its weights 0.
  void row_terms(int64_t b, int64_t h, T* lse, T* delta) {
    const T* const saved = static_cast<const T*>(a_.lse) + (b * a_.heads + h) * a_.rows;
    for (int64_t i = 0; i < a_.rows; ++i) {
      const S *const out = at<const S>(a_.out, b, h, i), *const dout = at<const S>(grads_.dout, b, h, i);
      delta[i] = sum_of<T>(a_.value_size,
                           [&](int64_t j, int64_t n) TG_INLINE_LAMBDA { return V::load(out + j, n) * V::load(dout + j, n); });
      lse[i] = saved[i] == -Format<T>::infinity ? Format<T>::infinity : saved[i];
    }
  }

  void load_keys(int64_t b, int64_t g, int64_t col, int64_t cols) {
    const S *const k = at<const S>(a_.k, b, g, col), *const v = at<const S>(a_.v, b, g, col);
    pack_panels(k, a_.k.row_stride, cols, a_.size, key_panels_);
    pack_panels(v, a_.v.row_stride, cols, a_.value_size, value_panels_);
    pack_lines_of(k, a_.k.row_stride, cols, a_.size, keys_);
    __builtin_memset(dkeys_, 0, size_t(cols * size_) * sizeof(T));
    __builtin_memset(dvalues_, 0, size_t(cols * value_size_) * sizeof(T));
  }

  // Rows of queries and of dout: as left operands of the products with panels, and as right ones of the products over rows.
  void load_queries(int64_t b, int64_t h, int64_t row, int64_t rows) {
    const S *const q = at<const S>(a_.q, b, h, row), *const dout = at<const S>(grads_.dout, b, h, row);
    const int64_t q_stride = a_.q.row_stride, dout_stride = grads_.dout.row_stride;
    copy_left(q, q_stride, rows, a_.size, queries_, a_.scale);
    copy_left(dout, dout_stride, rows, a_.value_size, douts_, 1.0);
    if constexpr (O::scaled) {
      query_lines_ = queries_, dout_lines_ = douts_;
    } else {
      pack_lines_of(q, q_stride, rows, a_.size, query_lines_);
      pack_lines_of(dout, dout_stride, rows, a_.value_size, dout_lines_);
    }
  }

  // `rows` queries from `row` on, and the block of keys that is loaded; `first` is where lse_ and delta_ of the head begin.
  void block(int64_t b, int64_t h, int64_t row, int64_t rows, int64_t col, int64_t cols, int64_t first, T* slab) {
    const HeadMask<T> mask(a_, b, h);
    const int64_t widest = visible_cols(a_, row + rows, col, cols);
    const Seen seen = mask.seen(row, rows, col, widest);
    if (widest == 0 || seen == Seen::nothing) return;
    load_queries(b, h, row, rows);

    const Dropout<T> dropout(a_, b, h);
    const int64_t strip_rows = round_up(ceil_div(rows, ceil_div(rows, mr)), P::terms);
    int64_t top = 0;  // the first row that sees a key
    for (int64_t i = 0; i < rows; i += strip_rows) {
      const int64_t height = smaller(strip_rows, rows - i);
      const Strip<T> s{scores_ + (O::scaled ? i * stride() : 0),      stride(), row + i, height, col,
                       visible_cols(a_, row + i + height, col, cols), a_.causal};
      if (s.cols == 0) {
        top = i + height;
        continue;
      }
      const int64_t term = first + row + i;
      strip(s, i, cols, widest, term, seen == Seen::something ? &mask : nullptr, a_.dropout > 0 ? &dropout : nullptr);
    }
    const int64_t depth = O::elements(rows - top), line = top / P::terms;
    const Element *weights, *dscores, *dscore_rows;
    int64_t row_stride = stride();
    if constexpr (O::scaled) {
      weights = scores_ + top * stride();
      dscores = dscore_rows = dscores_ + top * stride();
    } else {
      row_stride = stride() / 2;
      weights = pairs_.weights + line * stride(), dscores = pairs_.dscores + line * stride();
      dscore_rows = pairs_.dscore_rows + top * row_stride;
    }
    multiply_block<P, false>({widest, value_size_, depth, weights, stride(), dout_lines_ + line * value_size_, value_size_,
                              dvalues_, value_size_, true});
    multiply_block<P, false>(
        {widest, size_, depth, dscores, stride(), query_lines_ + line * size_, size_, dkeys_, size_, true});
    multiply_block<P, true>({rows - top, size_, O::elements(widest), dscore_rows, row_stride, keys_, size_,
                             slab + (first + row + top) * size_, size_, true});
  }

  // P (times dropout) and dS of one strip; i is its first row within the block, `term` its place in lse_ and delta_.
  void strip(const Strip<T>& s, int64_t i, int64_t cols, int64_t widest, int64_t term, const HeadMask<T>* mask,
             const Dropout<T>* dropout) {
    T* const dscores = dscores_ + (O::scaled ? i * stride() : 0);
    multiply_panels<S>(
        {s.rows, s.cols, a_.size, queries_ + i * O::row_elements(a_.size), key_panels_, cols, s.scores, stride()});
    const T factor = finish_scores<S>(a_, s, mask, line_);
    multiply_panels<S>(
        {s.rows, s.cols, a_.value_size, douts_ + i * O::row_elements(a_.value_size), value_panels_, cols, dscores, stride()});
    if constexpr (O::scaled) {
      for (int64_t r = 0; r < s.rows; ++r) {
        if (dropout) dropout->factors(s.row + r, s.col, s.cols, line_);
        gradient_row(s.at(r), dscores + r * stride(), padded<T>(s.cols), lse_[term + r], delta_[term + r],
                     dropout ? line_ : nullptr);
        for (int64_t j = padded<T>(s.cols); j < widest; ++j) s.at(r)[j] = dscores[r * stride() + j] = 0;
      }
    } else {
      pairs_.gradients(s, dscores, i, widest, factor, lse_ + term, delta_ + term, dropout, line_);
    }
  }

  // x: scores, becomes P F; y: dout v^T, becomes dS.
  [[gnu::noinline]] static void gradient_row(T* x, T* y, int64_t cols, T lse, T delta, const T* factors) {
    const V shift(lse), mean(delta);
    for (int64_t j = 0; j < cols; j += V::width) {
      const V p = exp_of_negative(V::load(x + j) - shift);
      if (factors) {
        const V f = V::load(factors + j);
        (p * (V::load(y + j) * f - mean)).store(y + j);
        (p * f).store(x + j);
      } else {
        (p * (V::load(y + j) - mean)).store(y + j);
        p.store(x + j);
      }
    }
  }

  const Attention& a_;
  const AttentionGradients& grads_;
  int64_t key_block_, size_, value_size_;
  Memory memory_;
  Element *key_panels_, *value_panels_, *keys_, *queries_, *douts_, *query_lines_, *dout_lines_;
  T *dkeys_, *dvalues_, *scores_, *dscores_, *line_, *lse_, *delta_;
  [[no_unique_address]] GradientPairs<S> pairs_;
};

// dq of one head: its slabs added in order, times the scale.
template <class S>
static void store_dq(const Attention& a, const Heads& dq, int64_t b, int64_t h, Compute<S>* slab, int64_t parts) {
  using T = Compute<S>;
  const int64_t ld = padded<T>(a.size), shared = a.heads / a.groups;
  T* const first = slab + h % shared * a.rows * ld;
  for (int64_t part = 1; part < parts; ++part) {
    const T* const other = first + part * slab_elements<T>(a);
    for (int64_t i = 0; i < a.rows * ld; i += Vec<T>::width)
      (Vec<T>::load(first + i) + Vec<T>::load(other + i)).store(first + i);
  }
  store_rows<S, T>(first, a.rows, a.size, T(a.scale), head_of<S>(dq, b, h), dq.row_stride);
}

// --- rows of the table ------------------------------------------------------------------------------------------------
// Workers' memory, then slabs: one a worker if the keys are not divided, else one a part of every group of heads.
template <class S> struct Plan {
  int64_t parts, jobs, workers;
  size_t worker_bytes, slab_bytes;
  Plan(const Attention& a, int threads) {
    parts = parts_of<S>(a);
    jobs = a.batch * a.groups * parts;
    workers = workers_for(a, jobs, threads);
    worker_bytes = Backward<S>(a, {}, nullptr).bytes();
    slab_bytes = size_t(slab_elements<Compute<S>>(a)) * sizeof(Compute<S>);
  }
  size_t bytes() const { return size_t(workers) * worker_bytes + size_t(parts > 1 ? jobs : workers) * slab_bytes; }
};

static constexpr bool only_pairs = level == Level::avx512_bf16;  // nothing else of its own

Status attention_backward(const Launch& launch, const Attention& a, const AttentionGradients& grads) {
  if (only_pairs && a.dtype != DType::bf16) return lower::table().attention_backward(launch, a, grads);
  return visit_operands(a.dtype, [&]<class S>() {
    using T = Compute<S>;
    const Plan<S> plan(a, launch.threads);
    const int64_t jobs = plan.jobs, workers = plan.workers, parts = plan.parts, shared = a.heads / a.groups;
    char* const workspace = static_cast<char*>(launch.workspace);
    auto slab = [&](int64_t i) {
      return reinterpret_cast<T*>(workspace + size_t(workers) * plan.worker_bytes + size_t(i) * plan.slab_bytes);
    };
    parallel_for(launch, workers, 1, [&](int64_t worker, int64_t) {
      Backward<S> backward(a, grads, workspace + size_t(worker) * plan.worker_bytes);
      for (int64_t job = worker; job < jobs; job += workers) {  // neighbours differ in work: deal them out
        const int64_t group = job / parts, b = group / a.groups, g = group % a.groups;
        T* const own = slab(parts > 1 ? job : worker);
        backward.run(b, g, job % parts, parts, own);
        if (parts == 1)
          for (int64_t h = g * shared; h < (g + 1) * shared; ++h) store_dq<S>(a, grads.dq, b, h, own, 1);
      }
    });
    if (parts > 1)
      parallel_for(launch, a.batch * a.heads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t b = i / a.heads, h = i % a.heads, group = b * a.groups + h / shared;
          store_dq<S>(a, grads.dq, b, h, slab(group * parts), parts);
        }
      });
    return Status{};
  });
}

size_t attention_backward_workspace(const Attention& a, int threads) {
  if (only_pairs && a.dtype != DType::bf16) return lower::table().attention_backward_workspace(a, threads);
  size_t bytes = 0;
  visit_operands(a.dtype, [&]<class S>() {
    bytes = Plan<S>(a, threads).bytes();
    return Status{};
  });
  return bytes;
}

}  // namespace tg::TG_ISA
