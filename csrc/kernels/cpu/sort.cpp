// Sorted rows, the best k of each row, and binary search in sorted rows.
//
// Every element becomes an unsigned key whose order is the order of the numbers (NaN last and all NaN equal, -0 equal to 0;
// for a descending order the key is inverted), and an item: the key with its column below it. Items are all different, so
// there is one sorted order, and it is the stable one.
//
//   key up to 32 bits   item = key << 32 | column        (8 bytes, compared as one number)
//   key of 64 bits      item = {key, column}             (16 bytes)
//
//   sort          rows of up to 256 by merging, longer ones by a radix sort, 8 bits a pass from the lowest byte up;
//                 a byte that is the same everywhere costs no pass (8-bit types take one, small integers few)
//   topk          reads the row once. Candidates better than the k-th best so far go to a buffer of 2k; when it is full it
//                 is sorted and cut to k; few best ones are kept in order by insertion. Nearly all elements are passed over
//                 64 at a time.
//   searchsorted  binary search without branches
//
// Cost: sort (2 + 2 passes) reads and writes of the items; topk one read of the row plus about k ln(n / k) candidates.
// Parallel over rows, each thread with its own part of the workspace. The results do not depend on any of this.
#include <cstring>

#include "core/parallel.h"
#include "kernels/arguments/sort.h"
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

static constexpr int64_t merge_below = 256;  // from here on the radix sort is faster (measured on Zen 4)
static constexpr int64_t topk_block = 64;    // elements that are looked at together
static constexpr int64_t few = 32;           // up to so many best ones are kept in order by insertion

// --- keys ---------------------------------------------------------------------------------------------------------------
template <int bytes> struct UnsignedOf;
template <> struct UnsignedOf<1> { using type = uint8_t; };
template <> struct UnsignedOf<2> { using type = uint16_t; };
template <> struct UnsignedOf<4> { using type = uint32_t; };
template <> struct UnsignedOf<8> { using type = uint64_t; };
template <class T> using Key = typename UnsignedOf<sizeof(T)>::type;

template <class T> constexpr Key<T> sign_of = static_cast<Key<T>>(Key<T>{1} << (8 * sizeof(T) - 1));
template <class T> constexpr Key<T> infinity_bits = 0;
template <> constexpr uint32_t infinity_bits<float> = 0x7f800000u;
template <> constexpr uint64_t infinity_bits<double> = 0x7ff0000000000000u;
template <> constexpr uint16_t infinity_bits<bf16> = 0x7f80;
template <> constexpr uint16_t infinity_bits<f16> = 0x7c00;

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

template <int byte, class T, class Item>
TG_INLINE void radix_pass(Item*& items, Item*& other, int64_t n, int64_t (&count)[256]) {
  if (count[digit<byte, T>(items[0])] == n) return;  // the same everywhere
  int64_t place[256], sum = 0;
  for (int d = 0; d < 256; ++d) place[d] = sum, sum += count[d];
  for (int64_t i = 0; i < n; ++i) other[place[digit<byte, T>(items[i])]++] = items[i];
  Item* swapped = items;
  items = other;
  other = swapped;
}

template <class T, class Item> static Item* radix_sort(Item* items, Item* other, int64_t n) {
  constexpr int bytes = sizeof(T);
  int64_t count[bytes][256];
  memset(count, 0, sizeof count);
  for (int64_t i = 0; i < n; ++i) {
    ++count[0][digit<0, T>(items[i])];
    if constexpr (bytes > 1) ++count[1][digit<1, T>(items[i])];
    if constexpr (bytes > 2) ++count[2][digit<2, T>(items[i])], ++count[3][digit<3, T>(items[i])];
    if constexpr (bytes > 4) {
      ++count[4][digit<4, T>(items[i])], ++count[5][digit<5, T>(items[i])];
      ++count[6][digit<6, T>(items[i])], ++count[7][digit<7, T>(items[i])];
    }
  }
  radix_pass<0, T>(items, other, n, count[0]);
  if constexpr (bytes > 1) radix_pass<1, T>(items, other, n, count[1]);
  if constexpr (bytes > 2) radix_pass<2, T>(items, other, n, count[2]), radix_pass<3, T>(items, other, n, count[3]);
  if constexpr (bytes > 4) {
    radix_pass<4, T>(items, other, n, count[4]), radix_pass<5, T>(items, other, n, count[5]);
    radix_pass<6, T>(items, other, n, count[6]), radix_pass<7, T>(items, other, n, count[7]);
  }
  return items;
}

// Items that came in the order of their columns need no look at the columns; others (topk's) are merged.
template <class T, class Item> static Item* sort_items(Item* items, Item* other, int64_t n) {
  return n <= merge_below ? merge_sort(items, other, n) : radix_sort<T>(items, other, n);
}

// --- one row ------------------------------------------------------------------------------------------------------------
template <class T, class Item> static void write_best(const Item* items, const T* x, int64_t n, T* values, int64_t* where) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t column = column_of(items[i]);
    where[i] = column;
    values[i] = x[column];
  }
}

template <class T, class Item>
static void sort_row(const T* x, int64_t cols, bool descending, T* values, int64_t* where, Item* scratch) {
  for (int64_t i = 0; i < cols; ++i) scratch[i] = item_of<Item>(x[i], i, descending);
  write_best(sort_items<T>(scratch, scratch + cols, cols), x, cols, values, where);
}

// The k best of a row for small k: they are kept in order, and what may be better is put into its place at once, so that the
// bar is always as high as it can be.
template <class T, class Item> static void topk_few(const TopK& v, const T* x, T* values, int64_t* where, Item* best) {
  const int64_t cols = v.in.cols, k = v.k;
  auto insert = [&](const Item& item, int64_t held) {  // among the first `held`; the last of k falls out
    int64_t j = held < k ? held : k - 1;
    for (; j > 0 && before(item, best[j - 1]); --j) best[j] = best[j - 1];
    best[j] = item;
  };
  for (int64_t i = 0; i < k; ++i) insert(item_of<Item>(x[i], i, v.largest), i);
  auto bar = [&] { return key_of(x[column_of(best[k - 1])], v.largest); };
  alignas(64) uint8_t better[topk_block];
  for (int64_t start = k; start < cols; start += topk_block) {
    const int64_t count = cols - start < topk_block ? cols - start : topk_block;
    const Key<T> high = bar();
    if (count < topk_block) memset(better, 0, sizeof better);
    for (int64_t i = 0; i < count; ++i)
      better[i] = key_of(x[start + i], v.largest) < high;  // an equal key comes later: it loses
    for (int64_t word = 0; word < topk_block; word += 8) {
      uint64_t found;
      memcpy(&found, better + word, 8);
      for (; found; found &= found - 1) {
        const int64_t i = start + word + (__builtin_ctzll(found) >> 3);
        if (key_of(x[i], v.largest) < bar()) insert(item_of<Item>(x[i], i, v.largest), k);
      }
    }
  }
  write_best(best, x, k, values, where);
}

static int64_t topk_capacity(int64_t k) { return 2 * k + topk_block; }

template <class T, class Item> static void topk_row(const TopK& v, const T* x, T* values, int64_t* where, Item* scratch) {
  if (v.k <= few) return topk_few<T>(v, x, values, where, scratch);
  const int64_t cols = v.in.cols, capacity = topk_capacity(v.k);
  Item* items = scratch;  // the best so far in order of column within equal keys, then new candidates
  int64_t held = 0;
  Key<T> bar = 0;  // the key of the k-th best, once there were k
  bool full = false;
  for (int64_t start = 0; start < cols; start += topk_block) {
    const int64_t end = start + topk_block < cols ? start + topk_block : cols;
    if (full) {
      int found = 0;
      for (int64_t i = start; i < end; ++i) found |= key_of(x[i], v.largest) < bar;
      if (!found) continue;
    }
    for (int64_t i = start; i < end; ++i) {  // an equal key comes later in the row, so it loses
      if (!full || key_of(x[i], v.largest) < bar) items[held++] = item_of<Item>(x[i], i, v.largest);
    }
    if (held >= capacity - topk_block && held >= v.k) {
      Item* sorted = sort_items<T>(items, items == scratch ? scratch + capacity : scratch, held);
      items = sorted;
      held = v.k;
      full = true;
      if constexpr (sizeof(Item) == 8) bar = static_cast<Key<T>>(items[held - 1] >> 32);
      else bar = static_cast<Key<T>>(items[held - 1].key);
    }
  }
  Item* sorted = sort_items<T>(items, items == scratch ? scratch + capacity : scratch, held);
  write_best(sorted, x, v.k, values, where);
}

// Rows [0, rows) in one part a thread, each with its own scratch.
template <class Body> static void over_rows(const Launch& launch, int64_t rows, int64_t row_bytes, const Body& body) {
  const int64_t parts = launch.threads < rows ? launch.threads : rows;
  parallel_for(launch, parts, 1, [&](int64_t part, int64_t) {
    char* scratch = static_cast<char*>(launch.workspace) + part * row_bytes;
    for (int64_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) body(r, scratch);
  });
}

static bool is_wide(DType dtype, int64_t cols) { return size_of(dtype) == 8 || cols > 0xffffffff; }
static int64_t item_bytes(DType dtype, int64_t cols) { return is_wide(dtype, cols) ? 16 : 8; }

static int64_t sort_row_bytes(const Sort& v) { return 2 * v.in.cols * item_bytes(v.in.dtype, v.in.cols); }
size_t sort_workspace(const Sort& v, int threads) {
  return static_cast<size_t>(sort_row_bytes(v) * (threads < v.in.rows ? threads : v.in.rows));
}

Status sort(const Launch& launch, const Sort& v) {
  if (v.in.rows == 0 || v.in.cols == 0) return {};
  over_rows(launch, v.in.rows, sort_row_bytes(v), [&](int64_t r, char* scratch) {
    visit(v.in.dtype, [&]<class T>() {
      const T* x = static_cast<const T*>(v.in.data) + r * v.in.row_stride;
      T* values = static_cast<T*>(v.values) + r * v.in.cols;
      int64_t* where = v.where + r * v.in.cols;
      if (is_wide(v.in.dtype, v.in.cols))
        sort_row<T>(x, v.in.cols, v.descending, values, where, reinterpret_cast<WideItem*>(scratch));
      else if constexpr (sizeof(T) < 8)
        sort_row<T>(x, v.in.cols, v.descending, values, where, reinterpret_cast<uint64_t*>(scratch));
    });
  });
  return {};
}

static int64_t topk_row_bytes(const TopK& v) { return 2 * topk_capacity(v.k) * item_bytes(v.in.dtype, v.in.cols); }
size_t topk_workspace(const TopK& v, int threads) {
  return static_cast<size_t>(topk_row_bytes(v) * (threads < v.in.rows ? threads : v.in.rows));
}

Status topk(const Launch& launch, const TopK& v) {
  if (v.in.rows == 0 || v.k == 0) return {};
  over_rows(launch, v.in.rows, topk_row_bytes(v), [&](int64_t r, char* scratch) {
    visit(v.in.dtype, [&]<class T>() {
      const T* x = static_cast<const T*>(v.in.data) + r * v.in.row_stride;
      T* values = static_cast<T*>(v.values) + r * v.k;
      int64_t* where = v.where + r * v.k;
      if (is_wide(v.in.dtype, v.in.cols)) topk_row<T>(v, x, values, where, reinterpret_cast<WideItem*>(scratch));
      else if constexpr (sizeof(T) < 8) topk_row<T>(v, x, values, where, reinterpret_cast<uint64_t*>(scratch));
    });
  });
  return {};
}

// How many of a sorted row are below `key` (or equal to it, too).
template <class T> TG_INLINE int64_t place_in(const T* row, int64_t cols, Key<T> key, bool right) {
  auto below = [&](int64_t i) TG_INLINE_LAMBDA {
    const Key<T> here = key_of(row[i]);
    return here < key || (right && here == key);
  };
  if (cols == 0) return 0;
  int64_t base = 0;
  for (int64_t left = cols; left > 1;) {  // the answer is in [base, base + left]
    const int64_t half = left / 2;
    base = below(base + half - 1) ? base + half : base;
    left -= half;
  }
  return base + below(base);
}

Status searchsorted(const Launch& launch, const SearchSorted& v) {
  const int64_t total = v.values.rows * v.values.cols;
  visit(v.values.dtype, [&]<class T>() {
    parallel_for(launch, total, 2048, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i / v.values.cols, c = i % v.values.cols;
        const T* row = static_cast<const T*>(v.sorted.data) + (v.sorted.rows == 1 ? 0 : r) * v.sorted.row_stride;
        const T value = static_cast<const T*>(v.values.data)[r * v.values.row_stride + c];
        v.out[i] = place_in(row, v.sorted.cols, key_of(value), v.right);
      }
    });
  });
  return {};
}

}  // namespace tg::TG_ISA
