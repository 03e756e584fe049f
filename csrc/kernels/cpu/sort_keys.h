// Numbers as unsigned keys in the order of sort.cpp, items (a key with its column), and rows with scratch for each thread.
#pragma once
#include "core/parallel.h"
#include "kernels/arguments/sort.h"
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// --- keys ---------------------------------------------------------------------------------------------------------------
template <int bytes> struct UnsignedOf;
template <> struct UnsignedOf<1> { using type = uint8_t; };
template <> struct UnsignedOf<2> { using type = uint16_t; };
template <> struct UnsignedOf<4> { using type = uint32_t; };
template <> struct UnsignedOf<8> { using type = uint64_t; };
template <class T> using Key = typename UnsignedOf<sizeof(T)>::type;

template <class T> constexpr Key<T> sign_of = static_cast<Key<T>>(Key<T>{1} << (8 * sizeof(T) - 1));
template <class T> constexpr Key<T> infinity_bits = 0;
template <> inline constexpr uint32_t infinity_bits<float> = 0x7f800000u;
template <> inline constexpr uint64_t infinity_bits<double> = 0x7ff0000000000000u;
template <> inline constexpr uint16_t infinity_bits<bf16> = 0x7f80;
template <> inline constexpr uint16_t infinity_bits<f16> = 0x7c00;

template <class T> TG_INLINE Key<T> key_of(T x) {
  using U = Key<T>;
  U u = __builtin_bit_cast(U, x);
  if constexpr (is_floating(dtype_of<T>)) {
    const U magnitude = static_cast<U>(u & ~sign_of<T>);
    const U ordered = static_cast<U>(u == magnitude ? u | sign_of<T> : ~u);
    return magnitude > infinity_bits<T> ? static_cast<U>(~U{0}) : magnitude == 0 ? sign_of<T> : ordered;
  } else if constexpr (dtype_of<T> == DType::b8 || dtype_of<T> == DType::u8) {
    return u;
  } else {
    return static_cast<U>(u ^ sign_of<T>);
  }
}
template <class T> TG_INLINE Key<T> key_of(T x, bool inverted) {
  return static_cast<Key<T>>(key_of(x) ^ (inverted ? static_cast<Key<T>>(~Key<T>{0}) : Key<T>{0}));
}

// --- items --------------------------------------------------------------------------------------------------------------
struct WideItem { uint64_t key, column; };
TG_INLINE bool before(uint64_t a, uint64_t b) { return a < b; }
TG_INLINE bool before(const WideItem& a, const WideItem& b) { return a.key < b.key || (a.key == b.key && a.column < b.column); }
TG_INLINE int64_t column_of(uint64_t item) { return static_cast<int64_t>(item & 0xffffffffu); }
TG_INLINE int64_t column_of(const WideItem& item) { return static_cast<int64_t>(item.column); }
template <int byte, class T> TG_INLINE int digit(uint64_t item) { return static_cast<int>(item >> (32 + 8 * byte) & 0xff); }
template <int byte, class T> TG_INLINE int digit(const WideItem& item) { return static_cast<int>(item.key >> 8 * byte & 0xff); }

// Narrow items hold a column of 32 bits; a longer row takes wide ones.
template <class Item, class T> TG_INLINE Item item_of(T x, int64_t column, bool inverted) {
  if constexpr (sizeof(Item) == 8) return static_cast<uint64_t>(key_of(x, inverted)) << 32 | static_cast<uint64_t>(column);
  else return WideItem{key_of(x, inverted), static_cast<uint64_t>(column)};
}

// Rows [0, rows) in one part a thread, each with its own scratch.
template <class Body> static void over_rows(const Launch& launch, int64_t rows, int64_t row_bytes, const Body& body) {
  const int64_t parts = launch.threads < rows ? launch.threads : rows;
  parallel_for(launch, parts, 1, [&](int64_t part, int64_t) {
    char* scratch = static_cast<char*>(launch.workspace) + part * row_bytes;
    for (int64_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) body(r, scratch);
  });
}

inline bool is_wide(DType dtype, int64_t cols) { return size_of(dtype) == 8 || cols > 0xffffffff; }
inline int64_t item_bytes(DType dtype, int64_t cols) { return is_wide(dtype, cols) ? 16 : 8; }

}  // namespace tg::TG_ISA
