// uniform, normal and randint: fills contiguous memory from the Philox stream. philox.h has the mapping from (seed, offset,
// element) to bits and from bits to numbers; this file only does it many elements at a time.
//
// Elements are made in blocks of 1024: first the random words of the block, group by group, then the numbers in the vector
// loop of their kind, then the storage type. Cost: 20 integer multiplications per four 32-bit draws; normal adds one log,
// one sqrt, one sin and one cos per pair. Parallel over blocks; the bits depend neither on the blocks nor on the threads.
#include <cmath>

#include "core/parallel.h"
#include "kernels/arguments/random.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/strided_tile.h"
#include "kernels/philox.h"

namespace tg::TG_ISA {

static constexpr int64_t block = tile_elements;  // elements, a multiple of the four of a Philox group
static constexpr int64_t grain = 16 * block;     // below this a second thread costs more than it brings

// body(begin, end) for every block of [0, n).
template <class Body> [[gnu::always_inline]] static inline void for_blocks(const Launch& launch, int64_t n, const Body& body) {
  parallel_for(launch, n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += block) body(at, at + block < end ? at + block : end);
  });
}

// Fills words[0..n) with the 32-bit draws of elements first, first + 1, ...; n is rounded up to whole groups.
static void fill_words32(uint32_t* words, const Random& random, int64_t first, int64_t n) {
  for (int64_t i = 0; i < n; i += 4) {
    const PhiloxWords group = philox(random.seed, random.offset + static_cast<uint64_t>(first + i) / 4, 0);
    for (int lane = 0; lane < 4; ++lane) words[i + lane] = group.word[lane];  // not memcpy: so the groups are vectorised
  }
}

static void fill_words64(uint64_t* words, const Random& random, int64_t first, int64_t n) {
  for (int64_t i = 0; i < n; i += 4) {
    for (uint32_t half = 0; half < 2; ++half) {
      const PhiloxWords group = philox(random.seed, random.offset + static_cast<uint64_t>(first + i) / 4, half);
      words[i + 2 * half] = draw64(group, 0);
      words[i + 2 * half + 1] = draw64(group, 1);
    }
  }
}

// Draws of the width that T's numbers are made from, and their two readings as a number in [0, 1) or (0, 1].
template <class T> struct Draw;
template <> struct Draw<float> {
  using Word = uint32_t;
  static void fill(Word* words, const Random& random, int64_t first, int64_t n) { fill_words32(words, random, first, n); }
  static float unit(Word w) { return unit_float(w); }
  static float positive_unit(Word w) { return positive_unit_float(w); }
};
template <> struct Draw<double> {
  using Word = uint64_t;
  static void fill(Word* words, const Random& random, int64_t first, int64_t n) { fill_words64(words, random, first, n); }
  static double unit(Word w) { return unit_double(w); }
  static double positive_unit(Word w) { return positive_unit_double(w); }
};

// The largest value of a 16-bit float type below `bound`. Patterns of one sign are in the order of the numbers they stand for.
template <class H> static double largest_half_below(double bound, H nearest) {
  if (to_float(nearest) < bound) return to_float(nearest);
  const uint16_t bits = nearest.bits;
  const uint16_t below = bits == 0 ? 0x8001 : static_cast<uint16_t>(bits & 0x8000 ? bits + 1 : bits - 1);
  return to_float(H{below});
}

// What uniform gives where rounding would reach its upper end: the largest value of the output's type below it.
static double largest_below(double bound, DType dtype) {
  if (dtype == DType::bf16) return largest_half_below(bound, to_bf16(static_cast<float>(bound)));
  if (dtype == DType::f16) return largest_half_below(bound, to_f16(static_cast<float>(bound)));
  if (dtype == DType::f64) return nextafter(bound, -HUGE_VAL);
  const float nearest = static_cast<float>(bound);
  return nearest < bound ? nearest : nextafterf(nearest, -HUGE_VALF);
}

template <class T> static void uniform_block(T* out, const Random& random, int64_t first, int64_t n, double low, double high,
                                             double limit) {
  typename Draw<T>::Word words[block];
  Draw<T>::fill(words, random, first, n);
  const T base = static_cast<T>(low), range = static_cast<T>(high - low), largest = static_cast<T>(limit);
  for (int64_t i = 0; i < n; ++i) {
    const T x = Draw<T>::unit(words[i]) * range + base;
    out[i] = x > largest ? largest : x;
  }
}

template <class T> static void normal_block(T* out, const Random& random, int64_t first, int64_t n, double mean, double std) {
  using V = Vec<T>;
  typename Draw<T>::Word words[block];
  T u1[block / 2 + V::width], u2[block / 2 + V::width];  // one entry per pair
  Draw<T>::fill(words, random, first, n);
  const int64_t pairs = (n + 3) / 4 * 2;
  for (int64_t p = 0; p < pairs; ++p) {
    u1[p] = Draw<T>::positive_unit(words[2 * p]);
    u2[p] = Draw<T>::unit(words[2 * p + 1]);
  }
  const V minus_two(T(-2)), two_pi(T(6.283185307179586477)), scale(static_cast<T>(std)), shift(static_cast<T>(mean));
  for (int64_t p = 0; p < pairs; p += V::width) {
    const int64_t lanes = pairs - p < V::width ? pairs - p : V::width;
    const V radius = sqrt(minus_two * log(V::load(u1 + p, lanes, T(1)))), angle = two_pi * V::load(u2 + p, lanes);
    (radius * cos(angle) * scale + shift).store(u1 + p);
    (radius * sin(angle) * scale + shift).store(u2 + p);
  }
  for (int64_t i = 0; i < n; ++i) out[i] = i % 2 == 0 ? u1[i / 2] : u2[i / 2];
}

static int64_t element_count(const Strided<1>& view) {
  int64_t n = 1;
  for (int d = 0; d < view.ndim; ++d) n *= view.shape[d];
  return n;
}

// Runs make(float* or double* out, first, n) for every block and stores the numbers as the output's type.
template <class Make> [[gnu::always_inline]] static inline Status fill_floats(const Launch& launch, const Strided<1>& view,
                                                                              const Make& make) {
  const DType dtype = view.operand[0].dtype;
  if (!is_floating(dtype)) return {Status::missing, 0};
  char* out = static_cast<char*>(view.operand[0].data);
  for_blocks(launch, element_count(view), [&](int64_t begin, int64_t end) {
    char* place = out + begin * size_of(dtype);
    if (dtype == DType::f64) {
      make(reinterpret_cast<double*>(place), begin, end - begin);
    } else if (dtype == DType::f32) {
      make(reinterpret_cast<float*>(place), begin, end - begin);
    } else {
      float numbers[block];
      make(numbers, begin, end - begin);
      narrow_tile(place, dtype, numbers, end - begin);
    }
  });
  return {};
}

Status uniform(const Launch& launch, const Random& random, const Strided<1>& out, double low, double high) {
  const double limit = low < high ? largest_below(high, out.operand[0].dtype) : low;
  return fill_floats(launch, out, [&]<class T>(T* place, int64_t first, int64_t n) {
    uniform_block(place, random, first, n, low, high, limit);
  });
}

Status normal(const Launch& launch, const Random& random, const Strided<1>& out, double mean, double std) {
  return fill_floats(launch, out,
                     [&]<class T>(T* place, int64_t first, int64_t n) { normal_block(place, random, first, n, mean, std); });
}

// Integers of [low, high), stored as any type.
Status randint(const Launch& launch, const Random& random, const Strided<1>& out, int64_t low, int64_t high) {
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  for_blocks(launch, element_count(out), [&](int64_t begin, int64_t end) {
    uint64_t words[block];
    fill_words64(words, random, begin, end - begin);
    visit(out.operand[0].dtype, [&]<class T>() {
      T* place = static_cast<T*>(out.operand[0].data) + begin;
      for (int64_t i = 0; i < end - begin; ++i) {
        const int64_t x = static_cast<int64_t>(static_cast<uint64_t>(low) + multiply_high(words[i], range));
        if constexpr (dtype_of<T> == DType::bf16) place[i] = to_bf16(static_cast<float>(x));
        else if constexpr (dtype_of<T> == DType::f16) place[i] = to_f16(static_cast<float>(x));
        else place[i] = static_cast<T>(x);
      }
    });
  });
  return {};
}

}  // namespace tg::TG_ISA
