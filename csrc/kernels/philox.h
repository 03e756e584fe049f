// Philox4x32-10: random numbers without state (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A 128-bit counter is scrambled by ten rounds of multiply and xor under a 64-bit key; every counter gives four
// independent 32-bit words. Nothing is carried from one number to the next, so any thread, block or device can compute any
// element by itself and the result is the same everywhere.
//
// The mapping, which every device must follow to the bit. Let `seed` be the key and element i of the output have
//
//   counter = offset + i / 4        the 64-bit number of a group of four elements; an op that fills n elements moves the
//                                   generator's offset by ceil(n / 4), whatever the op and the element type
//   lane    = i % 4
//
// Group `counter` owns eight words w0..w7: w0..w3 = philox(counter, 0) and w4..w7 = philox(counter, 1), where the second
// argument is the upper half of the 128-bit counter. A draw of 32 bits by element i is w[lane]; a draw of 64 bits is
// w[2 * lane] (low half) and w[2 * lane + 1] (high half), for which w4..w7 are computed too.
//
//   uniform, float32   u = (w[lane] >> 8) * 2^-24                    24 bits, in [0, 1)
//   uniform, float64   u = (draw64 >> 11) * 2^-53                    53 bits, in [0, 1)
//                      x = u * (high - low) + low, and where rounding reaches `high` the largest value below it
//   normal             elements (0, 1) and (2, 3) of a group are Box-Muller pairs: element `even` brings u1, `odd` brings u2
//                        float32  u1 = (w[even] + 0.5) * 2^-32  (converted to float before the + 0.5),  u2 as in uniform
//                        float64  u1 = ((draw64 >> 11) + 0.5) * 2^-53,                                  u2 as in uniform
//                        r = sqrt(-2 log u1),  z_even = r cos(2 pi u2),  z_odd = r sin(2 pi u2),  x = z * std + mean
//   randint            x = low + the upper 64 bits of draw64 * (high - low); the bias is below (high - low) / 2^64
//
// Products and sums are rounded separately, never fused. bfloat16 and float16 outputs are the float32 values rounded.
// Cost: 20 multiplications of 32 x 32 bits per four words.
#pragma once
#include <cstdint>

#ifndef TG_DEVICE_FUNCTION  // CUDA sources define it as __device__ __forceinline__
#define TG_DEVICE_FUNCTION [[gnu::always_inline]] static inline
#endif

namespace tg {

struct PhiloxWords { uint32_t word[4]; };

// The bare block function: `counter` and `key` as in the paper's tables, so that its known answers can be checked.
TG_DEVICE_FUNCTION PhiloxWords philox4x32_10(PhiloxWords counter, uint32_t key0, uint32_t key1) {
  uint32_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(p0);
    key0 += 0x9E3779B9u;  // the golden ratio: every round has its own key
    key1 += 0xBB67AE85u;  // sqrt(3) - 1
  }
  return {{c0, c1, c2, c3}};
}

// Words w0..w3 (half 0) or w4..w7 (half 1) of the group of four elements with this number.
TG_DEVICE_FUNCTION PhiloxWords philox(uint64_t seed, uint64_t counter, uint32_t half) {
  return philox4x32_10({{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), half, 0}},
                       static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

TG_DEVICE_FUNCTION uint64_t draw64(const PhiloxWords& words, int pair) {
  return static_cast<uint64_t>(words.word[2 * pair + 1]) << 32 | words.word[2 * pair];
}

// 24 and 53 random bits as a number in [0, 1); both products are exact. Processors convert signed integers faster.
TG_DEVICE_FUNCTION float unit_float(uint32_t bits) { return static_cast<float>(static_cast<int32_t>(bits >> 8)) * 0x1p-24f; }
TG_DEVICE_FUNCTION double unit_double(uint64_t bits) { return static_cast<double>(static_cast<int64_t>(bits >> 11)) * 0x1p-53; }

// The same in (0, 1]: what a logarithm can take. Small numbers keep all their bits, which is where the normal's tails are.
TG_DEVICE_FUNCTION float positive_unit_float(uint32_t bits) { return (static_cast<float>(bits) + 0.5f) * 0x1p-32f; }
TG_DEVICE_FUNCTION double positive_unit_double(uint64_t bits) {
  return (static_cast<double>(static_cast<int64_t>(bits >> 11)) + 0.5) * 0x1p-53;
}

// The upper 64 bits of a 64 x 64 bit product, from 32-bit halves so that every compiler agrees.
TG_DEVICE_FUNCTION uint64_t multiply_high(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);  // cannot overflow: (2^32-1)^2 + 2^32-1 < 2^64
  const uint64_t other = a0 * b1 + (middle & 0xffffffffu);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

}  // namespace tg
