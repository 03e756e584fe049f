// Elementwise functions: out[i] = f(a[i]), f(a[i], b[i]), a[i] < b[i], mask[i] ? a[i] : b[i].
//
// The arithmetic is in functors.h, the loops over contiguous data in elementwise_rows.h; how strided, broadcast, scalar and
// 16-bit operands get there is elementwise_loop.h. The functions that take longer are in elementwise_functions.cpp.
//
// Cost: bytes read plus bytes written, at 1 FLOP or so per element, so memory is the limit; the functions of simd_math.h
// take 10 to 40 FLOPs. Numerics: float32 and the 16-bit floats compute in float32, float64 in itself, integers in
// themselves with wrap-around (integer.h). The last, partial vector of a loop goes through the same instructions with
// masked loads and stores: the bits of an element do not depend on where it stands.
#include "kernels/cpu/elementwise_rows.h"

namespace tg::TG_ISA {

template <class F, class T> static void compare_loop(void* const* data, int64_t n, unsigned) {
  bool* out = static_cast<bool*>(data[0]);
  const T* a = static_cast<const T*>(data[1]);
  const T* b = static_cast<const T*>(data[2]);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = F{}(a[i], b[i]);
}

// Moves bits, so one loop serves all types of a size. The choice is made by masking, which vectorises with a mask of bytes.
template <int bytes> static void where_loop(void* const* data, int64_t n, unsigned) {
  using U = typename BitsOf<bytes>::type;
  U* out = static_cast<U*>(data[0]);
  const uint8_t* mask = static_cast<const uint8_t*>(data[1]);
  const U* a = static_cast<const U*>(data[2]);
  const U* b = static_cast<const U*>(data[3]);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const U keep = static_cast<U>(0 - static_cast<U>(mask[i]));  // all bits or none
    out[i] = static_cast<U>((a[i] & keep) | (b[i] & ~keep));
  }
}

template <class F> constexpr Loop compare_loops[dtype_count] = {
    compare_loop<F, float>,  compare_loop<F, double>,  compare_loop<F, float>,
    compare_loop<F, float>,  compare_loop<F, int64_t>, compare_loop<F, int32_t>,
    compare_loop<F, int8_t>, compare_loop<F, uint8_t>, compare_loop<F, bool>};

template <class F> static Status compare_row(const Launch& launch, const Strided<3>& view) {
  const DType type = compute_type(view.operand[view.operand[1].data ? 1 : 2].dtype);
  return run_elementwise<3>(launch, view, compare_loops<F>[static_cast<int>(type)], { DType::b8, type, type });
}

// Powers that are a product or a root: a tenth of the work of the general one, which goes through double precision.
struct cube : OnFloats {
  template <class V> TG_FUNCTOR V operator()(V x) const { return x * x * x; }
};
struct inverse_square : OnFloats {
  template <class V> TG_FUNCTOR V operator()(V x) const { return constant<V>(1) / (x * x); }
};
static Loop loop_of_power(double exponent, DType type) {
  const int t = static_cast<int>(type);
  if (exponent == 2) return unary_loops<unary_square>[t];
  if (exponent == 3) return unary_loops<cube>[t];
  if (exponent == 0.5) return unary_loops<unary_sqrt>[t];
  if (exponent == -0.5) return unary_loops<unary_rsqrt>[t];
  if (exponent == -1) return unary_loops<unary_reciprocal>[t];
  if (exponent == -2) return unary_loops<inverse_square>[t];
  return nullptr;
}
static Status pow_row(const Launch& launch, const Strided<3>& view) {
  const DType type = compute_type(view.operand[0].dtype);
  const bool number = view.operand[1].data && !view.operand[2].data && is_floating(type);
  const Loop loop = number ? loop_of_power(view.operand[2].scalar.real, type) : nullptr;
  if (!loop) return binary_row<binary_pow>(launch, view);
  Strided<2> base;
  base.ndim = view.ndim;
  for (int d = 0; d < view.ndim; ++d) base.shape[d] = view.shape[d];
  for (int k = 0; k < 2; ++k) {
    base.operand[k].data = view.operand[k].data;
    base.operand[k].dtype = view.operand[k].dtype;
    for (int d = 0; d < view.ndim; ++d) base.operand[k].strides[d] = view.operand[k].strides[d];
  }
  return run_elementwise<2>(launch, base, loop, {type, type});
}
template <class F> constexpr auto row_of = binary_row<F>;
template <> constexpr auto row_of<binary_pow> = pow_row;

#define TG_ROW(name) unary_row<unary_##name>,
extern Status (*const unary_rows[unary_basic_count])(const Launch&, const Strided<2>&) = {TG_UNARY_BASIC(TG_ROW)};
#undef TG_ROW
#define TG_ROW(name) row_of<binary_##name>,
extern Status (*const binary_rows[binary_basic_count])(const Launch&, const Strided<3>&) = {TG_BINARY_BASIC(TG_ROW)};
#undef TG_ROW
#define TG_ROW(name) compare_row<compare_##name>,
extern Status (*const compare_rows[compare_count])(const Launch&, const Strided<3>&) = {TG_COMPARE_OPS(TG_ROW)};
#undef TG_ROW

Status where(const Launch& launch, const Strided<4>& view) {
  const DType type = view.operand[0].dtype;  // 16-bit floats stay as they are
  const int element = size_of(type);
  const Loop loop = element == 1 ? where_loop<1> : element == 2 ? where_loop<2> : element == 4 ? where_loop<4> : where_loop<8>;
  return run_elementwise<4>(launch, view, loop, {type, DType::b8, type, type});
}

}  // namespace tg::TG_ISA
