// The 16-bit floats on the host, without any instruction for them. Rounding is to nearest, ties to even; NaN stays NaN.
#pragma once
#include "core/dtype.h"

namespace tg::simulator {

[[gnu::always_inline]] inline float to_float(bf16 x) { return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16); }

[[gnu::always_inline]] inline bf16 to_bf16(float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

[[gnu::always_inline]] inline float to_float(f16 x) {
  // Exponent and mantissa move to their place in a float, then a multiplication corrects the exponent, also of denormals.
  const float magnitude = __builtin_bit_cast(float, static_cast<uint32_t>(x.bits & 0x7fff) << 13) * 0x1p112f;
  const uint32_t special = magnitude >= 65536.0f ? 0x7f800000u : 0u;  // infinity and NaN
  return __builtin_bit_cast(float,
                            __builtin_bit_cast(uint32_t, magnitude) | special | static_cast<uint32_t>(x.bits & 0x8000) << 16);
}

[[gnu::always_inline]] inline f16 to_f16(float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00)};  // 65,520 and more round to infinity
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 1/2 leaves the denormal's bits in the mantissa, rounded
    const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000u))};
  }
  return {static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfff + (magnitude >> 13 & 1)) >> 13))};
}

}  // namespace tg::simulator
