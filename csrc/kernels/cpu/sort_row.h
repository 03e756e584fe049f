// One row sorted: numbers to items, items in order by merging or by a radix sort, items to numbers and columns.
#pragma once
#include <cstring>

#include "kernels/cpu/radix_sort.h"

namespace tg::TG_ISA {

static constexpr int64_t merge_below = 256;  // from here on the radix sort is faster (measured on Zen 4)

// Sorts n items, with `other` as large; gives the one of the two that holds the result.
template <class Item> static Item* merge_sort(Item* items, Item* other, int64_t n) {
  constexpr int64_t run = 8;
  for (int64_t start = 0; start < n; start += run) {  // short runs by insertion
    const int64_t end = start + run < n ? start + run : n;
    for (int64_t i = start + 1; i < end; ++i) {
      const Item item = items[i];
      int64_t j = i;
      for (; j > start && before(item, items[j - 1]); --j) items[j] = items[j - 1];
      items[j] = item;
    }
  }
  for (int64_t width = run; width < n; width *= 2) {
    for (int64_t start = 0; start < n; start += 2 * width) {
      const int64_t middle = start + width < n ? start + width : n;
      const int64_t end = start + 2 * width < n ? start + 2 * width : n;
      int64_t i = start, j = middle, to = start;
      while (i < middle && j < end) {  // the compiler makes these choices without a branch
        const bool right = before(items[j], items[i]);
        other[to++] = right ? items[j] : items[i];
        j += right;
        i += !right;
      }
      memcpy(other + to, items + i, static_cast<size_t>(middle - i) * sizeof(Item));
      memcpy(other + to + (middle - i), items + j, static_cast<size_t>(end - j) * sizeof(Item));
    }
    Item* swapped = items;
    items = other;
    other = swapped;
  }
  return items;
}

// Items that came in the order of their columns need no look at the columns; others (topk's) are merged.
template <class T, class Item> constexpr int key_bytes = sizeof(Item) == 8 && sizeof(T) == 8 ? 4 : static_cast<int>(sizeof(T));
template <class T, class Item> static Item* sort_items(Item* items, Item* other, int64_t n) {
  return n <= merge_below ? merge_sort(items, other, n) : radix_sort<key_bytes<T, Item>>(items, other, n);
}

// The number of a key: the inverse of key_of(), but for -0 and NaNs.
template <class T> TG_INLINE T number_of(Key<T> key) {
  if constexpr (is_floating(dtype_of<T>))
    return __builtin_bit_cast(T, static_cast<Key<T>>(key & sign_of<T> ? key ^ sign_of<T> : ~key));
  else if constexpr (dtype_of<T> == DType::b8) return key != 0;
  else if constexpr (dtype_of<T> == DType::u8) return key;
  else return __builtin_bit_cast(T, static_cast<Key<T>>(key ^ sign_of<T>));
}

// The keys of one row in ascending order of the result. Integers of 64 bits whose range fits 32 are counted from the first.
template <class T> struct RowKeys {
  bool descending;
  Key<T> first = 0;

  template <class Item> TG_INLINE Item item(T x, int64_t column) const {
    const auto key = static_cast<Key<T>>(key_of(x, descending) - first);
    if constexpr (sizeof(Item) == 8) return static_cast<uint64_t>(key) << 32 | static_cast<uint64_t>(column);
    else return WideItem{key, static_cast<uint64_t>(column)};
  }
  TG_INLINE Key<T> key(uint64_t item) const { return static_cast<Key<T>>(static_cast<Key<T>>(item >> 32) + first); }
  TG_INLINE Key<T> key(const WideItem& item) const { return static_cast<Key<T>>(item.key + first); }
};

// Values from sorted items: a key tells its number, without a read at a random place. Only the keys of NaN and of zero stand
// for several numbers.
template <class T, class Item>
static void write_sorted(const Item* items, const T* x, const RowKeys<T>& keys, int64_t begin, int64_t end, T* values,
                         int64_t* where) {
  constexpr int64_t block = 256;
  using U = Key<T>;
  const U flip = keys.descending ? static_cast<U>(~U{0}) : U{0};
  for (int64_t i0 = begin; i0 < end; i0 += block) {
    const int64_t i1 = i0 + block < end ? i0 + block : end;
    bool several = false;
    for (int64_t i = i0; i < i1; ++i) {
      const U key = static_cast<U>(keys.key(items[i]) ^ flip);
      where[i] = column_of(items[i]);
      values[i] = number_of<T>(key);
      if constexpr (is_floating(dtype_of<T>)) several |= key == static_cast<U>(~U{0}) || key == sign_of<T>;
    }
    for (int64_t i = i0; several && i < i1; ++i) values[i] = x[where[i]];
  }
}

// Whether the keys of a row differ by less than 2^32; gives the least.
template <class T> static bool close_keys(const Launch& launch, const T* x, int64_t cols, bool descending, Key<T>& least) {
  constexpr int64_t piece = 1 << 16;
  uint64_t low = ~uint64_t{0}, high = 0;
  parallel_for(launch, cols, piece, [&](int64_t begin, int64_t end) {
    uint64_t a = ~uint64_t{0}, b = 0;
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t key = key_of(x[i], descending);
      a = key < a ? key : a, b = key > b ? key : b;
    }
    for (uint64_t seen = __atomic_load_n(&low, __ATOMIC_RELAXED); a < seen;)
      if (__atomic_compare_exchange_n(&low, &seen, a, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) break;
    for (uint64_t seen = __atomic_load_n(&high, __ATOMIC_RELAXED); b > seen;)
      if (__atomic_compare_exchange_n(&high, &seen, b, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) break;
  });
  least = static_cast<Key<T>>(low);
  return high - low <= 0xffffffffu;
}

struct SortRow {
  int64_t cols;
  bool descending;
  int64_t* where;
  char* scratch;
  int threads;  // 1: this one alone
};

template <class Item, class T> static void sort_row(const Launch& launch, const SortRow& row, const T* x, T* values,
                                                    Key<T> first) {
  constexpr int bytes = key_bytes<T, Item>;
  const int64_t n = row.cols;
  const RowKeys<T> keys{row.descending, first};
  Item *items = reinterpret_cast<Item*>(row.scratch), *other = items + n;
  if (row.threads == 1) {
    for (int64_t i = 0; i < n; ++i) items[i] = keys.template item<Item>(x[i], i);
    return write_sorted(sort_items<T>(items, other, n), x, keys, 0, n, values, row.where);
  }
  const Parts parts{n, row.threads};
  auto* counts = reinterpret_cast<Digits<bytes>*>(other + n);
  parallel_for(launch, parts.count, 1, [&](int64_t p, int64_t) {
    memset(counts[p], 0, sizeof counts[p]);
    for (int64_t i = parts.begin(p), end = parts.begin(p + 1); i < end; ++i) {
      items[i] = keys.template item<Item>(x[i], i);
      count_digits<bytes>(items[i], counts[p]);
    }
  });
  const Item* const sorted = radix_sort_together<bytes>(launch, items, other, parts, counts);
  parallel_for(launch, parts.count, 1, [&](int64_t p, int64_t) {
    write_sorted(sorted, x, keys, parts.begin(p), parts.begin(p + 1), values, row.where);
  });
}

template <class T> static void sort_row(const Launch& launch, const SortRow& row, const T* x, T* values) {
  if constexpr (sizeof(T) < 8) {
    if (row.cols <= 0xffffffff) return sort_row<uint64_t>(launch, row, x, values, 0);
  } else if constexpr (!is_floating(dtype_of<T>)) {
    Key<T> least = 0;
    if (row.cols <= 0xffffffff && close_keys(launch, x, row.cols, row.descending, least))
      return sort_row<uint64_t>(launch, row, x, values, least);
  }
  sort_row<WideItem>(launch, row, x, values, 0);
}

}  // namespace tg::TG_ISA
