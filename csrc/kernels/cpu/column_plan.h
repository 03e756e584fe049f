// Reading a row at the places a list of taps names, one register of results at a time.
//
// A block is Vec<T>::width neighbouring results; its tap t is the t-th place each of them looks at. Neighbours look at
// places near each other (every second one, each one twice, ...), so one tap of a block is a load or two and a permutation:
//
//   results       0   1   2   3          lanes of tap 0   0 2 4 6      lanes of tap 1   1 3 5 7     (windows of 2, stride 2)
//   places      0 1 2 3 4 5 6 7
//
// The permutations are worked out once for the row and serve every row of every plane. Blocks that repeat the one before,
// only further along, share its lanes.
//
// Where the results of a block look at stretches too far apart for a permutation, each of them is better summed by itself: its
// places lie side by side, a register at a time (`stretches`; for sums only).
#pragma once
#include "kernels/arguments/resample.h"
#include "kernels/cpu/simd_math.h"

namespace tg::TG_ISA {

// Places that one row buffer holds. A block that reaches further than this is computed element by element.
inline constexpr int64_t plan_places = 4096;

template <class T> struct ColumnTap {
  enum Kind : int32_t { plain, near, far, scattered, stretches };  // one load; within 1 register; within 2; anywhere; see above
  int64_t base = 0;                                                // lane l reads place base + lanes[l]
  Kind kind = plain;
  bool ragged = false;  // some lanes have no such tap: their weight is 0
  const int32_t* lanes = nullptr;
  const T* weight = nullptr;
  // stretches: the first tap of a block stands for all; result l reads lanes[width + l] places from base + lanes[l] on, with the
  // weights from weight[l * taps] on
};

template <class T> struct ColumnPlan {
  static constexpr int64_t width = Vec<T>::width;
  static constexpr int64_t padding = 2 * width;  // a buffer is read this far beyond its last place

  int64_t in = 0, out = 0, blocks = 0;
  const int64_t* first = nullptr;  // blocks + 1: the taps of block b are first[b] .. first[b + 1] - 1
  const ColumnTap<T>* taps = nullptr;
  const int64_t *low = nullptr, *high = nullptr;  // block b reads places low[b] .. high[b] - 1
  const T* divisor = nullptr;                     // of every result, up to the end of the last block; or null

  bool reaches_too_far(int64_t block) const { return high[block] - low[block] > plan_places; }
  // Where the run of blocks from `block` on ends whose places fit a buffer; [begin, end) are these places.
  int64_t run(int64_t block, int64_t& begin, int64_t& end) const {
    begin = low[block], end = high[block];
    for (++block; block < blocks; ++block) {
      const int64_t least = low[block] < begin ? low[block] : begin, most = high[block] > end ? high[block] : end;
      if (most - least > plan_places) break;
      begin = least, end = most;
    }
    return block;
  }
};

namespace plan_detail {
struct Arena {  // cuts pieces off the workspace; with a null start it only adds up their sizes
  char* at;
  size_t used = 0;
  template <class U> U* take(int64_t count) {
    U* piece = at ? reinterpret_cast<U*>(at + used) : nullptr;
    used += (static_cast<size_t>(count) * sizeof(U) + 63) / 64 * 64;
    return piece;
  }
};
}  // namespace plan_detail

template <class T> static int64_t taps_in_block(const Taps& t, int64_t block) {
  int64_t most = 0;
  for (int64_t o = block * Vec<T>::width; o < t.out && o < (block + 1) * Vec<T>::width; ++o) {
    const int64_t count = t.first[o + 1] - t.first[o];
    if (count > most) most = count;
  }
  return most;
}

// Lays the plan out in `workspace` (null: only counts) and returns the bytes it takes.
template <class T> static size_t lay_out(const Taps& t, char* workspace, ColumnPlan<T>& plan, int32_t*& lanes, T*& weights) {
  constexpr int64_t width = Vec<T>::width;
  const int64_t blocks = (t.out + width - 1) / width;
  int64_t entries = 0;
  for (int64_t b = 0; b < blocks; ++b) entries += taps_in_block<T>(t, b);
  plan_detail::Arena arena{workspace};
  plan.in = t.in, plan.out = t.out, plan.blocks = blocks;
  plan.first = arena.take<int64_t>(blocks + 1);
  plan.low = arena.take<int64_t>(blocks);
  plan.high = arena.take<int64_t>(blocks);
  plan.taps = arena.take<ColumnTap<T>>(entries);
  plan.divisor = t.divisor ? arena.take<T>(blocks * width) : nullptr;
  weights = arena.take<T>(entries * width);
  lanes = arena.take<int32_t>(entries * width);
  return arena.used;
}

template <class T> static size_t column_plan_bytes(const Taps& t) {
  if (!t.first) return 0;
  ColumnPlan<T> plan;
  int32_t* lanes;
  T* weights;
  return lay_out<T>(t, nullptr, plan, lanes, weights);
}

// Turns block b, whose taps are laid out, into stretches if that is possible and pays.
template <class T>
static void make_stretches(const Taps& t, int64_t b, int64_t most, int64_t low, ColumnTap<T>* tap, int32_t* lanes, T* weights) {
  constexpr int64_t width = Vec<T>::width;
  const int64_t o0 = b * width, count = t.out - o0 < width ? t.out - o0 : width;
  bool wide = false;
  for (int64_t k = 0; k < most; ++k) wide |= tap[k].kind == ColumnTap<T>::scattered;
  if (!wide || 3 * most < count || most < 2) return;  // one place each of all lanes costs about as much as three stretches
  for (int64_t l = 0; l < count; ++l)
    for (int64_t k = t.first[o0 + l] + 1; k < t.first[o0 + l + 1]; ++k)
      if (t.index[k] != t.index[k - 1] + 1) return;
  for (int64_t l = 0; l < width; ++l) {
    const int64_t first = l < count ? t.first[o0 + l] : 0, taps = l < count ? t.first[o0 + l + 1] - first : 0;
    lanes[l] = taps ? static_cast<int32_t>(t.index[first] - low) : 0;
    lanes[width + l] = static_cast<int32_t>(taps);
    for (int64_t k = 0; k < most; ++k) weights[l * most + k] = k < taps ? static_cast<T>(t.weight[first + k]) : T(0);
  }
  tap[0] = {low, ColumnTap<T>::stretches, false, lanes, weights};
}

template <class T> static ColumnPlan<T> plan_columns(const Taps& t, void* workspace, bool for_sums = false) {
  constexpr int64_t width = Vec<T>::width;
  ColumnPlan<T> plan;
  int32_t* lanes;
  T* weights;
  lay_out<T>(t, static_cast<char*>(workspace), plan, lanes, weights);
  auto* first = const_cast<int64_t*>(plan.first);
  auto *low = const_cast<int64_t*>(plan.low), *high = const_cast<int64_t*>(plan.high);
  auto* taps = const_cast<ColumnTap<T>*>(plan.taps);
  auto* divisor = const_cast<T*>(plan.divisor);

  int64_t entry = 0;
  for (int64_t b = 0; b < plan.blocks; ++b) {
    const int64_t o0 = b * width, count = t.out - o0 < width ? t.out - o0 : width, most = taps_in_block<T>(t, b);
    first[b] = entry;
    low[b] = t.in, high[b] = 0;
    int32_t* const block_lanes = lanes;
    T* const block_weights = weights;
    for (int64_t k = 0; k < most; ++k, ++entry) {
      ColumnTap<T>& tap = taps[entry];
      tap = {};
      int64_t least = t.in, highest = 0;
      for (int64_t l = 0; l < count; ++l) {
        const int64_t at = t.first[o0 + l] + k;
        if (at >= t.first[o0 + l + 1]) continue;
        least = t.index[at] < least ? t.index[at] : least;
        highest = t.index[at] > highest ? t.index[at] : highest;
      }
      tap.base = least;
      bool plain = true;
      for (int64_t l = 0; l < width; ++l) {
        const int64_t at = l < count ? t.first[o0 + l] + k : 0;
        const bool there = l < count && at < t.first[o0 + l + 1];
        tap.ragged |= l < count && !there;
        // lanes without a result or a tap: what keeps the pattern regular, within reach
        const int64_t lane = there ? t.index[at] - least : (l <= highest - least ? l : 0);
        lanes[l] = static_cast<int32_t>(lane);
        weights[l] = there ? static_cast<T>(t.weight[at]) : T(0);
        plain = plain && (lane == l || !there);
      }
      const int64_t span = highest - least;
      tap.kind = plain ? ColumnTap<T>::plain
                       : (span < width ? ColumnTap<T>::near : (span < 2 * width ? ColumnTap<T>::far : ColumnTap<T>::scattered));
      low[b] = least < low[b] ? least : low[b];
      high[b] = highest + 1 > high[b] ? highest + 1 : high[b];
      // the same tap of the block before, if that is all it is
      const ColumnTap<T>* before = b > 0 && first[b] - first[b - 1] == most ? &taps[entry - most] : nullptr;
      const bool repeats = before && !__builtin_memcmp(before->lanes, lanes, width * sizeof(int32_t)) &&
                           !__builtin_memcmp(before->weight, weights, width * sizeof(T));
      tap.lanes = repeats ? before->lanes : lanes;
      tap.weight = repeats ? before->weight : weights;
      if (!repeats) lanes += width, weights += width;
    }
    if (high[b] == 0) low[b] = 0;  // no taps at all
    if (for_sums && lanes == block_lanes + most * width && high[b] - low[b] <= plan_places) {
      make_stretches<T>(t, b, most, low[b], taps + first[b], block_lanes, block_weights);
    }
    for (int64_t l = 0; divisor && l < width; ++l) divisor[o0 + l] = l < count ? static_cast<T>(t.divisor[o0 + l]) : T(1);
  }
  first[plan.blocks] = entry;
  return plan;
}

// The lanes of one tap, from a row whose place 0 is at `row`.
template <class T> TG_INLINE Vec<T> pick(const T* row, const ColumnTap<T>& tap) {
  const T* p = row + tap.base;
  if (tap.kind == ColumnTap<T>::plain) return Vec<T>::load(p);
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
  if constexpr (sizeof(T) == 4) {
    const __m512i lanes = _mm512_loadu_si512(tap.lanes);
    if (tap.kind == ColumnTap<T>::near) return Vec<T>::raw(_mm512_maskz_permutexvar_ps(0xffff, lanes, _mm512_loadu_ps(p)));
    if (tap.kind == ColumnTap<T>::far)
      return Vec<T>::raw(_mm512_permutex2var_ps(_mm512_loadu_ps(p), lanes, _mm512_loadu_ps(p + 16)));
    return Vec<T>::raw(_mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xffff, lanes, p, 4));
  } else {
    const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tap.lanes));
    if (tap.kind != ColumnTap<T>::scattered)
      return Vec<T>::raw(
          _mm512_permutex2var_pd(_mm512_loadu_pd(p), _mm512_maskz_cvtepi32_epi64(0xff, lanes), _mm512_loadu_pd(p + 8)));
    return Vec<T>::raw(_mm512_mask_i32gather_pd(_mm512_setzero_pd(), 0xff, lanes, p, 8));
  }
#elif defined(TG_ISA_avx2)
  const __m256i all = _mm256_set1_epi32(-1);
  if constexpr (sizeof(T) == 4) {
    const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tap.lanes));
    if (tap.kind == ColumnTap<T>::near) return Vec<T>::raw(_mm256_permutevar8x32_ps(_mm256_loadu_ps(p), lanes));
    if (tap.kind == ColumnTap<T>::far) {  // permutations look at the lowest three bits alone
      const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(p), lanes);
      const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(p + 8), lanes);
      return Vec<T>::raw(_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 28))));
    }
    return Vec<T>::raw(_mm256_mask_i32gather_ps(_mm256_setzero_ps(), p, lanes, _mm256_castsi256_ps(all), 4));
  } else {
    const __m128i lanes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(tap.lanes));
    return Vec<T>::raw(_mm256_mask_i32gather_pd(_mm256_setzero_pd(), p, lanes, _mm256_castsi256_pd(all), 8));
  }
#else
  T lanes[Vec<T>::width];
  for (int l = 0; l < Vec<T>::width; ++l) lanes[l] = p[tap.lanes[l]];
  return Vec<T>::load(lanes);
#endif
}

}  // namespace tg::TG_ISA
