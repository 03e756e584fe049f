// The element of each row that would stand at a given place if the row were sorted (sort.cpp's order), without sorting it.
//
//   ranked      place `rank`
//   median      the lower middle one; in a row with NaN, the first NaN
//   nanmedian   the lower middle one of those that are not NaN
//
// Keys are looked at ten bits at a time, from the top. The numbers of elements with each value of these bits tell in which
// group the place lies; only that group goes on, in the order of its columns. Of elements that are equal to the last bit, the
// one with the right number of equals before it is taken.
//
//     keys     0110..  1011..  0111..  0010..        place 1
//     counts   00: 1   01: 2   10: 1                 the group 01 holds places 1 and 2: go on with 0110.., 0111.., place 0
//
// Cost: two reads of the row, and of ever smaller groups. Parallel over rows.
#include <cstring>

#include "core/parallel.h"
#include "kernels/cpu/sort_keys.h"

namespace tg::TG_ISA {

static constexpr int digit_bits = 10;
static constexpr int64_t groups = int64_t{1} << digit_bits;
static constexpr int64_t sorted_group = 48;  // a group this small is sorted by insertion

// What takes part: item(i) for i < count, in the order of columns.
template <class Item, class Digit> static int64_t group_of_rank(int64_t count, const Digit& digit, int64_t& rank,
                                                                int64_t& members) {
  int64_t tables[2][groups];  // neighbours count in different tables: an addition need not wait for the one before
  memset(tables, 0, sizeof tables);
  int64_t i = 0;
  for (; i + 2 <= count; i += 2) ++tables[0][digit(i)], ++tables[1][digit(i + 1)];
  if (i < count) ++tables[0][digit(i)];
  int64_t group = 0;
  for (;; ++group) {
    members = tables[0][group] + tables[1][group];
    if (rank < members) return group;
    rank -= members;
  }
}

template <class T, class Item> static Item select_rank(const T* x, int64_t n, int64_t rank, Item* items) {
  using U = Key<T>;
  constexpr int bits = 8 * static_cast<int>(sizeof(T));
  int shift = bits > digit_bits ? bits - digit_bits : 0;
  int64_t members = 0;
  const auto first_digit = [&](int64_t i) TG_INLINE_LAMBDA { return static_cast<int64_t>(key_of(x[i]) >> shift); };
  const int64_t first = group_of_rank<Item>(n, first_digit, rank, members);
  int64_t held = 0;
  for (int64_t i = 0; i < n; ++i) {  // every item is written; only those of the group stay
    const U key = key_of(x[i]);
    if constexpr (sizeof(Item) == 8) items[held] = static_cast<uint64_t>(key) << 32 | static_cast<uint64_t>(i);
    else items[held] = WideItem{key, static_cast<uint64_t>(i)};
    held += static_cast<int64_t>(key >> shift) == first;
  }
  const auto key_at = [&](int64_t i) TG_INLINE_LAMBDA {
    if constexpr (sizeof(Item) == 8) return static_cast<U>(items[i] >> 32);
    else return static_cast<U>(items[i].key);
  };
  while (shift > 0 && held > sorted_group) {
    const int next = shift > digit_bits ? shift - digit_bits : 0;
    const int64_t mask = (int64_t{1} << (shift - next)) - 1;
    const auto digit = [&](int64_t i) TG_INLINE_LAMBDA { return static_cast<int64_t>(key_at(i) >> next) & mask; };
    const int64_t group = group_of_rank<Item>(held, digit, rank, members);
    int64_t kept = 0;
    for (int64_t i = 0; i < held; ++i) {
      const bool stays = digit(i) == group;
      items[kept] = items[i];
      kept += stays;
    }
    held = kept;
    shift = next;
  }
  if (shift == 0) return items[rank];  // all equal: they stand in the order of their columns
  for (int64_t i = 1; i < held; ++i) {
    const Item item = items[i];
    int64_t j = i;
    for (; j > 0 && before(item, items[j - 1]); --j) items[j] = items[j - 1];
    items[j] = item;
  }
  return items[rank];
}

template <class T, class Item> static void select_row(const Select& v, const T* x, T* value, int64_t* where, Item* items) {
  const int64_t n = v.in.cols;
  int64_t rank = v.rank;
  if (v.kind != Select::ranked) {
    int64_t missing = 0;
    if constexpr (is_floating(dtype_of<T>)) {
      for (int64_t i = 0; i < n; ++i) missing += key_of(x[i]) == static_cast<Key<T>>(~Key<T>{0});
    }
    const int64_t present = n - missing;
    if (v.kind == Select::median) rank = missing ? present : (n - 1) / 2;
    else rank = present ? (present - 1) / 2 : 0;
  }
  *where = column_of(select_rank<T, Item>(x, n, rank, items));
  *value = x[*where];
}

// --- rows of the table ------------------------------------------------------------------------------------------------
static int64_t select_row_bytes(const Select& v) { return (v.in.cols + 1) * item_bytes(v.in.dtype, v.in.cols); }
size_t select_workspace(const Select& v, int threads) {
  return static_cast<size_t>(select_row_bytes(v) * (threads < v.in.rows ? threads : v.in.rows));
}

Status select(const Launch& launch, const Select& v) {
  if (v.in.rows == 0 || v.in.cols == 0) return {};
  over_rows(launch, v.in.rows, select_row_bytes(v), [&](int64_t r, char* scratch) {
    visit(v.in.dtype, [&]<class T>() {
      const T* x = static_cast<const T*>(v.in.data) + r * v.in.row_stride;
      T* value = static_cast<T*>(v.values) + r;
      if (is_wide(v.in.dtype, v.in.cols)) select_row<T>(v, x, value, v.where + r, reinterpret_cast<WideItem*>(scratch));
      else if constexpr (sizeof(T) < 8) select_row<T>(v, x, value, v.where + r, reinterpret_cast<uint64_t*>(scratch));
    });
  });
  return {};
}

}  // namespace tg::TG_ISA
