// Walking along one row in registers, for the kernels whose every output needs its whole row (softmax, losses, norms).
#pragma once
#include "kernels/cpu/simd_math.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

// The type a storage type is computed in.
template <class S> struct compute_type_of { using type = float; };
template <> struct compute_type_of<double> { using type = double; };
template <class S> using Compute = typename compute_type_of<S>::type;

// Calls f(i, count, slot) for consecutive registers of [0, n): elements i .. i + count - 1, where a count of Vec<T>::width
// or more means a full register. `slot` goes round 0 .. slots-1, so that sums can be kept in several registers and one
// addition need not wait for the one before; it is a constant once inlined, and depends on i alone.
template <class T, int slots, class F> TG_INLINE void for_each_register(int64_t n, const F& f) {
  constexpr int64_t width = Vec<T>::width;
  int64_t i = 0;
  for (; i + slots * width <= n; i += slots * width) {
    f(i, width, 0);
    if constexpr (slots > 1) f(i + width, width, 1);
    if constexpr (slots > 2) f(i + 2 * width, width, 2), f(i + 3 * width, width, 3);
  }
  if (i < n) f(i, n - i, 0);
  if (slots > 1 && i + width < n) f(i + width, n - i - width, 1);
  if constexpr (slots > 2) {
    if (i + 2 * width < n) f(i + 2 * width, n - i - 2 * width, 2);
    if (i + 3 * width < n) f(i + 3 * width, n - i - 3 * width, 3);
  }
}

// The sum of term(i, count) over a row, by a tree that depends on n alone; lanes past count must be zero.
template <class T, int slots = 4, class F> TG_INLINE T sum_of(int64_t n, const F& term) {
  Vec<T> sum[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
  for_each_register<T, slots>(n, [&](int64_t i, int64_t count, int slot) TG_INLINE_LAMBDA { sum[slot] += term(i, count); });
  return reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// The largest of n elements, NaN ones passed over; -infinity if there is none.
template <class T, class S> TG_INLINE T max_of(const S* x, int64_t n) {
  const T lowest = -Format<T>::infinity;
  Vec<T> high[4] = {Vec<T>(lowest), Vec<T>(lowest), Vec<T>(lowest), Vec<T>(lowest)};
  for_each_register<T, 4>(n, [&](int64_t i, int64_t count, int slot) TG_INLINE_LAMBDA {
    high[slot] = max_or_second(Vec<T>::load(x + i, count, lowest), high[slot]);
  });
  return reduce_max(max_or_second(max_or_second(high[0], high[1]), max_or_second(high[2], high[3])));
}

// The logarithm of one number, with the bits the vector version gives.
template <class T> TG_INLINE T log_of(T x) {
  T lanes[Vec<T>::width];
  log(Vec<T>(x)).store(lanes);
  return lanes[0];
}

// Rows handled by one thread at a time: about 32,768 elements, some tens of microseconds of work.
TG_INLINE int64_t rows_per_piece(int64_t cols) {
  const int64_t rows = 32768 / (cols + 1);
  return rows > 1 ? rows : 1;
}

// Calls f.operator()<S>() with the storage type of a floating dtype.
template <class F> TG_INLINE Status visit_floating(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f32: return f.template operator()<float>();
    case DType::f64: return f.template operator()<double>();
    case DType::bf16: return f.template operator()<bf16>();
    case DType::f16: return f.template operator()<f16>();
    default: return {Status::missing};
  }
}

template <class S> TG_INLINE S* row(const Rows& r, int64_t i) { return static_cast<S*>(r.data) + i * r.row_stride; }

}  // namespace tg::TG_ISA
