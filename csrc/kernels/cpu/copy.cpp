// copy: out[i] = in[i] from any element type to any other, any strides on both sides; the input may be a number (a fill).
//
//   float -> integer   towards zero. NaN becomes 0; int64 and int32 stop at their smallest and largest value; int8 and uint8
//                      keep the low 8 bits of the int32, as PyTorch does, so that -1.0 becomes 255
//   integer -> integer keeps the low bits
//   anything -> bool   whether it is not zero (a NaN is not zero)
//   -> bfloat16, float16   to nearest, ties to even, by way of float32
//
// Cost: bytes read plus bytes written. Equal types side by side are a memcpy; a transposed copy goes tile by tile through a
// buffer (strided_tile.h), so that each cache line on either side is fetched once.
#include "kernels/cpu/elementwise_loop.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

template <class T> constexpr bool is_16_bit_float = dtype_of<T> == DType::bf16 || dtype_of<T> == DType::f16;

// The nearest value of Whole (int32_t or int64_t), towards zero. The limits are powers of two, exact in F.
template <class Whole, class F> [[gnu::always_inline]] static inline Whole truncated(F x) {
  constexpr F limit = sizeof(Whole) == 8 ? F(0x1p63) : F(0x1p31);
  constexpr Whole smallest = static_cast<Whole>(uint64_t{1} << (8 * sizeof(Whole) - 1));
  if (x != x) return 0;
  if (x >= limit) return ~smallest;
  if (x < -limit) return smallest;
  return static_cast<Whole>(x);
}

template <class To, class From> [[gnu::always_inline]] static inline To converted(From x) {
  constexpr DType to = dtype_of<To>;
  if constexpr (is_16_bit_float<From>) return converted<To>(to_float(x));
  else if constexpr (to == DType::bf16) return to_bf16(static_cast<float>(x));
  else if constexpr (to == DType::f16) return to_f16(static_cast<float>(x));
  else if constexpr (to == DType::b8) return x != 0;
  else if constexpr (is_floating(dtype_of<From>) && to == DType::i64) return truncated<int64_t>(x);
  else if constexpr (is_floating(dtype_of<From>) && is_integral(to)) return static_cast<To>(truncated<int32_t>(x));
  else return static_cast<To>(x);
}

// Registers in and out. A large memcpy is `rep movsb`, which takes half as long again in the caches of Zen 4.
static void copy_bytes(char* out, const char* in, int64_t bytes) {
  using V = Vec<float>;
  constexpr int64_t width = V::width * 4;
  int64_t i = 0;
  for (; i + width <= bytes; i += width) {
    V v;
    __builtin_memcpy(&v, in + i, sizeof v);
    __builtin_memcpy(out + i, &v, sizeof v);
  }
  if (i < bytes) copy_row(out + i, in + i, bytes - i);
}

template <class To, class From> static void convert_loop(void* const* data, int64_t n, unsigned) {
  To* out = static_cast<To*>(data[0]);
  const From* in = static_cast<const From*>(data[1]);
  constexpr bool halves =
      (is_16_bit_float<To> && dtype_of<From> == DType::f32) || (is_16_bit_float<From> && dtype_of<To> == DType::f32);
  if constexpr (dtype_of<To> == dtype_of<From>)
    copy_bytes(static_cast<char*>(data[0]), static_cast<const char*>(data[1]), n * int64_t{sizeof(To)});
  else if constexpr (halves) convert_floats(out, in, n);
  else
    for (int64_t i = 0; i < n; ++i) out[i] = converted<To>(in[i]);
}

static Loop loop_for(DType to, DType from) {
  return visit(to, [&]<class To>() { return visit(from, []<class From>() -> Loop { return convert_loop<To, From>; }); });
}

// Strided copy of one type: tiles are moved, not computed.
static void move_strided(const Launch& launch, const Strided<2>& view) {
  const TileWalk<2> walk(view);
  const int element = size_of(view.operand[0].dtype);
  parallel_for(launch, walk.tiles, walk.tiles_per(elementwise_grain), [&](int64_t begin, int64_t end) {
    alignas(64) char buffer[tile_elements * 8];
    for_each_tile(walk, begin, end, [&](const Side(&side)[2], int64_t rows, int64_t cols) {
      const Side &out = side[0], &in = side[1];
      const bool transposed = (out.col == 1 && in.row == 1) || (out.row == 1 && in.col == 1);
      if (transposed && rows >= 8 && cols >= 8) {
        // Transposed. Directly, a block would need lines of both sides, and equal power-of-two strides make them collide.
        move_tile({buffer, cols, 1}, in, element, rows, cols);
        move_tile(out, {buffer, cols, 1}, element, rows, cols);
      } else {
        move_tile(out, in, element, rows, cols);
      }
    });
  });
}

Status copy(const Launch& launch, const Strided<2>& view) {
  const DType to = view.operand[0].dtype, from = view.operand[1].data ? view.operand[1].dtype : to;
  const bool flat = view.ndim == 0 || (view.ndim == 1 && view.operand[0].strides[0] == 1 && view.operand[1].strides[0] == 1);
  if (to == from && view.operand[1].data && !flat) {
    move_strided(launch, view);
    return {};
  }
  return run_elementwise<2>(launch, view, loop_for(to, from), {to, from});
}

}  // namespace tg::TG_ISA
