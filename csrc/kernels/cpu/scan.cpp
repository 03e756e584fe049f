// Running sums, products, maxima, minima and log-sum-exps along the middle dim of (outer, size, inner):
//
//   out[o, i, n] = in[o, 0, n] op in[o, 1, n] op ... op in[o, i, n]
//
// A chain is sequential, so the work is split over chains: four rows side by side where the dim is the last one (one chain
// would wait for each addition), blocks of 64 columns of inner where it is not. Maxima and minima wait for nothing while they
// stay the same, so their rows go one by one. So do sums of floats along rows: the running sums within a register are made by
// adding it to itself, moved by 1, 2 and 4 lanes, and only the sum of all before it runs from register to register. Of rows
// of 65,536 elements and more, pieces are added up first; then each piece knows what came before it.
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

#include <type_traits>

#include "core/parallel.h"
#include "kernels/cpu/shuffle.h"

namespace tg::TG_ISA {

static constexpr int64_t side_by_side = 4, column_block = 64;
static constexpr int64_t piece_elements = 16384;  // some tens of microseconds

// A number of storage type T as the float or integer it is, and back.
template <class T> struct Number {
  using type = T;
  TG_INLINE static T from(T x) { return x; }
  template <class A> TG_INLINE static T store(A x) { return static_cast<T>(x); }
};
template <> struct Number<bf16> {
  using type = float;
  TG_INLINE static float from(bf16 x) { return to_float(x); }
  template <class A> TG_INLINE static bf16 store(A x) { return to_bf16(static_cast<float>(x)); }
};
template <> struct Number<f16> {
  using type = float;
  TG_INLINE static float from(f16 x) { return to_float(x); }
  template <class A> TG_INLINE static f16 store(A x) { return to_f16(static_cast<float>(x)); }
};
template <class T> using Plain = typename Number<T>::type;

// What sums and products are carried in: double, or the integer itself (-fwrapv: it wraps around).
template <class T> struct CarryOf { using type = T; };
template <> struct CarryOf<float> { using type = double; };
template <> struct CarryOf<bf16> { using type = double; };
template <> struct CarryOf<f16> { using type = double; };
template <class T> using Carry = typename CarryOf<T>::type;

// A chain: step() takes the next element and gives the result at its place.
template <class T> struct SumChain {
  Carry<T> total{0};
  TG_INLINE T step(T x) { return Number<T>::store(total = static_cast<Carry<T>>(total + Number<T>::from(x))); }
};
template <class T> struct ProductChain {
  Carry<T> total{1};
  TG_INLINE T step(T x) { return Number<T>::store(total = static_cast<Carry<T>>(total * Number<T>::from(x))); }
};
// The sum of e^x is e^largest * sum.
template <class T> struct LogSumExpChain {
  double largest = -__builtin_inf(), sum = 0;
  TG_INLINE T step(T element) {
    const double x = static_cast<double>(Number<T>::from(element));
    if (x == largest) sum += x > -__builtin_inf() ? 1 : 0;  // also where both are infinite
    else if (x < largest) sum += __builtin_exp(x - largest);
    else sum = sum * __builtin_exp(largest - x) + 1, largest = x;  // NaN comes here and stays
    return Number<T>::store(largest > -__builtin_inf() && sum == 1 ? largest : largest + __builtin_log(sum));
  }
};
template <class T, bool greatest> struct ExtremeChain {
  static constexpr bool is_greatest = greatest;
  T best{};
  int64_t at = -1;
  TG_INLINE T step(T element, int64_t i) {
    const Plain<T> x = Number<T>::from(element), y = Number<T>::from(best);
    const bool better = greatest ? x >= y : x <= y;
    if (at < 0 || x != x || (y == y && better)) best = element, at = i;
    return best;
  }
};

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

// --- sums of floats along rows ------------------------------------------------------------------------------------------
using Doubles = Vec<double>;

// Lane i of the result is lane i - by of v, 0 for i < by.
template <int by> TG_INLINE Doubles moved_up(Doubles v) {
  Doubles::Int places;
  for (int i = 0; i < Doubles::width; ++i) places[i] = static_cast<uint64_t>(i >= by ? i - by : Doubles::width);
  const Doubles zero(0.0);
  return shuffled(v, zero, places);
}
template <class V> TG_INLINE V reversed(V v) {
  typename V::Int places;
  for (int i = 0; i < V::width; ++i) places[i] = static_cast<decltype(places[0] + 0)>(V::width - 1 - i);
  return shuffled(v, v, places);
}
TG_INLINE Doubles running(Doubles v) {
  v += moved_up<1>(v);
  if constexpr (Doubles::width > 2) v += moved_up<2>(v);
  if constexpr (Doubles::width > 4) v += moved_up<4>(v);
  return v;
}
TG_INLINE Doubles last_everywhere(Doubles v) { return Doubles(v.v[Doubles::width - 1]); }

// Elements [begin, end) of a row in the order of the walk, the sum of those before them in `carry`; gives the sum after them.
template <class S, bool reverse, bool store>
static double sum_along(const S* in, S* out, int64_t size, int64_t begin, int64_t end, double carry) {
  using T = std::conditional_t<std::is_same_v<S, double>, double, float>;
  using V = Vec<T>;
  Doubles total(carry);
  for (int64_t i = begin; i < end; i += V::width) {
    const int64_t n = end - i < V::width ? end - i : V::width;
    const int64_t place = reverse ? size - i - n : i;  // of the n elements
    V x = V::load(in + place, n, T(0));
    if constexpr (reverse) {
      x = reversed(x);
      if (n < V::width) {  // the dead lanes came first: bring the live ones there
        T lanes[2 * V::width] = {};
        x.store(lanes);
        x = V::load(lanes + V::width - n);
      }
    }
    V y;
    if constexpr (std::is_same_v<T, double>) {
      y = total + running(x);
      total = total + last_everywhere(running(x));
    } else {
      const Doubles low = running(widen_low(x)), high = running(widen_high(x));
      const Doubles middle = total + last_everywhere(low);
      y = narrow(total + low, middle + high);
      total = middle + last_everywhere(high);
    }
    if constexpr (store) {
      if constexpr (reverse) {
        y = reversed(y);
        if (n < V::width) {
          T lanes[2 * V::width] = {};
          y.store(lanes);
          y = V::load(lanes + V::width - n);
        }
      }
      y.store(out + place, n);
    }
  }
  return total.v[0];
}

template <class S, bool reverse> static void sum_rows(const Launch& launch, const Scan& s) {
  const S* const in = static_cast<const S*>(s.in);
  S* const out = static_cast<S*>(s.out);
  constexpr int64_t most = 256;  // pieces of a row
  if (s.size >= 4 * piece_elements) {
    const int64_t even = (s.size + most - 1) / most, piece = even > piece_elements ? (even + 63) / 64 * 64 : piece_elements;
    double sums[most];
    for (int64_t row = 0; row < s.outer; ++row) {
      const S* const x = in + row * s.size;
      S* const y = out + row * s.size;
      parallel_for(launch, s.size, piece, [&](int64_t begin, int64_t end) {
        sums[begin / piece] = sum_along<S, reverse, false>(x, y, s.size, begin, end, 0);
      });
      double before = 0;
      for (int64_t begin = 0; begin < s.size; begin += piece) {
        const double here = sums[begin / piece];
        sums[begin / piece] = before;
        before += here;
      }
      parallel_for(launch, s.size, piece, [&](int64_t begin, int64_t end) {
        sum_along<S, reverse, true>(x, y, s.size, begin, end, sums[begin / piece]);
      });
    }
    return;
  }
  const int64_t each = piece_elements / s.size;
  parallel_for(launch, s.outer, each > 1 ? each : 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      sum_along<S, reverse, true>(in + row * s.size, out + row * s.size, s.size, 0, s.size, 0);
  });
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
