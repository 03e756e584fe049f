// softmax and log_softmax over a dim that is not the last, forward and backward: x (outer, n, inner), normalised over n.
//
//              inner
//         [ . . |====| . . ]       A tile is a few registers of neighbouring columns: a lane is a column, so maximum and sum
//      n  [ . . |====| . . ]       need no work across lanes. It is read once into a buffer, where its exponentials wait for
//         [ . . |====| . . ]       their sum. Without the buffer it would be read three times at a stride of 4 inner bytes, and
//                                  powers of two would meet in the same places of the cache.
//
// Cost: forward one read and one write an element, one exponential; backward two reads (four where a tile leaves the cache) and
// one write.
//
// Numerics: float32 (double for double); a column is summed in order. What comes of NaN and infinities: softmax.cpp.
#pragma once
#include "core/parallel.h"
#include "kernels/columns.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

template <class T> inline constexpr int64_t tile_elements = 32768 / (sizeof(T) / 4);  // of the buffer: 128 KB on the stack

// One tile of `registers` registers whose columns begin at x and y; `count` columns are there.
template <class S, bool logarithm, int registers>
static void softmax_tile(const S* x, S* y, int64_t n, int64_t inner, int64_t count) {
  using T = Compute<S>;
  constexpr int64_t width = Vec<T>::width, across = registers * width;
  T kept[tile_elements<T>];
  Vec<T> high[registers], sum[registers];
  for (int r = 0; r < registers; ++r) high[r] = Vec<T>(-Format<T>::infinity), sum[r] = Vec<T>(T(0));
  for (int64_t k = 0; k < n; ++k) {
    for (int r = 0; r < registers; ++r) {
      const int64_t left = count - r * width;
      const Vec<T> v = left > 0 ? Vec<T>::load(x + k * inner + r * width, left) : Vec<T>(T(0));
      v.store(kept + k * across + r * width);
      high[r] = max_or_second(v, high[r]);
    }
  }
  for (int r = 0; r < registers; ++r) {  // one after the other: the constants of the exponential need registers, too
    for (int64_t k = 0; k < n; ++k) {
      T* const at = kept + k * across + r * width;
      const Vec<T> e = exp(Vec<T>::load(at) - high[r]);
      sum[r] += e;
      if constexpr (!logarithm) e.store(at);
    }
  }
  for (int r = 0; r < registers; ++r) sum[r] = logarithm ? log(sum[r]) : Vec<T>(T(1)) / sum[r];
  for (int64_t k = 0; k < n; ++k) {
    for (int r = 0; r < registers; ++r) {
      const int64_t left = count - r * width;
      const Vec<T> v = Vec<T>::load(kept + k * across + r * width);
      if (left > 0) (logarithm ? (v - high[r]) - sum[r] : v * sum[r]).store(y + k * inner + r * width, left);
    }
  }
}

template <class S, bool logarithm, int registers>
static void softmax_backward_tile(const S* y, const S* dy, S* dx, int64_t n, int64_t inner, int64_t count) {
  using T = Compute<S>;
  constexpr int64_t width = Vec<T>::width;
  Vec<T> sum[registers];
  for (int r = 0; r < registers; ++r) sum[r] = Vec<T>(T(0));
  for (int64_t k = 0; k < n; ++k) {
    for (int r = 0; r < registers; ++r) {
      const int64_t at = k * inner + r * width, left = count - r * width;
      if (left <= 0) continue;
      const Vec<T> g = Vec<T>::load(dy + at, left);
      sum[r] = logarithm ? sum[r] + g : fma(g, Vec<T>::load(y + at, left), sum[r]);
    }
  }
  for (int64_t k = 0; k < n; ++k) {
    for (int r = 0; r < registers; ++r) {
      const int64_t at = k * inner + r * width, left = count - r * width;
      if (left <= 0) continue;
      const Vec<T> p = Vec<T>::load(y + at, left), g = Vec<T>::load(dy + at, left);
      (logarithm ? g - exp(p) * sum[r] : (g - sum[r]) * p).store(dx + at, left);
    }
  }
}

// Calls f.operator()<registers>(offset, count) for the tiles of rows across.
template <class T, class F> static void for_each_tile(const Launch& launch, const Rows& rows, const F& f) {
  constexpr int64_t width = Vec<T>::width;
  const int64_t n = rows.cols, inner = -rows.row_stride, outer = rows.rows / inner;
  const int64_t registers = inner <= width                      ? 1
                            : 4 * width * n <= tile_elements<T> ? 4
                            : 2 * width * n <= tile_elements<T> ? 2
                                                                : 1;
  const int64_t across = registers * width, tiles = (inner + across - 1) / across;
  parallel_for(launch, outer * tiles, rows_per_piece(n * across), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % tiles * across, offset = unit / tiles * n * inner + first;
      const int64_t count = inner - first < across ? inner - first : across;
      if (registers == 4) f.template operator()<4>(offset, count);
      else if (registers == 2) f.template operator()<2>(offset, count);
      else f.template operator()<1>(offset, count);
    }
  });
}

template <class S, bool logarithm> static void softmax_across(const Launch& launch, const Rows& x, const Rows& y) {
  for_each_tile<Compute<S>>(launch, x, [&]<int registers>(int64_t offset, int64_t count) {
    softmax_tile<S, logarithm, registers>(static_cast<const S*>(x.data) + offset, static_cast<S*>(y.data) + offset, x.cols,
                                          -x.row_stride, count);
  });
}

template <class S, bool logarithm>
static void softmax_backward_across(const Launch& launch, const Rows& y, const Rows& dy, const Rows& dx) {
  for_each_tile<Compute<S>>(launch, y, [&]<int registers>(int64_t offset, int64_t count) {
    softmax_backward_tile<S, logarithm, registers>(static_cast<const S*>(y.data) + offset,
                                                   static_cast<const S*>(dy.data) + offset, static_cast<S*>(dx.data) + offset,
                                                   y.cols, -y.row_stride, count);
  });
}

}  // namespace tg::TG_ISA
