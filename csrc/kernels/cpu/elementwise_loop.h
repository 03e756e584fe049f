// How every elementwise kernel walks its operands. The arithmetic is one loop per functor and compute type over contiguous
// data; this driver, which does not know the functor, brings any view to that loop:
//
//   one dim, all strides 1, compute type     the loop runs on the arrays themselves: the common case, nothing in the way
//   long rows, elements side by side         the loop runs on rows where they lie; a number, or a value that is the same
//                                            all along the row, is one register that the loop loads again and again; 16-bit
//                                            floats are converted through a buffer in the L1 cache
//   everything else                          the view is cut into tiles (tile_walk.h); an operand that is strided, broadcast,
//                                            a number or a 16-bit float is copied into a buffer in the L1 cache, and the
//                                            loop runs on pointers that are now all contiguous
//
// So the bits of a result never depend on the layout, and there is no second loop to keep in step. Numbers and broadcast
// values are filled in once, not once per tile. The output may be one of the inputs: a tile is read before it is written.
// Parallel over pieces of the flat range or of the list of tiles.
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/stream.h"
#include "kernels/cpu/tile_walk.h"

namespace tg::TG_ISA {

// data[0] is the output; n elements of every operand lie side by side. Where bit k of `repeated` is set, operand k is one value
// along all n, and data[k] one register full of it, of float32 for 16-bit floats. Only loops over floats of two and more
// operands are given that.
using Loop = void (*)(void* const* data, int64_t n, unsigned repeated);
template <int N> static bool takes_registers(const DType* types) {
  return N > 2 && is_floating(types[0]) && is_floating(types[1]);
}
inline constexpr int64_t register_bytes = 64;  // the widest

// A piece of work is at most 8192 elements, 32 KB of float32. An addition of 16384 elements takes 2 us, twice what a parallel
// region costs; from 32768 elements on two threads gain (measured on Zen 4). There pieces are smaller, so that shares are even.
inline constexpr int64_t elementwise_grain = 8192;
inline constexpr int64_t parallel_elements = 32768;
static inline int64_t grain_for(int64_t elements) {
  return elements >= 16 * elementwise_grain ? elementwise_grain : (elements / 16 + 1023) / 1024 * 1024;
}

// A number in the buffer of operand k: `elements` of it, or a register full.
template <int N> static void fill_number(void* buffer, const DType* types, int k, const Scalar& number, int64_t elements) {
  if (!takes_registers<N>(types)) return fill_tile(buffer, types[k], number, elements);
  const DType type = compute_type(types[k]);
  fill_tile(buffer, type, number, register_bytes / size_of(type));
}

// One operand's tile as contiguous memory of the loop's type.
struct TileBuffer {
  alignas(64) char elements[tile_elements * 8];
  const char* source = nullptr;  // what is in it: the tile that starts here, of this shape
  int64_t rows = 0, cols = 0;
};

template <int N>
[[gnu::noinline]] static void run_tiles(const Strided<N>& view, const TileWalk<N>& walk, Loop loop, const DType* types,
                                        int64_t begin, int64_t end) {
  TileBuffer buffer[N];
  alignas(64) char raw[tile_elements * 2];  // 16-bit floats between strided memory and their conversion
  unsigned repeated = 0;
  for (int k = 1; k < N; ++k) {
    if (view.operand[k].data) continue;
    if (takes_registers<N>(types)) repeated |= 1u << k;
    fill_number<N>(buffer[k].elements, types, k, view.operand[k].scalar, walk.rows * walk.cols);
  }
  for_each_tile(walk, begin, end, [&](const Side(&side)[N], int64_t rows, int64_t cols) {
    const int64_t n = rows * cols;
    void* data[N];
    bool contiguous[N];
    for (int k = 0; k < N; ++k) {
      const auto& operand = view.operand[k];
      const bool convert = operand.dtype != types[k];
      contiguous[k] = (cols == 1 || side[k].col == 1) && (rows == 1 || side[k].row == cols);
      data[k] = buffer[k].elements;
      if (!operand.data) continue;  // a number, filled in above
      if (contiguous[k] && !convert) {
        data[k] = side[k].data;
      } else if (k > 0 && !(buffer[k].source == side[k].data && buffer[k].rows == rows && buffer[k].cols == cols)) {
        const char* source = side[k].data;
        if (!contiguous[k]) {
          char* target = convert ? raw : buffer[k].elements;
          move_tile({target, cols, 1}, side[k], size_of(operand.dtype), rows, cols);
          source = target;
        }
        if (convert) widen_tile(reinterpret_cast<float*>(buffer[k].elements), source, operand.dtype, n);
        buffer[k].source = side[k].data;
        buffer[k].rows = rows;
        buffer[k].cols = cols;
      }
    }

    loop(data, n, repeated);

    if (data[0] != buffer[0].elements) return;  // already in its place
    const DType out = view.operand[0].dtype;
    char* result = buffer[0].elements;
    if (out != types[0]) {
      char* target = contiguous[0] ? side[0].data : raw;
      narrow_tile(target, out, reinterpret_cast<const float*>(result), n);
      result = target;
    }
    if (!contiguous[0]) move_tile(side[0], {result, cols, 1}, size_of(out), rows, cols);
  });
}

template <int N>
[[gnu::noinline]] static void run_strided(const Launch& launch, const Strided<N>& view, Loop loop, const DType* types) {
  const TileWalk<N> walk(view);
  const int64_t grain = walk.tiles_per(elementwise_grain);
  if (walk.tiles < parallel_elements / elementwise_grain * grain) return run_tiles<N>(view, walk, loop, types, 0, walk.tiles);
  parallel_for(launch, walk.tiles, grain,
               [&](int64_t begin, int64_t end) { run_tiles<N>(view, walk, loop, types, begin, end); });
}

// An output too large to stay in the cache goes past it: the loop writes into a buffer, and that is stored without reading
// the lines of the output first, which saves a third to a half of the traffic.
template <int N> static bool goes_past_cache(const Strided<N>& view, const DType* types, int64_t n) {
  if (n * size_of(types[0]) < streamed_bytes || !stream_aligned(view.operand[0].data)) return false;
  for (int k = 1; k < N; ++k)
    if (view.operand[k].data == view.operand[0].data) return false;  // in place: the lines are there
  return true;
}

// --- long rows ---------------------------------------------------------------------------------------------------------
// How an operand gets to the loop: from where it lies, as a number, as the one value of a row, or converted.
enum class Supply : uint8_t { direct, number, repeated, converted };
inline constexpr int64_t long_row = 64;  // shorter ones share tiles

template <int N> struct RowPlan {
  bool fits = true, streamed = false;
  unsigned repeated = 0;  // the operands that the loop takes as one register
  Supply supply[N];
  int element[N];
  int64_t cols = 1, rows = 1, step = elementwise_grain;  // a row is worked on in stretches of `step`
  int64_t stretches = 1;

  RowPlan(const Strided<N>& view, const DType* types) {
    const int last = view.ndim - 1;
    const bool registers = takes_registers<N>(types);
    for (int d = 0; d < last; ++d) rows *= view.shape[d];
    if (last >= 0) cols = view.shape[last];
    if (last > 0 && cols < long_row) fits = false;
    for (int k = 0; fits && k < N; ++k) {
      const auto& operand = view.operand[k];
      const int64_t stride = last >= 0 ? operand.strides[last] : 1;
      element[k] = size_of(operand.dtype);
      if (!operand.data) supply[k] = Supply::number;
      else if (stride == 1) supply[k] = operand.dtype == types[k] ? Supply::direct : Supply::converted;
      else if (stride == 0 && k > 0 && operand.dtype == types[k]) supply[k] = Supply::repeated;
      else fits = false;
      const bool one = fits && (supply[k] == Supply::number || supply[k] == Supply::repeated);
      if (one && registers) repeated |= 1u << k;
      else if (fits && supply[k] != Supply::direct) step = tile_elements;
    }
    if (!fits) return;
    // An output that does not stay in the cache is made in a buffer and stored past it, whole lines at a time.
    const int64_t row_bytes = last > 0 ? view.operand[0].strides[last - 1] * element[0] : 0;
    streamed = supply[0] == Supply::direct && goes_past_cache<N>(view, types, rows * cols) && row_bytes % 64 == 0;
    for (int d = 0; d < last - 1; ++d) streamed = streamed && view.operand[0].strides[d] * element[0] % 64 == 0;
    if (streamed) step = tile_elements;
    stretches = (cols + step - 1) / step;
  }
  int64_t units() const { return rows * stretches; }
  int64_t grain() const {
    const int64_t each = cols < step ? cols : step, piece = grain_for(rows * cols);
    return each < piece ? piece / (each > 0 ? each : 1) : 1;
  }
};

template <class T> static inline void repeat(void* buffer, T value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<T*>(buffer)[i] = value;
}
// The one value of a row in a buffer: as a register of what the loop computes in, or n times.
static inline void repeat_value(void* buffer, const void* value, DType type, bool as_register, int64_t n) {
  const auto bits = [&]<int bytes>() { return *static_cast<const typename BitsOf<bytes>::type*>(value); };
  if (as_register) {  // stored as one register: the loop's load would have to wait for several smaller stores
    if (type == DType::f64) return Vec<double>(*static_cast<const double*>(value)).store(static_cast<double*>(buffer));
    const float x = type == DType::f32    ? *static_cast<const float*>(value)
                    : type == DType::bf16 ? to_float(*static_cast<const bf16*>(value))
                                          : to_float(*static_cast<const f16*>(value));
    return Vec<float>(x).store(static_cast<float*>(buffer));
  }
  switch (size_of(type)) {
    case 1: return repeat(buffer, bits.template operator()<1>(), n);
    case 2: return repeat(buffer, bits.template operator()<2>(), n);
    case 4: return repeat(buffer, bits.template operator()<4>(), n);
    default: return repeat(buffer, bits.template operator()<8>(), n);
  }
}

template <int N>
[[gnu::noinline]] static void run_rows(const Strided<N>& view, const RowPlan<N>& plan, Loop loop, const DType* types,
                                       int64_t begin, int64_t end) {
  alignas(64) char buffer[N][tile_elements * 8];
  const int outer = view.ndim > 0 ? view.ndim - 1 : 0;
  const int64_t widest = plan.cols < plan.step ? plan.cols : plan.step;
  int64_t index[max_dims];
  char* row[N];  // the first element of the current row
  for (int k = 0; k < N; ++k) row[k] = static_cast<char*>(view.operand[k].data);
  const auto advance = [&](int d, int64_t steps) {
    for (int k = 0; k < N; ++k)
      if (plan.supply[k] != Supply::number) row[k] += steps * view.operand[k].strides[d] * plan.element[k];
  };
  int64_t stretch = begin % plan.stretches, number = begin / plan.stretches;
  for (int d = outer - 1; d >= 0; --d) {
    index[d] = number % view.shape[d];
    number /= view.shape[d];
    advance(d, index[d]);
  }
  for (int k = 1; k < N; ++k) {
    if (plan.supply[k] == Supply::number) fill_number<N>(buffer[k], types, k, view.operand[k].scalar, widest);
  }
  bool new_row = true;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t col = stretch * plan.step, n = col + plan.step < plan.cols ? plan.step : plan.cols - col;
    void* data[N];
    for (int k = 0; k < N; ++k) {
      data[k] = plan.supply[k] == Supply::direct ? row[k] + col * plan.element[k] : buffer[k];
      if (k == 0) continue;
      if (plan.supply[k] == Supply::repeated && new_row) repeat_value(buffer[k], row[k], types[k], plan.repeated, widest);
      if (plan.supply[k] == Supply::converted)
        widen_tile(reinterpret_cast<float*>(buffer[k]), row[k] + col * plan.element[k], view.operand[k].dtype, n);
    }
    void* const place = data[0];
    if (plan.streamed) data[0] = buffer[0];
    loop(data, n, plan.repeated);
    if (plan.streamed) stream_bytes(static_cast<char*>(place), buffer[0], n * plan.element[0]);
    if (plan.supply[0] == Supply::converted)
      narrow_tile(row[0] + col * plan.element[0], view.operand[0].dtype, reinterpret_cast<const float*>(buffer[0]), n);
    new_row = false;
    if (++stretch < plan.stretches) continue;
    stretch = 0;
    new_row = true;
    for (int d = outer - 1; d >= 0; --d) {
      advance(d, 1);
      if (++index[d] < view.shape[d]) break;
      index[d] = 0;
      advance(d, -view.shape[d]);
    }
  }
  if (plan.streamed) stream_end();
}

template <int N>
[[gnu::noinline]] static bool run_long_rows(const Launch& launch, const Strided<N>& view, Loop loop, const DType* types) {
  const RowPlan<N> plan(view, types);
  if (!plan.fits) return false;
  if (plan.rows * plan.cols < parallel_elements) {
    run_rows<N>(view, plan, loop, types, 0, plan.units());
  } else {
    parallel_for(launch, plan.units(), plan.grain(),
                 [&](int64_t begin, int64_t end) { run_rows<N>(view, plan, loop, types, begin, end); });
  }
  return true;
}

// --- flat arrays -------------------------------------------------------------------------------------------------------
template <int N>
[[gnu::noinline]] static void run_flat(const Launch& launch, const Strided<N>& view, Loop loop, const DType* types, int64_t n) {
  const bool streamed = goes_past_cache<N>(view, types, n);
  parallel_for(launch, n, grain_for(n), [&](int64_t begin, int64_t end) {
    void* data[N];
    if (!streamed) {
      for (int k = 0; k < N; ++k) data[k] = static_cast<char*>(view.operand[k].data) + begin * size_of(types[k]);
      return loop(data, end - begin, 0);
    }
    alignas(64) char buffer[tile_elements * 8];
    for (int64_t i = begin; i < end; i += tile_elements) {
      const int64_t count = i + tile_elements < end ? tile_elements : end - i;
      for (int k = 1; k < N; ++k) data[k] = static_cast<char*>(view.operand[k].data) + i * size_of(types[k]);
      data[0] = buffer;
      loop(data, count, 0);
      stream_bytes(static_cast<char*>(view.operand[0].data) + i * size_of(types[0]), buffer, count * size_of(types[0]));
    }
    stream_end();
  });
}

// Applies the loop to the whole view. types[k] is what the loop reads and writes for operand k.
template <int N>
[[gnu::always_inline]] static inline Status run_elementwise(const Launch& launch, const Strided<N>& view, Loop loop,
                                                            const DType (&types)[N]) {
  if (!loop) return {Status::missing, 0};
  if (view.ndim <= 1) {
    const int64_t n = view.ndim ? view.shape[0] : 1;
    bool flat = true;
    void* data[N];
    for (int k = 0; k < N; ++k) {
      const auto& operand = view.operand[k];
      data[k] = operand.data;
      flat = flat && operand.data && operand.dtype == types[k] && (view.ndim == 0 || operand.strides[0] == 1);
    }
    if (flat) {
      if (n < parallel_elements) loop(data, n, 0);
      else run_flat<N>(launch, view, loop, types, n);
      return {};
    }
  }
  if (!run_long_rows<N>(launch, view, loop, types)) run_strided<N>(launch, view, loop, types);
  return {};
}

}  // namespace tg::TG_ISA
