// The innermost pieces of a direct convolution. Both read the input through a table of offsets, so that no matrix of windows
// (im2col) is ever written.
//
//   gather_tile   mr inputs (pixels, or taps) x lanes (output channels)
//
//                                 lanes: output channels
//                   table, k      [ w0 w0 w0 w0 ][ w1 w1 w1 w1 ][ w2 ... ]     packed weights, line k
//     pixel 0  ->  x[p0 + o[k]]   sum[0][0]      sum[0][1]      ...
//     pixel 1  ->  x[p1 + o[k]]   sum[1][0]      sum[1][1]                     pixels need not be neighbours: no lane is
//     ...                                                                      lost at the ends of lines or images
//
//   slide_tile    output channels x lanes (neighbouring pixels of a line): for few output channels
//
// Numerics: one chain of FMAs from zero over the terms given; the caller cuts the sum into blocks of 512 (kc) terms and adds
// them in order.
#pragma once
#include "kernels/cpu/conv2d/phases.h"
#include "kernels/cpu/matmul/finish.h"
#include "kernels/cpu/matmul/pack.h"

namespace tg::TG_ISA {

// sums[i][j] = or += sum over k of data[row[i] + offset[k]] * lanes[k][j], with mr rows and vectors * width lanes.
template <class T> struct GatherTile {
  const T* data;
  const int64_t* row;     // mr of them
  const int64_t* offset;  // depth of them
  const T* lanes;         // (depth, vectors * width)
  int64_t depth;
  T* sums;
  int64_t sums_stride;
  bool add;
};

template <class T, int vectors> [[gnu::noinline]] static void gather_tile(const GatherTile<T>& t) {
  using V = Vec<T>;
  constexpr int width = V::width;
  V sum[mr][vectors];
  const T* row[mr];
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i) {
    row[i] = t.data + t.row[i];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) sum[i][j] = V(T(0));
  }
  const int64_t* offset = t.offset;
  const T* lanes = t.lanes;
  for (const int64_t* const end = offset + t.depth; offset != end; ++offset) {
    const int64_t at = *offset;
    V line[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) line[j] = V::load(lanes + j * width);
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i) {
      const V x(row[i][at]);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) sum[i][j] = fma(x, line[j], sum[i][j]);
    }
    lanes += vectors * width;
  }
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      T* const out = t.sums + i * t.sums_stride + j * width;
      (t.add ? V::load(out) + sum[i][j] : sum[i][j]).store(out);
    }
}

template <class T> TG_INLINE void gather(const GatherTile<T>& t, int64_t vectors) {
  if (nr_vectors > 2 && vectors == nr_vectors) gather_tile<T, nr_vectors>(t);
  else if (vectors == 2) gather_tile<T, 2>(t);
  else gather_tile<T, 1>(t);
}

// sums[i][j] = or += sum over k of weights[k][i] * pixels[j][offset[k] ...], with `rows` channels and nr_vectors registers of
// pixels.
template <class T> struct SlideTile {
  const T* pixels[nr_vectors];
  const int64_t* offset;  // depth of them
  const T* weights;       // (depth, rows)
  int64_t depth;
  T* sums;  // (rows, nr_vectors * width)
  bool add;
};

template <class T, int rows> [[gnu::noinline]] static void slide_tile(const SlideTile<T>& t) {
  using V = Vec<T>;
  constexpr int width = V::width;
  V sum[rows][nr_vectors];
  const T* pixels[nr_vectors];
#pragma GCC unroll 4
  for (int j = 0; j < nr_vectors; ++j) {
    pixels[j] = t.pixels[j];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) sum[i][j] = V(T(0));
  }
  const int64_t* offset = t.offset;
  const T* weights = t.weights;
  for (const int64_t* const end = offset + t.depth; offset != end; ++offset) {
    const int64_t at = *offset;
    V line[nr_vectors];
#pragma GCC unroll 4
    for (int j = 0; j < nr_vectors; ++j) line[j] = V::load(pixels[j] + at);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const V w(weights[i]);
#pragma GCC unroll 4
      for (int j = 0; j < nr_vectors; ++j) sum[i][j] = fma(w, line[j], sum[i][j]);
    }
    weights += rows;
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < nr_vectors; ++j) {
      T* const out = t.sums + (i * nr_vectors + j) * width;
      (t.add ? V::load(out) + sum[i][j] : sum[i][j]).store(out);
    }
}

template <class T, int rows = mr> TG_INLINE void slide(const SlideTile<T>& t, int64_t wanted_rows) {
  if constexpr (rows > 1)
    if (wanted_rows < rows) return slide<T, rows - 1>(t, wanted_rows);
  slide_tile<T, rows>(t);
}

// Element (k, j) at from[k + j * stride]  ->  to[k * ld + j], with zeros for j from `columns` to ld, a multiple of a register.
template <class T>
[[gnu::noinline]] static void pack_turned(const T* from, int64_t stride, int64_t depth, int64_t columns, T* to, int64_t ld) {
  constexpr int width = Vec<T>::width;
  for (int64_t k = 0; k < depth; k += width)
    for (int64_t j = 0; j < ld; j += width) {
      const int64_t lines = smaller(width, depth - k);
      Vec<T> block[width];
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i)
        block[i] = j + i < columns ? Vec<T>::load(from + (j + i) * stride + k, lines) : Vec<T>(T(0));
      transpose(block);
      T* const out = to + k * ld + j;
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i)
        if (i < lines) block[i].store(out + i * ld);
    }
}

// What is done to a sum before it is stored.
template <class T> struct Epilogue {
  const T* bias = nullptr;  // of channel 0, or null
  bool relu = false;
  TG_INLINE Vec<T> operator()(Vec<T> x, int64_t channel) const {
    if (bias) x = x + Vec<T>(bias[channel]);
    return relu ? activate<T, Activation::relu>(x) : x;
  }
};

// sums (n, channels), sums_stride apart -> to[channel * channel_stride + i * spacing]. Up to a register's width of lines and
// lanes beyond the last are read.
template <class T> struct Turn {
  const T* sums;
  int64_t sums_stride, n, channels;
  T* to;
  int64_t channel_stride, spacing;
};

template <class T> [[gnu::noinline]] static void store_turned(const Turn<T>& t, const Epilogue<T>& epilogue) {
  constexpr int width = Vec<T>::width;
  // As few lines at a time as a register has channels: more would be written to too many places at once.
  for (int64_t c = 0; c < t.channels; c += width)
    for (int64_t i = 0; i < t.n; i += width) {
      Vec<T> block[width];
#pragma GCC unroll 16
      for (int j = 0; j < width; ++j) block[j] = Vec<T>::load(t.sums + (i + j) * t.sums_stride + c);
      transpose(block);
      T* const to = t.to + i * t.spacing;
#pragma GCC unroll 16
      for (int j = 0; j < width; ++j)
        if (c + j < t.channels) store_spaced(epilogue(block[j], c + j), to + (c + j) * t.channel_stride, t.n - i, t.spacing);
    }
}

// A thread is worth starting for about this many multiplications and additions.
inline constexpr double operations_per_worker = 200'000;
TG_INLINE int64_t workers_for(double operations, int threads) {
  const double useful = operations / operations_per_worker;
  return useful < 1 ? 1 : useful < threads ? int64_t(useful) : threads;
}

}  // namespace tg::TG_ISA
