// Two registers of bfloat16 at once, for loops in which the order of the lanes does not matter. A register of memory holds
// pairs of them; as a float32 is a bfloat16 with 16 more bits, one shift and one mask take it apart, and nothing is shuffled:
//
//   memory    o1 e1 | o0 e0          even   e1 00 | e0 00   = memory << 16
//             (32 bits a lane)       odd    o1 00 | o0 00   = memory & ffff0000
//
// Rounding is to nearest, ties to even, and a NaN stays a quiet NaN, as everywhere (simd.h).
#pragma once
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

struct Bf16Pairs {
  using V = Vec<float>;
  static constexpr int width = 2 * V::width;
  V even, odd;

  TG_INLINE static Bf16Pairs load(const bf16* p) {
    V::Int pairs;
    __builtin_memcpy(&pairs, p, sizeof pairs);
    return {V::from_bits(pairs << 16), V::from_bits(pairs & 0xffff0000u)};
  }
  TG_INLINE void store(bf16* p) const {
    const V::Int pairs = (rounded(even) >> 16) | (rounded(odd) & 0xffff0000u);
    __builtin_memcpy(p, &pairs, sizeof pairs);
  }

 private:
  // The bfloat16 in the upper half of each lane; below it is what rounding left.
  TG_INLINE static V::Int rounded(V a) {
    const V::Int b = a.bits();
    return select(is_nan(a), V::from_bits(b | 0x400000u), V::from_bits(b + 0x7fffu + ((b >> 16) & 1u))).bits();
  }
};

}  // namespace tg::TG_ISA
