// Rows picked by number, over contiguous arrays seen as (outer, picked, inner):
//
//   index_select   out[o, i, :] = in[o, index[i], :]       in (outer, picked, inner),  out (outer, count, inner)
//   index_add      out[o, index[i], :] += in[o, i, :]      in (outer, count, inner),   out (outer, picked, inner)
//   index_copy     out[o, index[i], :]  = in[o, i, :]      the same shapes; of equal numbers the last one stays
//
// Embedding is index_select with outer = 1 and its gradient is index_add. A negative number counts from the end. All numbers
// are checked before anything that was there before is changed; index_select, whose result is new, checks them on the way.
//
// Cost: count x inner elements read and written per outer slice. Determinism: index_add adds to every element in the order
// of i. It is parallel over outer slices and over columns of inner, never over i, so neither atomics nor copies are needed.
// bfloat16 and float16 add in float32 and round after each addition; integers wrap, bool is or.
#include <cstring>

#include "core/parallel.h"
#include "kernels/cpu/copy_bytes.h"
#include "kernels/integer.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

static constexpr int64_t piece_bytes = 32768;      // work per piece, as in the elementwise kernels
static constexpr int64_t column_block = 128;       // columns of inner that one piece of index_add owns: a few cache lines
static constexpr int64_t fetched_bytes = 2048;     // of the rows to come that are asked for while one is copied
static constexpr int64_t copy_block_bytes = 2048;  // of a row that one piece of index_copy owns

static int64_t pieces_of(int64_t row_bytes) {
  return row_bytes < piece_bytes ? piece_bytes / (row_bytes > 0 ? row_bytes : 1) : 1;
}

static Status check_indexes(const Indexed& v) {
  int64_t bad = 0;  // branch-free, so that the compiler vectorises it
  for (int64_t i = 0; i < v.count; ++i) bad |= v.index[i] < -v.picked || v.index[i] >= v.picked;
  for (int64_t i = 0; bad && i < v.count; ++i) {
    if (v.index[i] < -v.picked || v.index[i] >= v.picked) return {Status::index_out_of_range, v.index[i]};
  }
  return {};
}

[[gnu::always_inline]] static inline int64_t wrapped_index(const Indexed& v, int64_t i) {
  return v.index[i] < 0 ? v.index[i] + v.picked : v.index[i];
}

// Number i made positive; one that is out of range raises the flag and reads as 0, if there is one.
[[gnu::always_inline]] static inline int64_t checked_index(const Indexed& v, int64_t i, int64_t& bad) {
  const int64_t number = v.index[i], place = number + (number >> 63 & v.picked);
  const bool outside = static_cast<uint64_t>(place) >= static_cast<uint64_t>(v.picked);
  bad |= outside;
  return outside ? 0 : place;
}

// Single elements: a call for each would cost more than the move.
template <int bytes> static int64_t select_elements(const Indexed& v, int64_t begin, int64_t end) {
  using U = typename BitsOf<bytes>::type;
  U* out = static_cast<U*>(v.out);
  const U* in = static_cast<const U*>(v.in);
  int64_t bad = 0;
  for (int64_t row = begin; row < end;) {
    const int64_t o = row / v.count, first = row - o * v.count;
    const int64_t stop = v.count - first < end - row ? v.count : first + end - row;
    const U* const from = in + o * v.picked;
    U* const to = out + o * v.count;
    for (int64_t i = first; i < stop; ++i) to[i] = from[checked_index(v, i, bad)];
    row += stop - first;
  }
  return bad;
}

// The processor reads on by itself along a row, not to the next one.
[[gnu::always_inline]] static inline void fetch_row(const char* row, int64_t bytes) {
  const int64_t most = bytes < fetched_bytes ? bytes : fetched_bytes;
  for (int64_t i = 0; i < most; i += 64) __builtin_prefetch(row + i);
}

static int64_t select_rows(const Indexed& v, int64_t row_bytes, int64_t begin, int64_t end) {
  char* const out = static_cast<char*>(v.out);
  const char* const in = static_cast<const char*>(v.in);
  int64_t bad = 0;
  const int64_t ahead = row_bytes < fetched_bytes ? fetched_bytes / row_bytes : 1;
  for (int64_t row = begin, o = begin / v.count, i = begin % v.count; row < end; ++row) {
    const char* const slice = in + o * v.picked * row_bytes;
    if (i + ahead < v.count) fetch_row(slice + checked_index(v, i + ahead, bad) * row_bytes, row_bytes);
    copy_bytes(out + row * row_bytes, slice + checked_index(v, i, bad) * row_bytes, row_bytes);
    if (++i == v.count) i = 0, ++o;
  }
  return bad;
}

Status index_select(const Launch& launch, const Indexed& v) {
  if (v.outer == 0 || v.count == 0 || v.inner == 0 || v.picked == 0) return check_indexes(v);
  const int element = size_of(v.dtype);
  const int64_t row_bytes = v.inner * element;
  int bad = 0;  // the result is new: numbers are checked on the way
  parallel_for(launch, v.outer * v.count, pieces_of(row_bytes), [&](int64_t begin, int64_t end) {
    int64_t found = 0;
    if (v.inner > 1) {
      found = select_rows(v, row_bytes, begin, end);
    } else {
      switch (element) {
        case 1: found = select_elements<1>(v, begin, end); break;
        case 2: found = select_elements<2>(v, begin, end); break;
        case 4: found = select_elements<4>(v, begin, end); break;
        default: found = select_elements<8>(v, begin, end);
      }
    }
    if (found) __atomic_store_n(&bad, 1, __ATOMIC_RELAXED);
  });
  return bad ? check_indexes(v) : Status{};
}

template <class T> [[gnu::always_inline]] static inline T added(T a, T b) {
  if constexpr (dtype_of<T> == DType::bf16) return to_bf16(to_float(a) + to_float(b));
  else if constexpr (dtype_of<T> == DType::f16) return to_f16(to_float(a) + to_float(b));
  else if constexpr (is_floating(dtype_of<T>)) return a + b;
  else return (Integer<T>{a} + Integer<T>{b}).value;
}

// Adds columns [c0, c1) of the rows of outer slice o.
template <class T> static void add_columns(const Indexed& v, int64_t o, int64_t c0, int64_t c1) {
  T* out = static_cast<T*>(v.out) + o * v.picked * v.inner;
  const T* in = static_cast<const T*>(v.in) + o * v.count * v.inner;
  for (int64_t i = 0; i < v.count; ++i) {
    T* to = out + wrapped_index(v, i) * v.inner;
    const T* from = in + i * v.inner;
#pragma omp simd  // out and in are different arrays
    for (int64_t c = c0; c < c1; ++c) to[c] = added(to[c], from[c]);
  }
}

Status index_add(const Launch& launch, const Indexed& v) {
  if (const Status status = check_indexes(v); status.code != Status::ok) return status;
  const int64_t blocks = (v.inner + column_block - 1) / column_block;
  const int64_t block_bytes = v.count * (v.inner < column_block ? v.inner : column_block) * size_of(v.dtype);
  parallel_for(launch, v.outer * blocks, pieces_of(block_bytes), [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t c0 = piece % blocks * column_block;
      const int64_t c1 = c0 + column_block < v.inner ? c0 + column_block : v.inner;
      visit(v.dtype, [&]<class T>() { add_columns<T>(v, piece / blocks, c0, c1); });
    }
  });
  return {};
}

Status index_copy(const Launch& launch, const Indexed& v) {
  if (const Status status = check_indexes(v); status.code != Status::ok) return status;
  const int64_t row_bytes = v.inner * size_of(v.dtype);
  // Parallel over outer slices and blocks of a row's bytes, never over i: the order of i decides who is last.
  const int64_t blocks = (row_bytes + copy_block_bytes - 1) / copy_block_bytes;
  const int64_t width = row_bytes < copy_block_bytes ? row_bytes : copy_block_bytes;
  parallel_for(launch, v.outer * blocks, pieces_of(v.count * width), [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t o = piece / blocks, from = piece % blocks * copy_block_bytes;
      const int64_t bytes = from + copy_block_bytes < row_bytes ? copy_block_bytes : row_bytes - from;
      for (int64_t i = 0; i < v.count; ++i) {
        memcpy(static_cast<char*>(v.out) + (o * v.picked + wrapped_index(v, i)) * row_bytes + from,
               static_cast<const char*>(v.in) + (o * v.count + i) * row_bytes + from, static_cast<size_t>(bytes));
      }
    }
  });
  return {};
}

}  // namespace tg::TG_ISA
