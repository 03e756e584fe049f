// The arithmetic of the reductions: for every op and compute type a handful of loops over contiguous data, collected in a
// Reducer, which reduce.cpp drives without knowing the op. The accumulator of an output is
//
//   sum, prod          double for floats, the integer itself (wrapping) for integers
//   max, min           a value
//   argmax, argmin     a value and its position
//   any, all           a truth value
//   sum_squares        as sum, of the squares
//   deviations         mean, sum of squared deviations from it, and how many, joined by the formula of Chan, Golub, LeVeque
#pragma once
#include <cmath>
#include <type_traits>

#include "kernels/cpu/simd.h"
#include "kernels/integer.h"
#include "kernels/op_list.h"

namespace tg::TG_ISA {

inline constexpr int max_accumulator_bytes = 24;

struct Reducer {
  // acc[j] = the value of an empty reduction, for j < n.
  void (*start)(void* acc, int64_t n);
  // acc[i] takes row i of (rows, n), whose elements are elements first, first + 1, ... of each reduction.
  void (*rows)(void* acc, const void* x, int64_t stride, int64_t rows, int64_t n, int64_t first);
  // acc[j] takes column j of (rows, cols), whose rows are elements first, first + 1, ... of each reduction.
  void (*columns)(void* acc, const void* x, int64_t stride, int64_t rows, int64_t cols, int64_t first);
  // acc[j] takes other[j], which gathered later elements.
  void (*merge)(void* acc, const void* other, int64_t n);
  // out[j] = the answer, in the compute type.
  void (*finish)(void* out, const void* acc, int64_t n);
};

// The largest value of a type; the smallest is below it: minus infinity, or all bits turned over.
template <class T> constexpr T highest() {
  if constexpr (std::is_floating_point_v<T>) return T(HUGE_VAL);
  else return static_cast<T>(std::is_signed_v<T> ? ~(uint64_t{1} << (8 * sizeof(T) - 1)) : ~uint64_t{0});
}
template <class T> constexpr T lowest() {
  if constexpr (std::is_floating_point_v<T>) return T(-HUGE_VAL);
  else return static_cast<T>(~highest<T>());
}

// --- two values into one: for Vec, for double and for integers ----------------------------------------------------------

struct Add {
  template <class T> static constexpr T identity = T(0);
  template <class V> static V combine(V a, V b) { return a + b; }
  template <class T> static T across(Vec<T> v) { return reduce_add(v); }
};

struct Multiply {
  template <class T> static constexpr T identity = T(1);
  template <class V> static V combine(V a, V b) { return a * b; }
  template <class T> static T across(Vec<T> v) {
    return Native<T>::reduce(v.v, [](auto x, auto y) { return x * y; });
  }
};

struct Largest {
  template <class T> static constexpr T identity = lowest<T>();
  template <class V> static V combine(V a, V b) { return max(a, b); }
  template <class V> static V passing_nan(V x, V best) { return max_or_second(x, best); }
  template <class T> static bool better(T x, T best) { return x > best || (x != x && best == best); }  // NaN wins
  template <class T> static T across(Vec<T> v) { return reduce_max(v); }
};

struct Smallest {
  template <class T> static constexpr T identity = highest<T>();
  template <class V> static V combine(V a, V b) { return min(a, b); }
  template <class V> static V passing_nan(V x, V best) { return min_or_second(x, best); }
  template <class T> static bool better(T x, T best) { return x < best || (x != x && best == best); }
  template <class T> static T across(Vec<T> v) { return reduce_min(v); }
};

// Plain numbers, with wrap-around for integers.
template <class F, class T> [[gnu::always_inline]] static inline T combined(T a, T b) {
  if constexpr (requires { F::better(a, b); }) return F::better(b, a) ? b : a;
  else if constexpr (std::is_floating_point_v<T>) return F::combine(a, b);
  else return F::combine(Integer<T>{a}, Integer<T>{b}).value;
}

// What is done to an element first.
struct Itself {
  template <class V> static V of(V v) { return v; }
};
struct Squared {
  template <class V> static V of(V v) { return v * v; }
};

template <class M, class T> [[gnu::always_inline]] static inline T mapped(T x) {
  if constexpr (std::is_floating_point_v<T>) return M::of(x);
  else return M::of(Integer<T>{x}).value;
}

// --- one contiguous run into one value ----------------------------------------------------------------------------------

// The extreme of at least four registers without a look at NaN. Sums, which the adders do meanwhile, tell whether there may have
// been one: then, or if both infinities or an overflow met, `sure` becomes false.
template <class F, class T> [[gnu::always_inline]] static inline T fold_numbers(const T* x, int64_t n, bool& sure) {
  using V = Vec<T>;
  const V identity(F::template identity<T>);
  V best[4] = {identity, identity, identity, identity}, sum[4];
  for (int j = 0; j < 4; ++j) sum[j] = V(T(0));
  int64_t i = 0;
  const auto take = [&](V v, int j) { best[j] = F::passing_nan(v, best[j]), sum[j] += v; };
  for (; i + 4 * V::width <= n; i += 4 * V::width) {
    for (int j = 0; j < 4; ++j) take(V::load(x + i + j * V::width), j);
  }
  for (; i + V::width <= n; i += V::width) take(V::load(x + i), 0);
  if (i < n) take(V::load(x + n - V::width), 1);  // some of them again
  sure = !any(is_nan((sum[0] + sum[1]) + (sum[2] + sum[3])));
  return F::across(F::passing_nan(F::passing_nan(best[0], best[1]), F::passing_nan(best[2], best[3])));
}

template <class F, class T, class M = Itself> static T fold(const T* x, int64_t n) {
  if constexpr (!std::is_floating_point_v<T>) {
    T value = F::template identity<T>;
    for (int64_t i = 0; i < n; ++i) value = combined<F>(value, mapped<M>(x[i]));
    return value;
  } else {
    using V = Vec<T>;
    const V identity(F::template identity<T>);
    if (n < 4 * V::width) {  // the same tree without its empty branches: a short row is mostly overhead
      V chain = identity;
      int64_t i = 0;
      for (; i + V::width <= n; i += V::width) chain = F::combine(chain, M::of(V::load(x + i)));
      if (i < n) chain = F::combine(chain, M::of(V::load(x + i, n - i, F::template identity<T>)));
      return F::across(chain);
    }
    if constexpr (requires { F::passing_nan(identity, identity); }) {
      bool sure;
      const T best = fold_numbers<F>(x, n, sure);
      if (sure) return best;
    }
    V total[4] = {identity, identity, identity, identity};
    for (int64_t begin = 0; begin < n; begin += 1024) {  // short chains, then a chain of their results
      const int64_t end = begin + 1024 < n ? begin + 1024 : n;
      V chain[4] = {identity, identity, identity, identity};
      int64_t i = begin;
      for (; i + 4 * V::width <= end; i += 4 * V::width) {
        for (int j = 0; j < 4; ++j) chain[j] = F::combine(chain[j], M::of(V::load(x + i + j * V::width)));
      }
      for (; i < end; i += V::width) chain[0] = F::combine(chain[0], M::of(V::load(x + i, end - i, F::template identity<T>)));
      for (int j = 0; j < 4; ++j) total[j] = F::combine(total[j], chain[j]);
    }
    return F::across(F::combine(F::combine(total[0], total[1]), F::combine(total[2], total[3])));
  }
}

// value[j] = the fold of column j, eight rows to a step by a balanced tree. At most 512 rows, 256 columns.
template <class F, class T, class M = Itself> static void fold_columns(T* value, const T* x, int64_t stride, int64_t rows,
                                                                       int64_t cols) {
  for (int64_t c = 0; c < cols; ++c) value[c] = F::template identity<T>;
  int64_t r = 0;
  if constexpr (std::is_floating_point_v<T>) {
    using V = Vec<T>;
    for (; r + 8 <= rows; r += 8) {
      for (int64_t c = 0; c < cols; c += V::width) {
        const T* p = x + r * stride + c;
        V v[8];
        for (int k = 0; k < 8; ++k) v[k] = M::of(V::load(p + k * stride, cols - c));
        const V sum = F::combine(F::combine(F::combine(v[0], v[1]), F::combine(v[2], v[3])),
                                 F::combine(F::combine(v[4], v[5]), F::combine(v[6], v[7])));
        F::combine(V::load(value + c, cols - c), sum).store(value + c, cols - c);
      }
    }
  }
  for (; r < rows; ++r) {
#pragma omp simd
    for (int64_t c = 0; c < cols; ++c) value[c] = combined<F>(value[c], mapped<M>(x[r * stride + c]));
  }
}

// Where a value first occurs in x; it does. NaN finds NaN.
template <class T> static int64_t position_of(T value, const T* x, int64_t n) {
  int64_t i = 0;
  if constexpr (std::is_floating_point_v<T>) {
    using V = Vec<T>;
    const bool nan = value != value;
    for (; i + V::width <= n; i += V::width) {
      const V v = V::load(x + i);
      const uint32_t found = nan ? bits(is_nan(v)) : bits(v == V(value));
      if (found) return i + __builtin_ctz(found);
    }
    while (nan ? x[i] == x[i] : x[i] != value) ++i;
  } else {
    while (x[i] != value) ++i;
  }
  return i;
}

// --- the ops --------------------------------------------------------------------------------------------------------------

// sum, prod, max, min, sum_squares: one value per output.
template <class F, class T, class M = Itself> struct Fold {
  using Element = T;
  using Acc = std::conditional_t<std::is_floating_point_v<T> && !requires(T a) { F::better(a, a); }, double, T>;
  static constexpr Acc identity = F::template identity<Acc>;
  static void merge(Acc& acc, Acc other) { acc = combined<F>(acc, other); }
  static T answer(Acc acc) { return static_cast<T>(acc); }
  static void row(Acc& acc, const T* x, int64_t n, int64_t) { merge(acc, fold<F, T, M>(x, n)); }
  static void columns(Acc* acc, const T* x, int64_t stride, int64_t rows, int64_t cols, int64_t) {
    alignas(64) T value[256];
    fold_columns<F, T, M>(value, x, stride, rows, cols);
    for (int64_t c = 0; c < cols; ++c) merge(acc[c], value[c]);
  }
};

// deviations: the squares of a block are summed around the block's own mean, so a mean far from zero costs no digits.
template <class T> struct Deviations {
  using Element = T;
  using V = Vec<T>;
  struct Acc { double mean, squares, count; };
  static constexpr Acc identity = {0, 0, 0};
  static void merge(Acc& acc, Acc other) {
    if (other.count == 0) return;
    const double apart = other.mean - acc.mean, joined = acc.count + other.count, share = other.count / joined;
    acc.mean += apart * share;
    acc.squares += other.squares + apart * apart * (acc.count * share);
    acc.count = joined;
  }
  static T answer(Acc acc) { return static_cast<T>(acc.squares); }
  static void row(Acc& acc, const T* x, int64_t n, int64_t) {
    for (int64_t begin = 0; begin < n; begin += 2048) {
      const int64_t m = begin + 2048 < n ? 2048 : n - begin;
      const T* const p = x + begin;
      const double mean = static_cast<double>(fold<Add, T>(p, m)) / static_cast<double>(m);
      const T centre = static_cast<T>(mean);
      V sum[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
      int64_t i = 0;
      for (; i + 4 * V::width <= m; i += 4 * V::width) {
        for (int j = 0; j < 4; ++j) {
          const V d = V::load(p + i + j * V::width) - V(centre);
          sum[j] = fma(d, d, sum[j]);
        }
      }
      for (; i < m; i += V::width) {
        const V d = V::load(p + i, m - i, centre) - V(centre);
        sum[0] = fma(d, d, sum[0]);
      }
      const double rounding = mean - static_cast<double>(centre), squares = reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3]));
      merge(acc, {mean, squares - static_cast<double>(m) * rounding * rounding, static_cast<double>(m)});
    }
  }
  static void columns(Acc* acc, const T* x, int64_t stride, int64_t rows, int64_t cols, int64_t) {
    constexpr int64_t block = 64;
    alignas(64) T centre[256], squares[256];
    for (int64_t r0 = 0; r0 < rows; r0 += block) {
      const int64_t m = r0 + block < rows ? block : rows - r0;
      const T* const p = x + r0 * stride;
      fold_columns<Add, T>(centre, p, stride, m, cols);
      const T per = T(1) / static_cast<T>(m);
#pragma omp simd
      for (int64_t c = 0; c < cols; ++c) centre[c] *= per, squares[c] = 0;
      fold_deviations(squares, centre, p, stride, m, cols);
      for (int64_t c = 0; c < cols; ++c)
        merge(acc[c], {static_cast<double>(centre[c]), static_cast<double>(squares[c]), static_cast<double>(m)});
    }
  }

 private:
  static void fold_deviations(T* squares, const T* centre, const T* x, int64_t stride, int64_t rows, int64_t cols) {
    for (int64_t c = 0; c < cols; c += V::width) {
      const V mean = V::load(centre + c, cols - c);
      V sum[2] = {V(T(0)), V(T(0))};
      for (int64_t r = 0; r < rows; ++r) {
        const V d = V::load(x + r * stride + c, cols - c) - mean;
        sum[r & 1] = fma(d, d, sum[r & 1]);
      }
      (sum[0] + sum[1]).store(squares + c, cols - c);
    }
  }
};

// argmax, argmin: the first extreme value and where it is.
template <class F, class T> struct Position {
  using Element = T;
  struct Acc {
    T value;
    int64_t at;  // < 0: nothing yet
  };
  static constexpr Acc identity = {F::template identity<T>, -1};
  static void merge(Acc& acc, Acc other) {
    if (other.at >= 0 && (acc.at < 0 || F::better(other.value, acc.value))) acc = other;
  }
  static int64_t answer(Acc acc) { return acc.at; }
  // The extreme of a block is found at vector speed; only where it beats what came before is its place looked for.
  static void row(Acc& acc, const T* x, int64_t n, int64_t first) {
    for (int64_t begin = 0; begin < n; begin += 1024) {
      const int64_t end = begin + 1024 < n ? begin + 1024 : n;
      const T value = fold<F>(x + begin, end - begin);
      if (acc.at >= 0 && !F::better(value, acc.value)) continue;
      acc = {value, first + begin + position_of(value, x + begin, end - begin)};
    }
  }
  static void columns(Acc* acc, const T* x, int64_t stride, int64_t rows, int64_t cols, int64_t first) {
    alignas(64) T value[256];
    alignas(64) int32_t at[256];
    for (int64_t c = 0; c < cols; ++c) value[c] = x[c], at[c] = 0;
    for (int64_t r = 1; r < rows; ++r) {
      const T* row = x + r * stride;
#pragma omp simd
      for (int64_t c = 0; c < cols; ++c) {
        const bool better = F::better(row[c], value[c]);
        value[c] = better ? row[c] : value[c];
        at[c] = better ? static_cast<int32_t>(r) : at[c];
      }
    }
    for (int64_t c = 0; c < cols; ++c) merge(acc[c], {value[c], first + at[c]});
  }
};

// any (wanted = true) and all (wanted = false): has an element been seen whose truth is `wanted`?
template <bool wanted, class T> struct Seen {
  using Element = T;
  using Acc = bool;
  static constexpr Acc identity = false;
  static void merge(Acc& acc, Acc other) { acc = acc || other; }
  static bool answer(Acc acc) { return acc == wanted; }
  static void row(Acc& acc, const T* x, int64_t n, int64_t) {
    for (int64_t begin = 0; begin < n && !acc; begin += 1024) {
      const int64_t end = begin + 1024 < n ? begin + 1024 : n;
      int seen = 0;
      for (int64_t i = begin; i < end; ++i) seen |= (x[i] != 0) == wanted;
      acc = seen != 0;
    }
  }
  static void columns(Acc* acc, const T* x, int64_t stride, int64_t rows, int64_t cols, int64_t) {
    for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
      for (int64_t c = 0; c < cols; ++c) acc[c] = acc[c] | ((x[r * stride + c] != 0) == wanted);
    }
  }
};

// --- as function pointers -------------------------------------------------------------------------------------------------

template <class R> struct Erased {
  using Acc = typename R::Acc;
  using T = typename R::Element;
  static_assert(sizeof(Acc) <= max_accumulator_bytes);

  static void start(void* acc, int64_t n) {
    for (int64_t j = 0; j < n; ++j) static_cast<Acc*>(acc)[j] = R::identity;
  }
  static void rows(void* acc, const void* x, int64_t stride, int64_t rows, int64_t n, int64_t first) {
    for (int64_t i = 0; i < rows; ++i) R::row(static_cast<Acc*>(acc)[i], static_cast<const T*>(x) + i * stride, n, first);
  }
  static void columns(void* acc, const void* x, int64_t stride, int64_t rows, int64_t cols, int64_t first) {
    R::columns(static_cast<Acc*>(acc), static_cast<const T*>(x), stride, rows, cols, first);
  }
  static void merge(void* acc, const void* other, int64_t n) {
    for (int64_t j = 0; j < n; ++j) R::merge(static_cast<Acc*>(acc)[j], static_cast<const Acc*>(other)[j]);
  }
  static void finish(void* out, const void* acc, int64_t n) {
    auto* answers = static_cast<decltype(R::answer(Acc{}))*>(out);
    for (int64_t j = 0; j < n; ++j) answers[j] = R::answer(static_cast<const Acc*>(acc)[j]);
  }
  static constexpr Reducer table = {start, rows, columns, merge, finish};
};

template <ReduceOp op, class T> static constexpr const Reducer* reducer_of() {
  if constexpr (op == ReduceOp::sum) return &Erased<Fold<Add, T>>::table;
  else if constexpr (op == ReduceOp::prod) return &Erased<Fold<Multiply, T>>::table;
  else if constexpr (op == ReduceOp::max) return &Erased<Fold<Largest, T>>::table;
  else if constexpr (op == ReduceOp::min) return &Erased<Fold<Smallest, T>>::table;
  else if constexpr (op == ReduceOp::argmax) return &Erased<Position<Largest, T>>::table;
  else if constexpr (op == ReduceOp::argmin) return &Erased<Position<Smallest, T>>::table;
  else if constexpr (op == ReduceOp::sum_squares) return &Erased<Fold<Add, T, Squared>>::table;
  else if constexpr (op == ReduceOp::deviations && std::is_floating_point_v<T>) return &Erased<Deviations<T>>::table;
  else if constexpr (op == ReduceOp::deviations) return nullptr;
  else if constexpr (op == ReduceOp::any) return &Erased<Seen<true, T>>::table;
  else return &Erased<Seen<false, T>>::table;
}

// A bool is a byte that is 0 or 1: that is enough for all but sum and prod, which PyTorch does in integers.
template <ReduceOp op> static const Reducer* reducer_for(DType type) {
  switch (type) {
    case DType::f32: return reducer_of<op, float>();
    case DType::f64: return reducer_of<op, double>();
    case DType::i64: return reducer_of<op, int64_t>();
    case DType::i32: return reducer_of<op, int32_t>();
    case DType::i8: return reducer_of<op, int8_t>();
    case DType::u8: return reducer_of<op, uint8_t>();
    case DType::b8:
      return op == ReduceOp::sum || op == ReduceOp::prod || op == ReduceOp::sum_squares ? nullptr : reducer_of<op, uint8_t>();
    default: return nullptr;
  }
}

}  // namespace tg::TG_ISA
