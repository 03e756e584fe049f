// Single elements by number along one dim (arguments/positions.h): gather reads them, scatter writes, adds, multiplies,
// or keeps the larger or smaller; and the places of the true elements of a mask.
//
//   gather    values[i0, i1, ...] = x[i0, .., index[i0, i1, ...], ..]      the number stands in the place of one coordinate
//   scatter   x[i0, .., index[i0, i1, ...], ..] = values[i0, i1, ...]      in the order of the index, so the last one stays
//   nonzero   out[n, :] = coordinates of the n-th true element
//
// All numbers are checked before they are used, all of them before anything is written into a tensor that
// was there before. A negative number counts from the end.
//
// Cost: one index (8 bytes), one read and one write an element; the reads of x may each touch a cache line. Determinism:
// elements of x that differ in another coordinate than the indexed one never meet, so scatter is parallel over a dim that is
// not the indexed one, and inside a piece it goes in the order of the index; a vector is scattered by one thread. The 16-bit
// floats add in float32 and round after each addition.
#include "kernels/arguments/positions.h"
#include "core/parallel.h"
#include "kernels/cpu/strided_tile.h"
#include "kernels/integer.h"

namespace tg::TG_ISA {

static constexpr int64_t piece_elements = 8192;

// Is one of n numbers outside [-size, size)? Without branches: a sign bit tells.
[[gnu::always_inline]] static inline bool any_outside(const int64_t* index, int64_t n, int64_t size) {
  int64_t signs = 0;
  for (int64_t i = 0; i < n; ++i) signs |= (index[i] + size) | (size - 1 - index[i]);
  return signs < 0;
}

static int64_t numbers_of(const Positions& v) {
  int64_t count = 1;
  for (int d = 0; d < v.ndim; ++d) count *= v.shape[d];
  return count;
}

// Set by any piece that meets a bad number; the first bad one is looked for afterwards.
struct Flag {
  int value = 0;
  void raise() { __atomic_store_n(&value, 1, __ATOMIC_RELAXED); }
};

static Status first_outside(const Positions& v) {
  const int64_t count = numbers_of(v);
  for (int64_t i = 0; i < count; ++i) {
    if (any_outside(v.index + i, 1, v.size)) return {Status::index_out_of_range, v.index[i]};
  }
  return {};
}

static Status check_numbers(const Launch& launch, const Positions& v) {
  Flag bad;
  parallel_for(launch, numbers_of(v), 4 * piece_elements, [&](int64_t begin, int64_t end) {
    if (any_outside(v.index + begin, end - begin, v.size)) bad.raise();
  });
  return bad.value ? first_outside(v) : Status{};
}

// One run along the last dim: where it starts in the three operands.
struct Run { int64_t index, x, value; };

// Calls body(run) for the rows of [begin, end) of dim `split`, in the order of the index. Rows lie along the last dim.
template <class Body> TG_INLINE void for_each_run(const Positions& v, int split, int64_t begin, int64_t end, const Body& body) {
  int64_t at[max_dims] = {}, strides[max_dims], low[max_dims] = {}, high[max_dims];
  const int last = v.ndim - 1;
  for (int64_t d = last, stride = 1; d >= 0; --d) strides[d] = stride, stride *= v.shape[d], high[d] = v.shape[d];
  low[split] = at[split] = begin;
  high[split] = end;
  Run run{begin * strides[split], begin * v.walk[split], begin * v.value_strides[split]};
  while (true) {
    body(run);
    int d = last - 1;
    for (; d >= 0; --d) {
      ++at[d];
      run.index += strides[d], run.x += v.walk[d], run.value += v.value_strides[d];
      if (at[d] < high[d]) break;
      const int64_t back = high[d] - low[d];
      at[d] = low[d];
      run.index -= back * strides[d], run.x -= back * v.walk[d], run.value -= back * v.value_strides[d];
    }
    if (d < 0) return;
  }
}

// Calls body(j0, j1, places) for stretches of a run: places[j - j0] is number j, made positive and multiplied by the step. Gives
// false at the first stretch with a number that is out of range. Checking and wrapping are vector work; what is left to the
// body is one load and one address an element. Offsets that do not fit 32 bits take `Place` = int64_t. A stretch is short enough
// for the processor to read the numbers of the next one while it works on this one.
static constexpr int64_t stretch = 64;
template <class Place, class Body>
TG_INLINE bool in_range(const int64_t* index, int64_t n, int64_t size, int64_t step, const Body& body) {
  alignas(64) Place places[stretch];
  for (int64_t j = 0; j < n; j += stretch) {
    const int64_t end = j + stretch < n ? j + stretch : n;
    int64_t signs = 0;
    if (step == 1) {
      for (int64_t i = j; i < end; ++i) {
        const int64_t number = index[i];
        signs |= (number + size) | (size - 1 - number);
        places[i - j] = static_cast<Place>(number + (number >> 63 & size));
      }
    } else {
      for (int64_t i = j; i < end; ++i) {
        const int64_t number = index[i];
        signs |= (number + size) | (size - 1 - number);
        places[i - j] = static_cast<Place>(static_cast<Place>(number + (number >> 63 & size)) * static_cast<Place>(step));
      }
    }
    if (signs < 0) return false;
    body(j, end, places);
  }
  return true;
}
static bool fits_32_bits(const Positions& v) {
  const int64_t reach = v.size * (v.step < 0 ? -v.step : v.step);
  return reach < int64_t{1} << 31;
}

template <int bytes, class Place> static void gather_part(const Positions& v, int64_t begin, int64_t end, Flag& bad) {
  using U = typename BitsOf<bytes>::type;
  const int last = v.ndim - 1;
  const int64_t n = last == 0 ? end - begin : v.shape[last], walk = v.walk[last], size = v.size, step = v.step;
  for_each_run(v, 0, begin, end, [&](const Run& run) TG_INLINE_LAMBDA {
    const U* x = static_cast<const U*>(v.x) + run.x;
    U* out = static_cast<U*>(v.values) + run.value;  // contiguous
    const int64_t* index = v.index + run.index;
    const bool fine = in_range<Place>(index, n, size, step, [&](int64_t j0, int64_t j1, const Place* places) TG_INLINE_LAMBDA {
      if (walk == 0)
        for (int64_t j = j0; j < j1; ++j) out[j] = x[places[j - j0]];
      else
        for (int64_t j = j0; j < j1; ++j) out[j] = x[j * walk + places[j - j0]];
    });
    if (!fine) bad.raise();
  });
}

template <class Place> static void gather_elements(const Positions& v, int64_t begin, int64_t end, Flag& bad) {
  switch (size_of(v.dtype)) {
    case 1: return gather_part<1, Place>(v, begin, end, bad);
    case 2: return gather_part<2, Place>(v, begin, end, bad);
    case 4: return gather_part<4, Place>(v, begin, end, bad);
    default: return gather_part<8, Place>(v, begin, end, bad);
  }
}

Status gather(const Launch& launch, const Positions& v) {
  Flag bad;
  int64_t rest = 1;
  for (int d = 1; d < v.ndim; ++d) rest *= v.shape[d];
  const int64_t grain = piece_elements / rest;
  parallel_for(launch, v.shape[0], grain > 1 ? grain : 1, [&](int64_t begin, int64_t end) {
    fits_32_bits(v) ? gather_elements<int32_t>(v, begin, end, bad) : gather_elements<int64_t>(v, begin, end, bad);
  });
  return bad.value ? first_outside(v) : Status{};
}

// What becomes of an element of x, a, when the value b comes to it.
template <ScatterOp op, class T> TG_INLINE T combined(T a, T b) {
  if constexpr (op == ScatterOp::write) return b;
  else if constexpr (dtype_of<T> == DType::bf16) return to_bf16(combined<op>(to_float(a), to_float(b)));
  else if constexpr (dtype_of<T> == DType::f16) return to_f16(combined<op>(to_float(a), to_float(b)));
  else if constexpr (op == ScatterOp::maximum) return a != a || b < a ? a : b;  // NaN wins
  else if constexpr (op == ScatterOp::minimum) return a != a || b > a ? a : b;
  else if constexpr (is_floating(dtype_of<T>)) return op == ScatterOp::add ? a + b : a * b;
  else return (op == ScatterOp::add ? Integer<T>{a} + Integer<T>{b} : Integer<T>{a} * Integer<T>{b}).value;
}

// x[index[j]] += value for a vector: how a histogram is counted. An addition that waits for the one before it on the same
// element takes several cycles, so neighbours add to different tables; integers do not mind the order.
static bool count_into_tables(const Positions& v, int64_t value) {
  constexpr int tables = 4;
  constexpr int64_t table_size = 1024;
  if (v.size > table_size) return false;
  alignas(64) int64_t part[tables][table_size] = {};
  const int64_t n = v.shape[0], size = v.size;
  const int64_t* index = v.index;
  const bool fine = in_range<int32_t>(index, n, size, 1, [&](int64_t j0, int64_t j1, const int32_t* places) TG_INLINE_LAMBDA {
    const int64_t count = j1 - j0;
    int64_t j = 0;
    for (; j + tables <= count; j += tables) {
#pragma GCC unroll 4
      for (int k = 0; k < tables; ++k) ++part[k][places[j + k]];
    }
    for (; j < count; ++j) ++part[0][places[j]];
  });
  if (!fine) return false;  // and the usual way says so
  auto* x = static_cast<int64_t*>(v.x);
  for (int64_t i = 0; i < size; ++i) {
    const int64_t count = (part[0][i] + part[1][i]) + (part[2][i] + part[3][i]);
    x[i * v.step] = (Integer<int64_t>{x[i * v.step]} + Integer<int64_t>{count} * Integer<int64_t>{value}).value;
  }
  return true;
}

template <ScatterOp op, class T> static void scatter_part(const Positions& v, int split, int64_t begin, int64_t end,
                                                          Flag& bad) {
  const int last = v.ndim - 1;
  const int64_t n = last == split ? end - begin : v.shape[last], walk = v.walk[last], from = v.value_strides[last];
  const int64_t size = v.size, step = v.step;
  for_each_run(v, split, begin, end, [&](const Run& run) TG_INLINE_LAMBDA {
    T* x = static_cast<T*>(v.x) + run.x;
    const T* values = static_cast<const T*>(v.values) + run.value;
    const int64_t* index = v.index + run.index;
    const bool fine =
        in_range<int64_t>(index, n, size, step, [&](int64_t j0, int64_t j1, const int64_t* places) TG_INLINE_LAMBDA {
          if (walk == 0 && from == 1) {
            for (int64_t j = j0; j < j1; ++j) {
              T& target = x[places[j - j0]];
              target = combined<op>(target, values[j]);
            }
          } else {
            for (int64_t j = j0; j < j1; ++j) {
              T& target = x[j * walk + places[j - j0]];
              target = combined<op>(target, values[j * from]);
            }
          }
        });
    if (!fine) bad.raise();
  });
}

Status scatter(const Launch& launch, const Positions& v) {
  if (!v.fresh) {
    if (const Status status = check_numbers(launch, v); status.code != Status::ok) return status;
  }
  if (v.dtype == DType::i64 && v.op == ScatterOp::add && v.ndim == 1 && v.walk[0] == 0 && v.value_strides[0] == 0 &&
      v.shape[0] >= 4 * v.size && count_into_tables(v, *static_cast<const int64_t*>(v.values))) {
    return {};
  }
  int split = 0;  // the first dim that is not the indexed one; with one dim only, one thread does all
  while (split < v.ndim - 1 && v.walk[split] == 0) ++split;
  const bool inside = split > 0;  // runs are cut: long enough pieces for whole cache lines
  const int64_t rest = numbers_of(v) / v.shape[split], even = piece_elements / rest, eighth = v.shape[split] / 8;
  int64_t grain = even > 1 ? even : 1;
  if (inside && grain < 64) grain = 64;
  if (inside && grain < eighth) grain = eighth;
  if (v.walk[split] == 0) grain = v.shape[split];
  Flag bad;
  parallel_for(launch, v.shape[split], grain, [&](int64_t begin, int64_t end) {
    visit(v.dtype, [&]<class T>() {
      switch (v.op) {
        case ScatterOp::write: return scatter_part<ScatterOp::write, T>(v, split, begin, end, bad);
        case ScatterOp::add: return scatter_part<ScatterOp::add, T>(v, split, begin, end, bad);
        case ScatterOp::multiply: return scatter_part<ScatterOp::multiply, T>(v, split, begin, end, bad);
        case ScatterOp::maximum: return scatter_part<ScatterOp::maximum, T>(v, split, begin, end, bad);
        default: return scatter_part<ScatterOp::minimum, T>(v, split, begin, end, bad);
      }
    });
  });
  return bad.value ? first_outside(v) : Status{};
}

// --- nonzero --------------------------------------------------------------------------------------------------------------
Status nonzero_count(const Launch& launch, const Nonzero& v) {
  parallel_for(launch, v.count, Nonzero::piece_elements, [&](int64_t begin, int64_t end) {
    const auto* mask = reinterpret_cast<const uint8_t*>(v.mask);
    int64_t trues = 0;
    for (int64_t i = begin; i < end;) {  // sums of up to 255 bytes fit a byte-wide register
      const int64_t stop = i + 4096 < end ? i + 4096 : end;
      int32_t part = 0;
      for (; i < stop; ++i) part += mask[i];
      trues += part;
    }
    v.starts[begin / Nonzero::piece_elements] = trues;
  });
  return {};
}

// The true elements of [begin, end), written from out on.
static void write_places(const Nonzero& v, int64_t begin, int64_t end, int64_t* out) {
  const int last = v.ndim - 1;
  const int64_t cols = v.shape[last];
  for (int64_t i = begin; i < end;) {  // one row, or what of it lies in the range
    const int64_t row = i / cols, first = row * cols;
    const int64_t stop = first + cols < end ? first + cols : end;
    int64_t above[max_dims];
    for (int64_t d = last - 1, rest = row; d >= 0; --d) above[d] = rest % v.shape[d], rest /= v.shape[d];
    while (i < stop) {  // 64 at a time, without a branch an element: whether one is true cannot be foreseen
      const int64_t count = stop - i < 64 ? stop - i : 64;
      int32_t places[64];
      int found = 0;
      for (int32_t k = 0; k < count; ++k) {
        places[found] = k;
        found += v.mask[i + k];
      }
      const int64_t start = i - first;
      if (last == 0) {
        for (int k = 0; k < found; ++k) out[k] = start + places[k];
        out += found;
      } else {
        for (int k = 0; k < found; ++k) {
          for (int d = 0; d < last; ++d) *out++ = above[d];
          *out++ = start + places[k];
        }
      }
      i += count;
    }
  }
}

Status nonzero(const Launch& launch, const Nonzero& v) {
  parallel_for(launch, v.count, Nonzero::piece_elements, [&](int64_t begin, int64_t end) {
    write_places(v, begin, end, v.out + v.starts[begin / Nonzero::piece_elements] * v.ndim);
  });
  return {};
}

}  // namespace tg::TG_ISA
