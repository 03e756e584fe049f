// Radix sort of items (sort_keys.h) by the bytes of their keys, from the lowest one up; one thread for a row, or several:
//
//   part 0        part 1             every part counts its digits, and then each (digit, part) has its place in the result:
//   [. . . . .]   [. . . . .]        digit 0 of part 0, digit 0 of part 1, digit 1 of part 0, ...
//
// So no two parts write to one place, equal digits stay in order, and the result is the same for any number of parts. A byte
// that is the same everywhere costs no pass. Cost: a read and a write of the items a pass; several threads read them once more
// for the counts.
#pragma once
#include "kernels/cpu/sort_keys.h"

namespace tg::TG_ISA {

TG_INLINE int digit(uint64_t item, int byte) { return static_cast<int>(item >> (32 + 8 * byte) & 0xff); }
TG_INLINE int digit(const WideItem& item, int byte) { return static_cast<int>(item.key >> 8 * byte & 0xff); }

// How often each digit occurs, for each of `bytes` bytes.
template <int bytes> using Digits = int64_t[bytes][256];

template <int bytes, class Item> TG_INLINE void count_digits(const Item& item, Digits<bytes>& count) {
#pragma GCC unroll 8
  for (int b = 0; b < bytes; ++b) ++count[b][digit(item, b)];
}

// Moves items to the places of their digits; `place` moves on with them.
template <class Item> TG_INLINE void move_to_places(const Item* items, int64_t n, int byte, int64_t* place, Item* out) {
  for (int64_t i = 0; i < n; ++i) out[place[digit(items[i], byte)]++] = items[i];
}

// Sorts n items, with `other` as large; gives the one of the two that holds the result.
template <int bytes, class Item> static Item* radix_sort(Item* items, Item* other, int64_t n) {
  Digits<bytes> count;
  memset(count, 0, sizeof count);
  for (int64_t i = 0; i < n; ++i) count_digits<bytes>(items[i], count);
#pragma GCC unroll 8
  for (int b = 0; b < bytes; ++b) {
    if (count[b][digit(items[0], b)] == n) continue;
    int64_t place[256], sum = 0;
    for (int d = 0; d < 256; ++d) place[d] = sum, sum += count[b][d];
    move_to_places(items, n, b, place, other);
    Item* const swapped = items;
    items = other, other = swapped;
  }
  return items;
}

// --- several threads ----------------------------------------------------------------------------------------------------
struct Parts {
  int64_t n;
  int count;
  int64_t begin(int64_t part) const { return n * part / count; }
};

// The same by `parts.count` threads; counts[p] are the digits of part p of the items as they stand.
template <int bytes, class Item>
static Item* radix_sort_together(const Launch& launch, Item* items, Item* other, const Parts& parts, Digits<bytes>* counts) {
  bool same[bytes];
  for (int b = 0; b < bytes; ++b) {
    int64_t equal = 0;
    for (int p = 0; p < parts.count; ++p) equal += counts[p][b][digit(items[0], b)];
    same[b] = equal == parts.n;
  }
  bool moved = false;
  for (int b = 0; b < bytes; ++b) {
    if (same[b]) continue;
    if (moved) {  // other items are in a part now
      parallel_for(launch, parts.count, 1, [&](int64_t p, int64_t) {
        memset(counts[p][b], 0, sizeof counts[p][b]);
        for (int64_t i = parts.begin(p), end = parts.begin(p + 1); i < end; ++i) ++counts[p][b][digit(items[i], b)];
      });
    }
    int64_t sum = 0;
    for (int d = 0; d < 256; ++d) {
      for (int p = 0; p < parts.count; ++p) {
        const int64_t here = counts[p][b][d];
        counts[p][b][d] = sum;
        sum += here;
      }
    }
    parallel_for(launch, parts.count, 1, [&](int64_t p, int64_t) {
      move_to_places(items + parts.begin(p), parts.begin(p + 1) - parts.begin(p), b, counts[p][b], other);
    });
    Item* const swapped = items;
    items = other, other = swapped;
    moved = true;
  }
  return items;
}

}  // namespace tg::TG_ISA
