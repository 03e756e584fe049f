// The linear layer with weights in int8: y = activation(x w^T + bias), x quantised on the way in, row by row.
//
// Shapes: x (rows, inputs), w (outputs, inputs) in panels of 16 outputs (arguments/quantized.h), y (rows, outputs).
//
//   a row of x:  x = s (q - z),  q in 0..255,  s = (largest - smallest) / 255,  z where 0 falls; 0 is in the range
//   a row of w:  w = t v,        v in -127..127
//   y = s t (sum q v - z sum v) + bias             sum q v in 32-bit integers, sum v known beforehand
//
//                     outputs, 48 (VNNI), 16, 8 or 4 at a time
//            +----------+-----+-----+         for every block of rows that fits the second-level cache
//   rows   8 | q: 1 byte|  #  |     |           for every few panels: their weights stay in the first level
//            +----------+-----+-----+             for 8 or 5 rows: one tile of sums over all inputs, scaled and stored
//
// Cost: 2 rows inputs outputs integer operations, four times as many a second as float32 with VNNI, the same number without;
// the weights take a quarter of the memory, which is what counts for few rows. Threads share the columns.
// Numerics: the sums are exact, the scaling is a multiplication and an addition in float32, so the bits are the same on every
// instruction set and for any number of threads, and a row's result does not depend on the other rows. Against exact arithmetic
// |error| <= s sum_k |w_k| + (t / 2) sum_k (|x_k| + s). A row with NaN or infinity gives NaN.
#include "core/parallel.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/matmul/finish.h"
#include "kernels/cpu/quantized_linear/dot.h"

namespace tg::TG_ISA {

using Term = Dot::Term;
struct RowScale {
  float scale;
  int32_t zero;
};

static constexpr int64_t tile_columns = Dot::tile_steps * Dot::columns;
static constexpr int64_t rows_bytes = 256 << 10;   // quantised rows of a block: a part of the second-level cache
static constexpr int64_t chunk_bytes = 4 << 20;    // quantised rows that exist at a time
static constexpr int64_t piece_work = 1 << 20;     // multiplications worth a thread
static constexpr int64_t quantize_work = 1 << 15;  // elements worth a thread

TG_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
TG_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// q of one row, filled up with zeros to `length` terms.
[[gnu::noinline]] static RowScale quantize_row(const float* x, int64_t n, Term* q, int64_t length) {
  using V = Vec<float>;
  V low(0), high(0), nothing(0);
  for (int64_t k = 0; k < n; k += V::width) {
    const V v = V::load(x + k, n - k);
    low = min_or_second(v, low);
    high = max_or_second(v, high);
    nothing = fma(v, V(0), nothing);  // NaN if there is a NaN or an infinity
  }
  const float smallest = reduce_min(low);
  if (reduce_add(nothing) != 0) {
    __builtin_memset(q, 0, size_t(length) * sizeof(Term));
    return {__builtin_nanf(""), 0};
  }
  float scale = reduce_max(high) / 255 - smallest / 255;  // the difference itself could overflow
  if (scale < __FLT_MIN__) scale = __FLT_MIN__;
  const float inverse = 1 / scale;
  float lanes[V::width];
  min_or_second(round(V(-smallest * inverse)), V(255)).store(lanes);
  const V zero(lanes[0]), factor(inverse), last(255.0f), first(0.0f);
  using Wide [[gnu::vector_size(V::width * 4)]] = int32_t;
  using Narrow [[gnu::vector_size(V::width * sizeof(Term))]] = Term;
  for (int64_t k = 0; k < n; k += V::width) {
    const V v = max_or_second(min_or_second(round(V::load(x + k, n - k) * factor) + zero, last), first);
    const Narrow terms = __builtin_convertvector(__builtin_convertvector(v.v, Wide), Narrow);
    __builtin_memcpy(q + k, &terms, size_t(least(n - k, V::width)) * sizeof(Term));
  }
  for (int64_t k = n; k < length; ++k) q[k] = 0;
  return {scale, int32_t(lanes[0])};
}

// y of `rows` rows and `cols` columns from the sums of a tile.
struct Scaling {
  const QuantizedLinear& p;
  const int32_t* sums;
  const RowScale* scales;
  int64_t row, rows, col, cols;
};

template <Activation activation> [[gnu::noinline]] static void scale_tile(const Scaling& t) {
  using V = Vec<float>;
  using Lanes [[gnu::vector_size(V::width * 4)]] = int32_t;
  const QuantizedLinear& p = t.p;
  for (int64_t j = 0; j < t.cols; j += V::width) {
    const int64_t n = t.cols - j;
    const V scale = V::load(p.scale + t.col + j), bias = p.bias ? V::load(p.bias + t.col + j, n) : V(0);
    Lanes sum, columns;
    __builtin_memcpy(&columns, p.sums + t.col + j, sizeof columns);
    for (int64_t i = 0; i < t.rows; ++i) {
      __builtin_memcpy(&sum, t.sums + i * tile_columns + j, sizeof sum);
      const V exact = V::raw(__builtin_convertvector(sum - t.scales[i].zero * columns, typename V::Register));
      const V y = exact * (V(t.scales[i].scale) * scale) + bias;
      activate<float, activation>(y).store(p.y + (t.row + i) * p.outputs + t.col + j, n);
    }
  }
}

static void finish(const Scaling& t) {
  switch (t.p.activation) {
    case Activation::none: return scale_tile<Activation::none>(t);
    case Activation::relu: return scale_tile<Activation::relu>(t);
    case Activation::gelu: return scale_tile<Activation::gelu>(t);
    case Activation::gelu_tanh: return scale_tile<Activation::gelu_tanh>(t);
    case Activation::tanh: return scale_tile<Activation::tanh>(t);
    case Activation::sigmoid: return scale_tile<Activation::sigmoid>(t);
  }
}

// Rows [row, row + rows), columns [col, end), of which col begins a tile.
static void product(const QuantizedLinear& p, const Term* q, const RowScale* scales, int64_t row, int64_t rows, int64_t col,
                    int64_t end) {
  constexpr int64_t panel = QuantizedLinear::panel;
  const int64_t length = p.steps() * QuantizedLinear::terms;
  alignas(64) int32_t sums[Dot::tile_rows * tile_columns];
  for (int64_t j = col; j < end; j += tile_columns) {
    const int64_t cols = least(tile_columns, end - j);
    const int8_t* const w = p.weight + j / panel * p.panel_bytes() + j % panel * QuantizedLinear::terms;
    const int64_t steps = (cols + Dot::columns - 1) / Dot::columns;
    for (int64_t i = 0; i < rows; i += Dot::tile_rows) {
      const int64_t m = least(Dot::tile_rows, rows - i);
      for (int64_t r = 0; r < m; ++r)  // wanted when the sums are there
        for (int64_t c = 0; c < cols; c += 16) __builtin_prefetch(p.y + (row + i + r) * p.outputs + j + c, 1);
      const DotTile tile{q + i * length, length, w, p.panel_bytes(), p.steps(), sums, tile_columns};
      if (Dot::tile_steps > 2 && steps == 3) dot_rows<Dot::tile_steps>(m, tile);
      else if (Dot::tile_steps > 1 && steps == 2) dot_rows<2>(m, tile);
      else dot_rows<1>(m, tile);
      finish({p, sums, scales + i, row + i, m, j, cols});
    }
  }
}

// --- rows of the table ------------------------------------------------------------------------------------------------
// Rows quantised at a time, and what they take.
static int64_t chunk_rows(const QuantizedLinear& p) {
  return most(1, least(p.rows, most(64, chunk_bytes / most(1, p.steps() * QuantizedLinear::terms))));
}
static int64_t scales_bytes(int64_t rows) { return (rows * int64_t(sizeof(RowScale)) + 63) / 64 * 64; }

size_t quantized_linear_workspace(const QuantizedLinear& p) {
  // As if terms took two bytes: all instruction sets ask for the same.
  return size_t(scales_bytes(chunk_rows(p)) + chunk_rows(p) * p.steps() * QuantizedLinear::terms * 2);
}

Status quantized_linear(const Launch& launch, const QuantizedLinear& p) {
  const int64_t length = p.steps() * QuantizedLinear::terms, chunk = chunk_rows(p);
  RowScale* const scales = static_cast<RowScale*>(launch.workspace);
  Term* const q = reinterpret_cast<Term*>(static_cast<char*>(launch.workspace) + scales_bytes(chunk));
  for (int64_t row = 0; row < p.rows; row += chunk) {
    const int64_t rows = least(chunk, p.rows - row);
    parallel_for(launch, rows, most(1, quantize_work / (length + 1)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        scales[i] = quantize_row(p.x + (row + i) * p.inputs, p.inputs, q + i * length, length);
    });
    // Blocks of rows, each in groups of columns that are worth a thread.
    const int64_t blocks = (rows - 1) / most(64, rows_bytes / (length + 1)) + 1;
    const int64_t block = ((rows - 1) / blocks + Dot::tile_rows) / Dot::tile_rows * Dot::tile_rows;  // nearly equal ones
    const int64_t worth = most(1, piece_work / (least(block, rows) * (length + 1) * tile_columns + 1));
    const int64_t tiles = (p.outputs + tile_columns - 1) / tile_columns;
    const int64_t groups = most(1, least(tiles, tiles / worth));
    parallel_for(launch, blocks * groups, 1, [&](int64_t job, int64_t) {
      const int64_t i = job / groups * block, group = job % groups;
      if (i >= rows) return;
      const int64_t first = tiles * group / groups * tile_columns, last = tiles * (group + 1) / groups * tile_columns;
      product(p, q + i * length, scales + i, row + i, least(block, rows - i), first, least(last, p.outputs));
    });
  }
  return {};
}

}  // namespace tg::TG_ISA
