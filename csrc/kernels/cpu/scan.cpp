// Running sums, products, maxima, minima and log-sum-exps along the middle dim of (outer, size, inner):
//
//   out[o, i, n] = in[o, 0, n] op in[o, 1, n] op ... op in[o, i, n]
//
// A chain is sequential, so the work is split over chains: four rows side by side where the dim is the last one (one chain
// would wait for each addition), blocks of 64 columns of inner where it is not. Maxima and minima wait for nothing while they
// stay the same, so their rows go one by one. So do sums of floats along rows, see scan/row_sums.h.
//
//        inner == 1                    inner > 1
//        row 0  -> -> -> ->            i = 0  | | | |  64 columns
//        row 1  -> -> -> ->            i = 1  v v v v
//        row 2  -> -> -> ->              :
//        row 3  -> -> -> ->
//
// Cost: one read and one write an element (long rows: two reads). Numerics: float32 and the 16-bit floats are added and
// multiplied in double and rounded once an element; integers wrap around. max and min: NaN wins from its place on; `where` is the last of equals.
// logsumexp keeps the largest element m so far and the sum of e^(x - m), in double.
#include "kernels/arguments/scan.h"

#include "core/parallel.h"
#include "kernels/cpu/scan/chains.h"
#include "kernels/cpu/scan/row_sums.h"

namespace tg::TG_ISA {

static constexpr int64_t side_by_side = 4, column_block = 64;

template <class T, class Chain> TG_INLINE T advance(Chain& chain, const Scan& s, T x, int64_t i, int64_t place) {
  if constexpr (requires { chain.at; }) {
    const T y = chain.step(x, i);
    s.where[place] = chain.at;
    return y;
  } else {
    return chain.step(x);
  }
}

// `lanes` rows from row `first` on, element by element in turn.
template <int lanes, class T, class Chain> static void scan_rows(const Scan& s, int64_t first) {
  const T* in = static_cast<const T*>(s.in) + first * s.size;
  T* out = static_cast<T*>(s.out) + first * s.size;
  Chain chain[lanes];
  for (int64_t step = 0; step < s.size; ++step) {
    const int64_t i = s.reverse ? s.size - 1 - step : step;
#pragma GCC unroll 4
    for (int64_t r = 0; r < lanes; ++r) {
      const int64_t place = r * s.size + i;
      out[place] = advance<T>(chain[r], s, in[place], i, first * s.size + place);
    }
  }
}

// A row of running maxima or minima. They seldom change, and where none of 16 elements changes them all 16 results are known.
template <class T, bool greatest> static void scan_extremes(const Scan& s, int64_t row) {
  constexpr int64_t block = 16;
  const T* in = static_cast<const T*>(s.in) + row * s.size;
  T* out = static_cast<T*>(s.out) + row * s.size;
  int64_t* where = s.where + row * s.size;
  ExtremeChain<T, greatest> chain;
  const auto step = [&](int64_t i) TG_INLINE_LAMBDA { out[i] = chain.step(in[i], i), where[i] = chain.at; };
  step(0);
  int64_t i = 1;
  for (; i + block <= s.size; i += block) {
    const Plain<T> best = Number<T>::from(chain.best);
    int changes = 0;  // also where either is NaN
    for (int64_t k = 0; k < block; ++k) {
      const Plain<T> x = Number<T>::from(in[i + k]);
      changes |= !(greatest ? x < best : x > best);
    }
    if (changes) {
      for (int64_t k = 0; k < block; ++k) step(i + k);
    } else {
      const T same = chain.best;
      const int64_t at = chain.at;
      for (int64_t k = 0; k < block; ++k) out[i + k] = same;
      for (int64_t k = 0; k < block; ++k) where[i + k] = at;
    }
  }
  for (; i < s.size; ++i) step(i);
}

// Columns [begin, end) of one outer slice; at most column_block of them.
template <class T, class Chain> static void scan_columns(const Scan& s, int64_t outer, int64_t begin, int64_t end) {
  const int64_t start = outer * s.size * s.inner + begin;
  const T* in = static_cast<const T*>(s.in);
  T* out = static_cast<T*>(s.out);
  Chain chain[column_block];
  for (int64_t step = 0; step < s.size; ++step) {
    const int64_t i = s.reverse ? s.size - 1 - step : step;
    const int64_t row = start + i * s.inner;
#pragma omp simd  // columns are chains of their own
    for (int64_t c = 0; c < end - begin; ++c) out[row + c] = advance<T>(chain[c], s, in[row + c], i, row + c);
  }
}

template <class T, class Chain> static Status scan_chains(const Launch& launch, const Scan& s) {
  if constexpr (requires(Chain chain) { chain.at; }) {
    if (s.inner == 1 && !s.reverse) {
      const int64_t each = piece_elements / s.size;
      parallel_for(launch, s.outer, each > 1 ? each : 1, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) scan_extremes<T, Chain::is_greatest>(s, row);
      });
      return {};
    }
  }
  if constexpr (std::is_same_v<Chain, SumChain<T>> && is_floating(dtype_of<T>)) {
    if (s.inner == 1) {
      s.reverse ? sum_rows<T, true>(launch, s) : sum_rows<T, false>(launch, s);
      return {};
    }
  }
  if (s.inner == 1) {
    const int64_t groups = (s.outer + side_by_side - 1) / side_by_side;
    const int64_t each = piece_elements / (side_by_side * s.size);
    parallel_for(launch, groups, each > 1 ? each : 1, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        int64_t row = g * side_by_side;
        if (row + side_by_side <= s.outer) scan_rows<side_by_side, T, Chain>(s, row);
        else
          for (; row < s.outer; ++row) scan_rows<1, T, Chain>(s, row);
      }
    });
    return {};
  }
  const int64_t blocks = (s.inner + column_block - 1) / column_block;
  const int64_t each = piece_elements / (s.size * (s.inner < column_block ? s.inner : column_block));
  parallel_for(launch, s.outer * blocks, each > 1 ? each : 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece % blocks * column_block;
      const int64_t last = first + column_block < s.inner ? first + column_block : s.inner;
      scan_columns<T, Chain>(s, piece / blocks, first, last);
    }
  });
  return {};
}

Status scan(const Launch& launch, const Scan& s) {
  if (s.outer == 0 || s.size == 0 || s.inner == 0) return {};
  return visit(s.dtype, [&]<class T>() -> Status {
    switch (s.op) {
      case ScanOp::max: return scan_chains<T, ExtremeChain<T, true>>(launch, s);
      case ScanOp::min: return scan_chains<T, ExtremeChain<T, false>>(launch, s);
      default: break;
    }
    if constexpr (dtype_of<T> == DType::b8) {
      return {Status::missing};  // ops adds and multiplies bools as int64
    } else {
      if (s.op == ScanOp::sum) return scan_chains<T, SumChain<T>>(launch, s);
      if (s.op == ScanOp::prod) return scan_chains<T, ProductChain<T>>(launch, s);
      if constexpr (is_floating(dtype_of<T>)) return scan_chains<T, LogSumExpChain<T>>(launch, s);
      return {Status::missing};
    }
  });
}

}  // namespace tg::TG_ISA
