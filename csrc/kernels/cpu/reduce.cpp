// Reductions: sum, prod, max, min, argmax, argmin, any, all over some dims of a strided array.
//
// The walk goes along whichever dims lie closest in memory:
//
//   rows       the innermost dim is reduced         columns    the innermost dim is kept
//                in  [ x x x x x x x x ] -> [ o ]                in  [ x x x x ]
//                    [ x x x x x x x x ]    [ o ]                    [ x x x x ]  eight rows at a time,
//                                                                    [ x x x x ]  one vector lane per column
//                                                                out [ o o o o ]
//
// Short rows are reduced many to a call, each by itself: the call would take longer than the row.
// Anything that is not contiguous along that dim, the 16-bit floats, and small integers that are added (in int64) pass through
// a buffer in the L1 cache first.
//
// Cost: one read of the input; one operation per element. Memory is the limit.
//
// Numerics. The tree of additions depends on shape and layout alone, never on the threads:
//   rows       65536 elements are a segment, rows of up to four of them have four equal ones: four vectors of chains, cut
//              every 1024 elements and added up again; segments are added in double precision, first within a piece, then
//              piece by piece in order
//   columns    rows are added in groups of eight by a balanced tree, the groups of up to 512 rows in a chain, and those
//              sums in double precision
// so an error grows like the 64 to 128 additions of the longest float chain and no further. float64 has the same tree with
// double throughout, integers wrap around. max and min let NaN win; argmax and argmin give the first NaN, else the first
// extreme value, by its position in the reduced dims walked in row-major order.
//
// Parallel over outputs; over pieces of at least 16384 elements where the outputs are few.
#include <cmath>

#include "core/parallel.h"
#include "kernels/cpu/reduce_loops.h"
#include "kernels/cpu/strided_tile.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

static constexpr int64_t row_segment = 65536;          // elements of a row that one call reduces at most
static constexpr int64_t column_rows = 512;            // rows that one call reduces, ...
static constexpr int64_t column_block = 256;           // ... this many columns wide: a few cache lines of each row
static constexpr int64_t buffer_elements = 4096;       // 16 KB of float32
static constexpr int64_t short_row = 16;               // below this adding up lanes costs more than transposing, ...
static constexpr int64_t short_row_of_positions = 32;  // ... and below this looking for the place of an extreme does
static constexpr int64_t piece_elements = 16384;       // the least that is worth a thread
static constexpr int64_t least_elements = 65536;       // fewer are done before a second thread has begun
static constexpr int64_t max_pieces = 32;              // of one output; their accumulators are on the stack

struct Dim { int64_t size, in, out; };  // strides of the input and of the output

struct Plan {
  const Reducer* reducer;
  const char* in;
  char* out;
  DType in_dtype, out_dtype, type;  // type: what the reducer reads
  Dim kept[max_dims], reduced[max_dims];
  int kept_ndim = 0, reduced_ndim = 0;
  bool columns, buffered;
  int64_t outputs = 1;              // of all kept dims but the last
  int64_t width = 1, blocks = 1;    // the last kept dim, and how many blocks it has of ...
  int64_t block = 1;                // ... outputs that are reduced together
  int64_t length = 1, segment = 1;  // the last reduced dim, and how much of it one call takes
  int64_t segments_per_run, segments, segments_per_piece, pieces;
};

static int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }

// Dims by falling stride of the input, neighbours merged where they can be walked as one.
static void sort_dims(Dim* dims, int& ndim) {
  for (int i = 1; i < ndim; ++i) {
    for (int j = i; j > 0 && magnitude(dims[j - 1].in) < magnitude(dims[j].in); --j) {
      const Dim moved = dims[j];
      dims[j] = dims[j - 1];
      dims[j - 1] = moved;
    }
  }
  int merged = 0;
  for (int i = 1; i < ndim; ++i) {
    Dim& outer = dims[merged];
    if (outer.in == dims[i].in * dims[i].size && outer.out == dims[i].out * dims[i].size) {
      outer = {outer.size * dims[i].size, dims[i].in, dims[i].out};
    } else {
      dims[++merged] = dims[i];
    }
  }
  if (ndim > 0) ndim = merged + 1;
}

// Rows of a few segments have equal ones, so that the threads get equal shares: 65537 elements are four, not one and a bit.
static int64_t segment_of(int64_t length) {
  if (length <= row_segment || length > 4 * row_segment) return row_segment;
  return ((length + 3) / 4 + 1023) / 1024 * 1024;
}

static Plan make_plan(const Reduction& view, const Reducer* reducer, DType type, bool keeps_order) {
  Plan p;
  p.reducer = reducer;
  p.in = static_cast<const char*>(view.in);
  p.out = static_cast<char*>(view.out);
  p.in_dtype = view.in_dtype;
  p.out_dtype = view.out_dtype;
  p.type = type;
  int64_t out_stride = 1;
  p.kept_ndim = view.kept_ndim;
  for (int d = view.kept_ndim - 1; d >= 0; --d) {
    p.kept[d] = {view.kept_shape[d], view.kept_strides[d], out_stride};
    out_stride *= view.kept_shape[d];
  }
  p.reduced_ndim = view.reduced_ndim;
  for (int d = 0; d < view.reduced_ndim; ++d) p.reduced[d] = {view.reduced_shape[d], view.reduced_strides[d], 0};
  sort_dims(p.kept, p.kept_ndim);
  if (!keeps_order) {
    for (int d = 0; d < p.reduced_ndim; ++d) p.reduced[d].out = p.reduced[d].in;  // merge by the input's strides alone
    sort_dims(p.reduced, p.reduced_ndim);
  }

  const Dim* last_kept = p.kept_ndim > 0 ? &p.kept[p.kept_ndim - 1] : nullptr;
  const Dim last_reduced = p.reduced_ndim > 0 ? p.reduced[p.reduced_ndim - 1] : Dim{1, 1, 0};
  // Very short rows are read as columns too: turned over in the buffer, a vector works on as many rows as it has lanes.
  const int64_t short_size = keeps_order ? short_row_of_positions : short_row;
  const bool short_rows = last_reduced.size < short_size && last_kept && last_kept->size >= 8;
  p.columns = last_kept && last_kept->size > 1 && last_reduced.size > 0 &&
              (short_rows || magnitude(last_kept->in) < magnitude(last_reduced.in));
  const int64_t inner_stride = p.columns ? last_kept->in : last_reduced.in;
  p.buffered = inner_stride != 1 || p.type != p.in_dtype;

  for (int d = 0; d < p.kept_ndim - 1; ++d) p.outputs *= p.kept[d].size;
  if (last_kept) p.width = last_kept->size;
  int64_t runs = 1;
  for (int d = 0; d < p.reduced_ndim - 1; ++d) runs *= p.reduced[d].size;
  p.length = last_reduced.size;
  const int64_t block_width = !p.columns ? 1 : p.width < column_block ? p.width : column_block;
  const int64_t buffered_rows = buffer_elements / block_width;
  if (!p.columns) p.segment = p.buffered ? buffer_elements : segment_of(p.length);
  else p.segment = p.buffered && buffered_rows < column_rows ? buffered_rows : column_rows;
  if (p.segment > p.length && p.length > 0) p.segment = p.length;
  p.segments_per_run = (p.length + p.segment - 1) / p.segment;
  p.segments = runs * p.segments_per_run;
  const int64_t least = piece_elements / (p.segment * block_width) + 1, even = (p.segments + max_pieces - 1) / max_pieces;
  p.segments_per_piece = least > even ? least : even;
  p.pieces = (p.segments + p.segments_per_piece - 1) / p.segments_per_piece;

  if (p.columns) {
    p.block = column_block;
  } else {  // as many rows as are worth a thread, and as the buffer holds
    const int64_t elements = p.segments * p.segment, rows = elements > 0 ? piece_elements / elements : 1;
    const int64_t held = p.buffered && p.segment > 0 ? buffer_elements / p.segment : column_block;
    p.block = rows < held ? rows : held;
    if (p.block > column_block) p.block = column_block;
    if (p.block < 1) p.block = 1;
  }
  p.blocks = (p.width + p.block - 1) / p.block;
  return p;
}

// The input and output offsets of number `index` in dims[0..ndim).
struct Offsets { int64_t in = 0, out = 0; };
static Offsets offsets_of(const Dim* dims, int ndim, int64_t index) {
  Offsets at;
  for (int d = ndim - 1; d > 0; --d) {
    const int64_t i = index % dims[d].size;
    index /= dims[d].size;
    at.in += i * dims[d].in;
    at.out += i * dims[d].out;
  }
  if (ndim > 0) at.in += index * dims[0].in, at.out += index * dims[0].out;
  return at;
}

template <class T>
static void widen_integers(int64_t* out, const char* x, int64_t line_stride, int64_t stride, int64_t lines, int64_t width) {
  const T* const from = reinterpret_cast<const T*>(x);
  for (int64_t i = 0; i < lines; ++i, out += width) {
    const T* const line = from + i * line_stride;
    if (stride == 1) {
      for (int64_t j = 0; j < width; ++j) out[j] = line[j];
    } else {
      for (int64_t j = 0; j < width; ++j) out[j] = line[j * stride];
    }
  }
}

// Copies what one call reduces, `lines` x `width` elements, into the buffer as the type of the reducer.
static void fill_buffer(const Plan& p, char* buffer, const char* x, int64_t line_stride, int64_t stride, int64_t lines,
                        int64_t width) {
  const int element = size_of(p.in_dtype);
  const Side from = {const_cast<char*>(x), line_stride, stride};
  if (p.type == p.in_dtype) return move_tile({buffer, width, 1}, from, element, lines, width);
  if (p.type == DType::i64) {
    int64_t* const whole = reinterpret_cast<int64_t*>(buffer);
    if (p.in_dtype == DType::i32) widen_integers<int32_t>(whole, x, line_stride, stride, lines, width);
    else if (p.in_dtype == DType::i8) widen_integers<int8_t>(whole, x, line_stride, stride, lines, width);
    else widen_integers<uint8_t>(whole, x, line_stride, stride, lines, width);  // bool, too
    return;
  }
  float* out = reinterpret_cast<float*>(buffer);
  if (stride == 1) {
    for (int64_t i = 0; i < lines; ++i) widen_tile(out + i * width, x + i * line_stride * element, p.in_dtype, width);
  } else {
    alignas(64) char moved[buffer_elements * 2];
    move_tile({moved, width, 1}, from, element, lines, width);
    widen_tile(out, moved, p.in_dtype, lines * width);
  }
}

// acc[0..count) gathers piece `piece` of the elements that belong to it. `base` is the input offset of the first output.
static void reduce_piece(const Plan& p, int64_t base, int64_t count, int64_t piece, char* acc) {
  const Reducer& reducer = *p.reducer;
  const int64_t stride = p.reduced_ndim > 0 ? p.reduced[p.reduced_ndim - 1].in : 1;  // along the last reduced dim
  const int64_t kept_stride = p.kept_ndim > 0 ? p.kept[p.kept_ndim - 1].in : 0;
  alignas(64) char buffer[buffer_elements * 8];
  const int64_t end = (piece + 1) * p.segments_per_piece;
  for (int64_t s = piece * p.segments_per_piece; s < (end < p.segments ? end : p.segments); ++s) {
    const bool whole = p.segments_per_run == 1;  // the usual case, without a division
    const int64_t run = whole ? s : s / p.segments_per_run, start = whole ? 0 : s % p.segments_per_run * p.segment;
    const int64_t n = start + p.segment < p.length ? p.segment : p.length - start;
    const int64_t offset = base + offsets_of(p.reduced, p.reduced_ndim - 1, run).in + start * stride;
    const char* x = p.in + offset * size_of(p.in_dtype);
    const int64_t first = run * p.length + start;
    if (p.columns) {
      if (p.buffered) fill_buffer(p, buffer, x, stride, kept_stride, n, count);
      reducer.columns(acc, p.buffered ? buffer : x, p.buffered ? count : stride, n, count, first);
    } else {
      if (p.buffered) fill_buffer(p, buffer, x, kept_stride, stride, count, n);
      reducer.rows(acc, p.buffered ? buffer : x, p.buffered ? n : kept_stride, count, n, first);
    }
  }
}

// Stores finished accumulators as the output's type, `stride` elements apart.
static void store_results(const Plan& p, char* out, int64_t stride, const char* acc, int64_t cols) {
  const int element = size_of(p.out_dtype);
  const bool narrowed = compute_type(p.out_dtype) != p.out_dtype;
  if (!narrowed && (stride == 1 || cols == 1)) return p.reducer->finish(out, acc, cols);
  alignas(64) char results[column_block * 8], halves[column_block * 2];
  p.reducer->finish(results, acc, cols);
  if (narrowed) narrow_tile(halves, p.out_dtype, reinterpret_cast<const float*>(results), cols);
  move_tile({out, 0, stride}, {narrowed ? halves : results, 0, 1}, element, 1, cols);
}

// One block of outputs: item = output * blocks + block.
struct Item {
  int64_t in, count;
  char* out;
  int64_t out_stride;
};
static Item item_of(const Plan& p, int64_t item) {
  if (p.kept_ndim == 0) return {0, 1, p.out, 1};
  const Offsets at = offsets_of(p.kept, p.kept_ndim - 1, item / p.blocks);
  const Dim& last = p.kept[p.kept_ndim - 1];
  const int64_t begin = item % p.blocks * p.block;
  const int64_t count = begin + p.block < p.width ? p.block : p.width - begin;
  return {at.in + begin * last.in, count, p.out + (at.out + begin * last.out) * size_of(p.out_dtype), last.out};
}

static void reduce_item(const Plan& p, int64_t number) {
  alignas(64) char acc[column_block * max_accumulator_bytes], part[column_block * max_accumulator_bytes];
  const Item item = item_of(p, number);
  p.reducer->start(acc, item.count);
  if (p.pieces == 1) {
    reduce_piece(p, item.in, item.count, 0, acc);
  } else {
    for (int64_t piece = 0; piece < p.pieces; ++piece) {
      p.reducer->start(part, item.count);
      reduce_piece(p, item.in, item.count, piece, part);
      p.reducer->merge(acc, part, item.count);
    }
  }
  store_results(p, item.out, item.out_stride, acc, item.count);
}

// The same, the pieces in parallel: merged in the same order, so the bits are the same.
static void reduce_item_in_parallel(const Launch& launch, const Plan& p, int64_t number) {
  alignas(64) char acc[column_block * max_accumulator_bytes], parts[max_pieces][column_block * max_accumulator_bytes];
  const Item item = item_of(p, number);
  parallel_for(launch, p.pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      p.reducer->start(parts[piece], item.count);
      reduce_piece(p, item.in, item.count, piece, parts[piece]);
    }
  });
  p.reducer->start(acc, item.count);
  for (int64_t piece = 0; piece < p.pieces; ++piece) p.reducer->merge(acc, parts[piece], item.count);
  store_results(p, item.out, item.out_stride, acc, item.count);
}

static Status reduce(Launch launch, const Reduction& view, const Reducer* reducer, DType type, bool keeps_order) {
  if (!reducer) return {Status::missing, 0};
  const Plan p = make_plan(view, reducer, type, keeps_order);
  const int64_t items = p.outputs * p.blocks;
  if (p.outputs * p.width * p.segments * p.segment < least_elements && !p.buffered) launch.threads = 1;
  if (items < 16 && p.pieces > 1 && launch.threads > 1) {
    for (int64_t item = 0; item < items; ++item) reduce_item_in_parallel(launch, p, item);
    return {};
  }
  const int64_t work = p.segments * p.segment * (p.width < p.block ? p.width : p.block);
  parallel_for(launch, items, work < piece_elements ? piece_elements / (work + 1) + 1 : 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) reduce_item(p, item);
  });
  return {};
}

template <ReduceOp op> static Status reduce_row(const Launch& launch, const Reduction& view) {
  constexpr bool keeps_order = op == ReduceOp::argmax || op == ReduceOp::argmin;  // the answer is a position
  // Sums of small integers are int64.
  const DType type = view.out_dtype == DType::i64 && !keeps_order ? DType::i64 : compute_type(view.in_dtype);
  return reduce(launch, view, reducer_for<op>(type), type, keeps_order);
}

#define TG_ROW(name) reduce_row<ReduceOp::name>,
extern Status (*const reduce_rows[reduce_count])(const Launch&, const Reduction&) = {TG_REDUCE_OPS(TG_ROW)};
#undef TG_ROW

}  // namespace tg::TG_ISA
