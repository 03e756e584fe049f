// From a functor of functors.h to a row of the kernel table: its loop over contiguous data for every type it accepts. How
// strided, broadcast, scalar and 16-bit operands get to that loop is elementwise_loop.h.
//
// Numerics: float32 and the 16-bit floats compute in float32, float64 in itself, integers in themselves with wrap-around
// (integer.h). The last, partial vector of a loop goes through the same instructions with masked loads and stores: the bits
// of an element do not depend on where it stands.
#pragma once
#include <cmath>

#include "kernels/cpu/elementwise_loop.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd_functions.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/functors.h"
#include "kernels/op_list.h"

namespace tg::TG_ISA {

// The exact remainder of a float division, with the sign of a. While the quotient fits 29 bits, double arithmetic finds it:
// a / b differs from a whole number by more than rounding can bridge, and quotient * b takes at most 29 + 24 bits.
// Where some lane is huge, infinite or NaN the vector goes to the C library, as do all doubles.
[[gnu::always_inline]] static inline Vec<float> fmod(Vec<float> a, Vec<float> b) {
  using V = Vec<double>;
  const V a0 = widen_low(a), a1 = widen_high(a), b0 = widen_low(b), b1 = widen_high(b);
  const V q0 = trunc(a0 / b0), q1 = trunc(a1 / b1), limit(0x1p29), zero(0.0);
  if (!all((abs(q0) < limit) & (abs(q1) < limit))) return map_lanes(a, b, [](float x, float y) { return ::fmodf(x, y); });
  const V r0 = select(q0 == zero, a0, a0 - q0 * b0), r1 = select(q1 == zero, a1, a1 - q1 * b1);  // 0 * infinity is NaN
  return copysign(narrow(r0, r1), a);
}
[[gnu::always_inline]] static inline Vec<double> fmod(Vec<double> a, Vec<double> b) {
  return map_lanes(a, b, [](double x, double y) { return ::fmod(x, y); });
}

// What a loop over T holds in its registers.
template <class T> struct RegisterOf { using type = Integer<T>; };
template <> struct RegisterOf<float> { using type = Vec<float>; };
template <> struct RegisterOf<double> { using type = Vec<double>; };

template <class T> constexpr bool is_float_type = dtype_of<T> == DType::f32 || dtype_of<T> == DType::f64;

template <class F, class T> static void unary_loop(void* const* data, int64_t n) {
  using V = typename RegisterOf<T>::type;
  T* out = static_cast<T*>(data[0]);
  const T* x = static_cast<const T*>(data[1]);
  if constexpr (is_float_type<T>) {
    int64_t i = 0;
    for (; i + V::width <= n; i += V::width) F{}(V::load(x + i)).store(out + i);
    if (i < n) F{}(V::load(x + i, n - i)).store(out + i, n - i);
  } else {
#pragma omp simd  // the output is an input or apart from it, never shifted against it
    for (int64_t i = 0; i < n; ++i) out[i] = F{}(V{x[i]}).value;
  }
}

template <class F, class T> static void binary_loop(void* const* data, int64_t n) {
  using V = typename RegisterOf<T>::type;
  T* out = static_cast<T*>(data[0]);
  const T* a = static_cast<const T*>(data[1]);
  const T* b = static_cast<const T*>(data[2]);
  if constexpr (!is_float_type<T>) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = F{}(V{a[i]}, V{b[i]}).value;
  } else {
    int64_t i = 0;
    for (; i + V::width <= n; i += V::width) F{}(V::load(a + i), V::load(b + i)).store(out + i);
    if (i < n) F{}(V::load(a + i, n - i), V::load(b + i, n - i)).store(out + i, n - i);
  }
}

template <class F, class T> static void ternary_loop(void* const* data, int64_t n) {
  using V = typename RegisterOf<T>::type;
  T* out = static_cast<T*>(data[0]);
  const T* a = static_cast<const T*>(data[1]);
  const T* b = static_cast<const T*>(data[2]);
  const T* c = static_cast<const T*>(data[3]);
  if constexpr (!is_float_type<T>) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = F{}(V{a[i]}, V{b[i]}, V{c[i]}).value;
  } else {
    int64_t i = 0;
    for (; i + V::width <= n; i += V::width) F{}(V::load(a + i), V::load(b + i), V::load(c + i)).store(out + i);
    if (i < n) F{}(V::load(a + i, n - i), V::load(b + i, n - i), V::load(c + i, n - i)).store(out + i, n - i);
  }
}

// The loop of functor F for type T, or null where F does not take it.
template <class F, class T> constexpr Loop unary_for() {
  constexpr unsigned domain = is_float_type<T> ? floats : dtype_of<T> == DType::b8 ? booleans : integers;
  if constexpr ((F::domain & domain) != 0) return unary_loop<F, T>;
  else return nullptr;
}
template <class F, class T> constexpr Loop binary_for() {
  constexpr unsigned domain = is_float_type<T> ? floats : dtype_of<T> == DType::b8 ? booleans : integers;
  if constexpr ((F::domain & domain) != 0) return binary_loop<F, T>;
  else return nullptr;
}

template <class F, class T> constexpr Loop ternary_for() {
  constexpr unsigned domain = is_float_type<T> ? floats : dtype_of<T> == DType::b8 ? booleans : integers;
  if constexpr ((F::domain & domain) != 0) return ternary_loop<F, T>;
  else return nullptr;
}

// One loop per compute type, by DType; the 16-bit floats use float's.
#define TG_BY_TYPE(loop_for, F)                                                                                  \
  {loop_for<F, float>(),   loop_for<F, double>(),  loop_for<F, float>(),  loop_for<F, float>(), loop_for<F, int64_t>(), \
   loop_for<F, int32_t>(), loop_for<F, int8_t>(), loop_for<F, uint8_t>(), loop_for<F, bool>()}

template <class F> constexpr Loop unary_loops[dtype_count] = TG_BY_TYPE(unary_for, F);
template <class F> constexpr Loop binary_loops[dtype_count] = TG_BY_TYPE(binary_for, F);
template <class F> constexpr Loop ternary_loops[dtype_count] = TG_BY_TYPE(ternary_for, F);
#undef TG_BY_TYPE

// --- rows of the kernel table --------------------------------------------------------------------------------------------

template <class F> static Status unary_row(const Launch& launch, const Strided<2>& view) {
  const DType type = compute_type(view.operand[0].dtype);
  return run_elementwise<2>(launch, view, unary_loops<F>[static_cast<int>(type)], { type, type });
}

template <class F> static Status binary_row(const Launch& launch, const Strided<3>& view) {
  const DType type = compute_type(view.operand[0].dtype);
  return run_elementwise<3>(launch, view, binary_loops<F>[static_cast<int>(type)], { type, type, type });
}

template <class F> static Status ternary_row(const Launch& launch, const Strided<4>& view) {
  const DType type = compute_type(view.operand[0].dtype);
  return run_elementwise<4>(launch, view, ternary_loops<F>[static_cast<int>(type)], { type, type, type, type });
}

}  // namespace tg::TG_ISA
