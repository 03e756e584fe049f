// Sorted rows, the best k of each row, and binary search in sorted rows.
//
// Every element becomes an unsigned key whose order is the order of the numbers (NaN last and all NaN equal, -0 equal to 0;
// for a descending order the key is inverted), and an item: the key with its column below it. Items are all different, so
// there is one sorted order, and it is the stable one.
//
//   key up to 32 bits   item = key << 32 | column        (8 bytes, compared as one number)
//   key of 64 bits      item = {key, column}             (16 bytes)
//
//   sort          rows of up to 256 by merging, longer ones by a radix sort, 8 bits a pass (radix_sort.h); 8-bit types take one
//                 pass, small integers few. The keys of integers of 64 bits are counted from the least: where their range
//                 fits 32 bits, they are narrow items
//   topk          reads the row once. Candidates better than the k-th best so far go to a buffer of 2k; when it is full it
//                 is sorted and cut to k; few best ones are kept in order by insertion. Nearly all elements are passed over
//                 64 at a time.
//   searchsorted  binary search without branches, eight values at a time: one alone would wait for every comparison
//
// Cost: sort (2 + 2 passes) reads and writes of the items; topk one read of the row plus about k ln(n / k) candidates.
// Parallel over rows, each thread with its own part of the workspace; threads without a row of their own share long ones. The
// results do not depend on any of this.
#include <cstring>

#include "core/parallel.h"
#include "kernels/cpu/sort_row.h"

namespace tg::TG_ISA {

static constexpr int64_t topk_block = 64;          // elements that are looked at together
static constexpr int64_t shared_elements = 16384;  // of a row, for each thread that works on it
static constexpr int64_t few = 32;                 // up to so many best ones are kept in order by insertion

// --- one row ------------------------------------------------------------------------------------------------------------
template <class T, class Item> static void write_best(const Item* items, const T* x, int64_t n, T* values, int64_t* where) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t column = column_of(items[i]);
    where[i] = column;
    values[i] = x[column];
  }
}

// Bit i tells whether element i of `count` <= 64 comes before an element `bar` that stands earlier in the row (equal ones lose).
template <class T> TG_INLINE uint64_t better_than(const T* x, int64_t count, T bar, bool largest) {
  if constexpr (dtype_of<T> == DType::f32 || dtype_of<T> == DType::f64) {
    using V = Vec<T>;
    const V b(bar);
    const bool bar_is_nan = bar != bar;
    if (largest && bar_is_nan) return 0;
    uint64_t found = 0;
    for (int64_t i = 0; i < count; i += V::width) {
      const V v = V::load(x + i, count - i, bar);  // past the end: equal
      const Mask<T> better = largest ? !(v <= b) : bar_is_nan ? v == v : v < b;
      found |= static_cast<uint64_t>(bits(better)) << i;
    }
    return found;
  } else {
    const Key<T> high = key_of(bar, largest);
    uint64_t found = 0;
    for (int64_t i = 0; i < count; ++i) found |= static_cast<uint64_t>(key_of(x[i], largest) < high) << i;
    return found;
  }
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
  for (int64_t start = k; start < cols; start += topk_block) {
    const int64_t count = cols - start < topk_block ? cols - start : topk_block;
    uint64_t found = better_than(x + start, count, x[column_of(best[k - 1])], v.largest);
    for (; found; found &= found - 1) {
      const int64_t i = start + __builtin_ctzll(found);
      const Item item = item_of<Item>(x[i], i, v.largest);
      if (before(item, best[k - 1])) insert(item, k);  // the bar may have risen
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
  T bar{};  // the k-th best, once there were k
  bool full = false;
  for (int64_t start = 0; start < cols; start += topk_block) {
    const int64_t count = cols - start < topk_block ? cols - start : topk_block;
    if (full) {
      for (uint64_t found = better_than(x + start, count, bar, v.largest); found; found &= found - 1) {
        const int64_t i = start + __builtin_ctzll(found);
        items[held++] = item_of<Item>(x[i], i, v.largest);
      }
    } else {
      for (int64_t i = start; i < start + count; ++i) items[held++] = item_of<Item>(x[i], i, v.largest);
    }
    if (held >= capacity - topk_block && held >= v.k) {
      items = sort_items<T>(items, items == scratch ? scratch + capacity : scratch, held);
      held = v.k;
      full = true;
      bar = x[column_of(items[held - 1])];
    }
  }
  Item* sorted = sort_items<T>(items, items == scratch ? scratch + capacity : scratch, held);
  write_best(sorted, x, v.k, values, where);
}

static int64_t sort_row_bytes(const Sort& v) { return 2 * v.in.cols * item_bytes(v.in.dtype, v.in.cols); }
// Fewer long rows than threads: the threads share each row.
static int threads_of_a_row(const Sort& v, int threads) {
  if (v.in.rows >= threads || v.in.cols < 2 * shared_elements) return 1;
  const int64_t most = v.in.cols / shared_elements;
  return threads < most ? threads : static_cast<int>(most);
}
size_t sort_workspace(const Sort& v, int threads) {
  const int shared = threads_of_a_row(v, threads);
  if (shared > 1) return static_cast<size_t>(sort_row_bytes(v)) + static_cast<size_t>(shared) * sizeof(Digits<8>);
  return static_cast<size_t>(sort_row_bytes(v) * (threads < v.in.rows ? threads : v.in.rows));
}

Status sort(const Launch& launch, const Sort& v) {
  if (v.in.rows == 0 || v.in.cols == 0) return {};
  const int shared = threads_of_a_row(v, launch.threads);
  Launch inner = launch;  // of one row
  if (shared == 1) inner.threads = 1;
  auto sort_one = [&](int64_t r, char* scratch) {
    visit(v.in.dtype, [&]<class T>() {
      const SortRow row{v.in.cols, v.descending, v.where + r * v.in.cols, scratch, shared};
      sort_row<T>(inner, row, static_cast<const T*>(v.in.data) + r * v.in.row_stride,
                  static_cast<T*>(v.values) + r * v.in.cols);
    });
  };
  if (shared == 1) {
    over_rows(launch, v.in.rows, sort_row_bytes(v), sort_one);
  } else {
    for (int64_t r = 0; r < v.in.rows; ++r) sort_one(r, static_cast<char*>(launch.workspace));
  }
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

// out[l] = how many of a sorted row are below key l (or equal to it, too), for a few keys side by side.
static constexpr int searches = 8;
template <class T> TG_INLINE void places_in(const T* row, int64_t cols, const Key<T>* keys, bool right, int64_t* out) {
  int64_t base[searches] = {};
  for (int64_t left = cols; left > 1;) {  // the answers are in [base, base + left]
    const int64_t half = left / 2;
#pragma GCC unroll 8
    for (int l = 0; l < searches; ++l) {
      const Key<T> here = key_of(row[base[l] + half - 1]);
      const bool below = right ? here <= keys[l] : here < keys[l];
      base[l] += below ? half : 0;
    }
    left -= half;
  }
  for (int l = 0; l < searches; ++l) {
    const Key<T> here = cols ? key_of(row[base[l]]) : Key<T>{0};
    out[l] = base[l] + (cols && (right ? here <= keys[l] : here < keys[l]));
  }
}

Status searchsorted(const Launch& launch, const SearchSorted& v) {
  const int64_t cols = v.values.cols, groups = (cols + searches - 1) / searches;  // of one row
  visit(v.values.dtype, [&]<class T>() {
    parallel_for(launch, v.values.rows * groups, 256, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        const int64_t r = g / groups, c = g % groups * searches, count = cols - c < searches ? cols - c : searches;
        const T* row = static_cast<const T*>(v.sorted.data) + (v.sorted.rows == 1 ? 0 : r) * v.sorted.row_stride;
        const T* values = static_cast<const T*>(v.values.data) + r * v.values.row_stride + c;
        Key<T> keys[searches];
        int64_t places[searches];
        for (int l = 0; l < searches; ++l) keys[l] = key_of(values[l < count ? l : 0]);
        places_in(row, v.sorted.cols, keys, v.right, places);
        for (int64_t l = 0; l < count; ++l) v.out[r * cols + c + l] = places[l];
      }
    });
  });
  return {};
}

}  // namespace tg::TG_ISA
