// From a functor of functors.h to a row of the kernel table: its loop over contiguous data for every type it accepts. How
// strided, broadcast, scalar and 16-bit operands get to that loop is elementwise_loop.h.
//
// Numerics: float32 and the 16-bit floats compute in float32, float64 in itself, integers in themselves with wrap-around
// (integer.h). The last, partial vector of a loop goes through the same instructions with masked loads and stores: the bits
// of an element do not depend on where it stands.
#pragma once
#include <cmath>
#include <type_traits>

#include "kernels/cpu/bf16_pairs.h"
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

template <class T> constexpr bool is_16_bit_float = dtype_of<T> == DType::bf16 || dtype_of<T> == DType::f16;
template <class T> constexpr bool is_float_type = dtype_of<T> == DType::f32 || dtype_of<T> == DType::f64 || is_16_bit_float<T>;

// 16-bit floats are computed with in float32. An operand of their loops: n elements, or one value as a register of float32.
template <class T> struct HalfInput {
  using V = Vec<float>;
  const T* p;
  V value = V(0.0f);
  bool is_value;

  TG_INLINE HalfInput(const void* data, bool is_value) : p(static_cast<const T*>(data)), is_value(is_value) {
    if (is_value) value = V::load(static_cast<const float*>(data));
  }
  TG_INLINE V at(int64_t i, int64_t n) const { return is_value ? value : V::load(p + i, n); }
  TG_INLINE Bf16Pairs pairs(int64_t i) const { return is_value ? Bf16Pairs{value, value} : Bf16Pairs::load(p + i); }
};

template <class F, class T, class... In> TG_INLINE void half_loop(T* out, int64_t n, const In&... in) {
  int64_t i = 0;
  if constexpr (dtype_of<T> == DType::bf16) {
    for (; i + Bf16Pairs::width <= n; i += Bf16Pairs::width)
      Bf16Pairs{F{}(in.pairs(i).even...), F{}(in.pairs(i).odd...)}.store(out + i);
  }
  constexpr int width = Vec<float>::width;
  for (; i + width <= n; i += width) F{}(in.at(i, width)...).store(out + i);
  if (i < n) F{}(in.at(i, n - i)...).store(out + i, n - i);
}

template <class F, class T> static void unary_loop(void* const* data, int64_t n, unsigned) {
  T* out = static_cast<T*>(data[0]);
  const T* x = static_cast<const T*>(data[1]);
  if constexpr (is_16_bit_float<T>) {
    half_loop<F>(out, n, HalfInput<T>(x, false));
  } else if constexpr (is_float_type<T>) {
    using V = Vec<T>;
    int64_t i = 0;
    for (; i + V::width <= n; i += V::width) F{}(V::load(x + i)).store(out + i);
    if (i < n) F{}(V::load(x + i, n - i)).store(out + i, n - i);
  } else {
    using V = Integer<T>;
#pragma omp simd  // the output is an input or apart from it, never shifted against it
    for (int64_t i = 0; i < n; ++i) out[i] = F{}(V{x[i]}).value;
  }
}

// One register, read in halves of 32 bytes: out of the third-level cache Zen 4 reads two or three arrays 8 % faster that way
// than 64 bytes at a time, and elsewhere as fast.
template <class T> TG_INLINE Vec<T> load_halves(const T* p) {
#if defined(__AVX512F__)
  if constexpr (dtype_of<T> == DType::f32)
    return Vec<T>::raw(_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(p)), _mm256_loadu_ps(p + 8), 1));
  else return Vec<T>::raw(_mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(p)), _mm256_loadu_pd(p + 4), 1));
#else
  return Vec<T>::load(p);
#endif
}

// A repeated operand's pointer stands still.
template <class F, class T> static void binary_loop(void* const* data, int64_t n, [[maybe_unused]] unsigned repeated) {
  T* out = static_cast<T*>(data[0]);
  const T* a = static_cast<const T*>(data[1]);
  const T* b = static_cast<const T*>(data[2]);
  if constexpr (is_16_bit_float<T>) {
    half_loop<F>(out, n, HalfInput<T>(a, repeated & 2), HalfInput<T>(b, repeated & 4));
  } else if constexpr (is_float_type<T>) {
    using V = Vec<T>;
    const int64_t step_a = repeated & 2 ? 0 : V::width, step_b = repeated & 4 ? 0 : V::width;
    int64_t i = 0;
    for (; i + V::width <= n; i += V::width, a += step_a, b += step_b) F{}(load_halves(a), load_halves(b)).store(out + i);
    if (i < n) F{}(V::load(a, n - i), V::load(b, n - i)).store(out + i, n - i);
  } else {
    using V = Integer<T>;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = F{}(V{a[i]}, V{b[i]}).value;
  }
}

template <class F, class T> static void ternary_loop(void* const* data, int64_t n, [[maybe_unused]] unsigned repeated) {
  T* out = static_cast<T*>(data[0]);
  const T* a = static_cast<const T*>(data[1]);
  const T* b = static_cast<const T*>(data[2]);
  const T* c = static_cast<const T*>(data[3]);
  if constexpr (is_float_type<T>) {
    using V = Vec<T>;
    const int64_t step_a = repeated & 2 ? 0 : V::width, step_b = repeated & 4 ? 0 : V::width;
    const int64_t step_c = repeated & 8 ? 0 : V::width;
    int64_t i = 0;
    for (; i + V::width <= n; i += V::width, a += step_a, b += step_b, c += step_c)
      F{}(load_halves(a), load_halves(b), load_halves(c)).store(out + i);
    if (i < n) F{}(V::load(a, n - i), V::load(b, n - i), V::load(c, n - i)).store(out + i, n - i);
  } else {
    using V = Integer<T>;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = F{}(V{a[i]}, V{b[i]}, V{c[i]}).value;
  }
}

// Functions that take less time than moving their operands: these have loops over 16-bit floats of their own. The others
// are given float32, converted through a buffer.
template <class F, class... Others> inline constexpr bool is_one_of = (std::is_same_v<F, Others> || ...);
template <class F>
inline constexpr bool is_light =
    is_one_of<F, unary_neg, unary_abs, unary_square, unary_relu, unary_sqrt, binary_add, binary_sub, binary_mul, binary_div,
              binary_maximum, binary_minimum, binary_relu_backward>;

// The loop of functor F for type T, or null where F does not take it.
template <class F, class T> constexpr Loop unary_for() {
  constexpr unsigned domain = is_float_type<T> ? floats : dtype_of<T> == DType::b8 ? booleans : integers;
  if constexpr ((F::domain & domain) != 0 && (is_light<F> || !is_16_bit_float<T>)) return unary_loop<F, T>;
  else return nullptr;
}
template <class F, class T> constexpr Loop binary_for() {
  constexpr unsigned domain = is_float_type<T> ? floats : dtype_of<T> == DType::b8 ? booleans : integers;
  if constexpr ((F::domain & domain) != 0 && (is_light<F> || !is_16_bit_float<T>)) return binary_loop<F, T>;
  else return nullptr;
}

template <class F, class T> constexpr Loop ternary_for() {
  constexpr unsigned domain = is_float_type<T> ? floats : dtype_of<T> == DType::b8 ? booleans : integers;
  if constexpr ((F::domain & domain) != 0 && (is_light<F> || !is_16_bit_float<T>)) return ternary_loop<F, T>;
  else return nullptr;
}

// One loop per type of element, by DType; null for 16-bit floats where float32's is to be used.
#define TG_BY_TYPE(loop_for, F)                                                                                  \
  {loop_for<F, float>(),   loop_for<F, double>(),  loop_for<F, bf16>(),  loop_for<F, f16>(), loop_for<F, int64_t>(), \
   loop_for<F, int32_t>(), loop_for<F, int8_t>(), loop_for<F, uint8_t>(), loop_for<F, bool>()}

template <class F> constexpr Loop unary_loops[dtype_count] = TG_BY_TYPE(unary_for, F);
template <class F> constexpr Loop binary_loops[dtype_count] = TG_BY_TYPE(binary_for, F);
template <class F> constexpr Loop ternary_loops[dtype_count] = TG_BY_TYPE(ternary_for, F);
#undef TG_BY_TYPE

// --- rows of the kernel table --------------------------------------------------------------------------------------------

// The type of the loop's elements: the output's own where there is a loop for it, else the one it computes in.
static DType loop_type(DType type, const Loop* loops) { return loops[static_cast<int>(type)] ? type : compute_type(type); }

template <class F> static Status unary_row(const Launch& launch, const Strided<2>& view) {
  const DType type = loop_type(view.operand[0].dtype, unary_loops<F>);
  return run_elementwise<2>(launch, view, unary_loops<F>[static_cast<int>(type)], { type, type });
}

template <class F> static Status binary_row(const Launch& launch, const Strided<3>& view) {
  const DType type = loop_type(view.operand[0].dtype, binary_loops<F>);
  return run_elementwise<3>(launch, view, binary_loops<F>[static_cast<int>(type)], { type, type, type });
}

template <class F> static Status ternary_row(const Launch& launch, const Strided<4>& view) {
  const DType type = loop_type(view.operand[0].dtype, ternary_loops<F>);
  return run_elementwise<4>(launch, view, ternary_loops<F>[static_cast<int>(type)], { type, type, type, type });
}

}  // namespace tg::TG_ISA
