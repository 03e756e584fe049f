// Element types: what they are called, how large they are and how two of them mix.
// Included by kernels that are compiled once per instruction set, so nothing here may be emitted as a shared inline
// function: everything is constexpr, static or always inlined.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tg {

enum class DType : uint8_t { f32, f64, bf16, f16, i64, i32, i8, u8, b8 };
inline constexpr int dtype_count = 9;

// Storage types of the 16-bit floats: bits only; kernels convert to float to compute.
struct bf16 { uint16_t bits; };
struct f16 { uint16_t bits; };

constexpr int size_of(DType d) {
  constexpr int sizes[dtype_count] = {4, 8, 2, 2, 8, 4, 1, 1, 1};
  return sizes[static_cast<int>(d)];
}

constexpr const char* name_of(DType d) {
  constexpr const char* names[dtype_count] = {"float32", "float64", "bfloat16", "float16", "int64",
                                              "int32",   "int8",    "uint8",    "bool"};
  return names[static_cast<int>(d)];
}

constexpr bool is_floating(DType d) { return d <= DType::f16; }
constexpr bool is_integral(DType d) { return d >= DType::i64 && d <= DType::u8; }  // without bool

// The type arithmetic happens in: 16-bit floats compute in float32, everything else in itself.
constexpr DType compute_type(DType d) { return d == DType::bf16 || d == DType::f16 ? DType::f32 : d; }

// PyTorch's promotion of two element types of equal rank (both tensors with dims, say).
constexpr DType promote(DType a, DType b) {
  if (a == b) return a;
  if (is_floating(a) != is_floating(b)) return is_floating(a) ? a : b;
  if (is_floating(a)) {
    if (a == DType::f64 || b == DType::f64) return DType::f64;
    return DType::f32;  // float32 with a 16-bit float, or bfloat16 with float16
  }
  if (a == DType::b8) return b;
  if (b == DType::b8) return a;
  if (a == DType::i64 || b == DType::i64) return DType::i64;
  if (a == DType::i32 || b == DType::i32) return DType::i32;
  return DType::i32;  // int8 with uint8; PyTorch says int16, which tilegrad does not have
}

// Calls f.template operator()<T>() with the C++ type of d: float, double, bf16, f16, int64_t, int32_t, int8_t, uint8_t, bool.
template <class F> [[gnu::always_inline]] static inline decltype(auto) visit(DType d, F&& f) {
  switch (d) {
    case DType::f32: return f.template operator()<float>();
    case DType::f64: return f.template operator()<double>();
    case DType::bf16: return f.template operator()<bf16>();
    case DType::f16: return f.template operator()<f16>();
    case DType::i64: return f.template operator()<int64_t>();
    case DType::i32: return f.template operator()<int32_t>();
    case DType::i8: return f.template operator()<int8_t>();
    case DType::u8: return f.template operator()<uint8_t>();
    default: return f.template operator()<bool>();
  }
}

template <class T> struct dtype_of_t;
template <> struct dtype_of_t<float> { static constexpr DType value = DType::f32; };
template <> struct dtype_of_t<double> { static constexpr DType value = DType::f64; };
template <> struct dtype_of_t<bf16> { static constexpr DType value = DType::bf16; };
template <> struct dtype_of_t<f16> { static constexpr DType value = DType::f16; };
template <> struct dtype_of_t<int64_t> { static constexpr DType value = DType::i64; };
template <> struct dtype_of_t<int32_t> { static constexpr DType value = DType::i32; };
template <> struct dtype_of_t<int8_t> { static constexpr DType value = DType::i8; };
template <> struct dtype_of_t<uint8_t> { static constexpr DType value = DType::u8; };
template <> struct dtype_of_t<bool> { static constexpr DType value = DType::b8; };
template <class T> inline constexpr DType dtype_of = dtype_of_t<T>::value;

}  // namespace tg
