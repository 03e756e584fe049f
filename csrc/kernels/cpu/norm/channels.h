// Walking over x (batch, channels, length) channel by channel, for batch_norm: which channels go together, which samples, and
// sums over them.
//
//   length >= 16    one channel at a time: a plane of `length` elements in every sample
//   length < 16     as many channels as make 256 columns (channel, position), which lie side by side in every sample; a register
//                   then holds several channels, and constants of a channel are spread over its columns
//
//              channels 0..c                          A block is a range of channels in a slab of samples. Slabs are cut from
//   sample 0   [ block 0 ][ block 1 ] ...             the shape alone, so that a block stays in the second cache; with one slab
//   sample 1   [         ][         ]    slab 0       the statistics and the result need one read from memory.
//   sample 2   [         ][         ]
//   ...        [         ][         ]    slab 1
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

inline constexpr int64_t max_columns = 256;

struct Block {
  int64_t first, channels;  // which channels
  int64_t begin, end;       // which samples
};

// How a (batch, channels, length) array is cut into blocks.
struct Blocking {
  int64_t batch, channels, length;
  bool columns;  // several channels in a register
  int64_t block_channels, blocks, slab_samples, slabs;

  Blocking(int64_t batch, int64_t channels, int64_t length) : batch(batch), channels(channels), length(length) {
    columns = length < 16;
    block_channels = columns ? max_columns / (length > 0 ? length : 1) : 1;
    blocks = (channels + block_channels - 1) / block_channels;
    // 512 KB of float32 where there are blocks enough for many threads
    const int64_t elements = blocks < 16 ? 16384 : 131072, per_sample = block_channels * (length > 0 ? length : 1);
    slab_samples = elements / per_sample > 1 ? elements / per_sample : 1;
    slabs = (batch + slab_samples - 1) / slab_samples;
  }
  TG_INLINE Block block(int64_t unit) const {
    const int64_t b = unit / slabs, s = unit % slabs, first = b * block_channels, begin = s * slab_samples;
    return {first, channels - first < block_channels ? channels - first : block_channels, begin,
            begin + slab_samples < batch ? begin + slab_samples : batch};
  }
  int64_t units() const { return blocks * slabs; }
  int64_t grain() const {  // units of one piece of work: about 16,384 elements
    const int64_t pieces = 16384 / (slab_samples * block_channels * length + 1);
    return pieces > 1 ? pieces : 1;
  }
  TG_INLINE int64_t offset(const Block& b, int64_t sample) const { return (sample * channels + b.first) * length; }
};

// One number a channel of a block, as the register at column j needs it: value(channel) for all of them.
template <class T, bool columns> struct PerChannel {
  T at[max_columns];

  template <class F> TG_INLINE PerChannel(const Block& b, int64_t length, const F& value) {
    for (int64_t c = 0; c < b.channels; ++c) {
      const T v = value(b.first + c);
      for (int64_t l = 0; l < length; ++l) at[c * length + l] = v;
    }
  }
  TG_INLINE Vec<T> operator()(int64_t j, int64_t count) const { return Vec<T>::load(at + j, count); }
  // What dead lanes of x must hold for x - (*this) to be 0 there.
  TG_INLINE T beyond() const { return 0; }
};

template <class T> struct PerChannel<T, false> {
  T scalar;
  Vec<T> lanes;

  template <class F>
  TG_INLINE PerChannel(const Block& b, int64_t, const F& value) : scalar(value(b.first)), lanes(scalar) {}
  TG_INLINE Vec<T> operator()(int64_t, int64_t) const { return lanes; }
  TG_INLINE T beyond() const { return scalar; }
};

// totals[channel] += the columns j, j + 1, ... of a block, `length` of which make a channel.
template <class T> TG_INLINE void add_to_channels(double* totals, const T* columns, int64_t j, int64_t count, int64_t length) {
  if (length == 1) {
    for (int64_t q = 0; q < count; ++q) totals[j + q] += double(columns[q]);
    return;
  }
  int64_t channel = j / length, place = j % length;
  for (int64_t q = 0; q < count; ++q) {
    totals[channel] += double(columns[q]);
    if (++place == length) place = 0, ++channel;
  }
}

// Adds up `kinds` terms over every channel of a block: term(offset, column, count, out) gives them for one register, 0 in dead
// lanes. totals[kind][channel of the block]. Within a plane, or within 64 samples of a column, in T; from there on in double.
template <class T, bool columns, int kinds, class Term>
TG_INLINE void sum_block(const Blocking& k, const Block& b, double (&totals)[kinds][max_columns], const Term& term) {
  for (int i = 0; i < kinds; ++i) __builtin_memset(totals[i], 0, size_t(b.channels) * sizeof(double));
  if constexpr (columns) {
    constexpr int64_t width = Vec<T>::width, samples = 64, together = 4;  // registers side by side, so that no sum waits
    const int64_t cols = b.channels * k.length;
    for (int64_t j = 0; j < cols; j += together * width) {
      const int64_t left = cols - j;
      for (int64_t n0 = b.begin; n0 < b.end; n0 += samples) {
        const int64_t last = n0 + samples < b.end ? n0 + samples : b.end;
        Vec<T> sum[kinds][together];
        for (int i = 0; i < kinds; ++i)
          for (int r = 0; r < together; ++r) sum[i][r] = Vec<T>(T(0));
        const auto add = [&](int64_t n, int64_t r, int64_t count) TG_INLINE_LAMBDA {
          Vec<T> v[kinds];
          term(k.offset(b, n) + j + r * width, j + r * width, count, v);
          for (int i = 0; i < kinds; ++i) sum[i][r] += v[i];
        };
        if (left >= together * width) {
          for (int64_t n = n0; n < last; ++n) add(n, 0, width), add(n, 1, width), add(n, 2, width), add(n, 3, width);
        } else {
          for (int64_t n = n0; n < last; ++n) {
            add(n, 0, left);
            if (left > width) add(n, 1, left - width);
            if (left > 2 * width) add(n, 2, left - 2 * width);
            if (left > 3 * width) add(n, 3, left - 3 * width);
          }
        }
        for (int i = 0; i < kinds; ++i) {
          T lanes[together * width];
          for (int r = 0; r < together; ++r) sum[i][r].store(lanes + r * width);
          add_to_channels(totals[i], lanes, j, left < together * width ? left : together * width, k.length);
        }
      }
    }
  } else {
    for (int64_t n = b.begin; n < b.end; ++n) {
      Vec<T> sum[kinds][4];
      for (int i = 0; i < kinds; ++i) sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = Vec<T>(T(0));
      const int64_t offset = k.offset(b, n);
      for_each_register<T, 4>(k.length, [&](int64_t i, int64_t count, int slot) TG_INLINE_LAMBDA {
        Vec<T> v[kinds];
        term(offset + i, i, count, v);
        for (int q = 0; q < kinds; ++q) sum[q][slot] += v[q];
      });
      for (int i = 0; i < kinds; ++i) totals[i][0] += double(reduce_add((sum[i][0] + sum[i][1]) + (sum[i][2] + sum[i][3])));
    }
  }
}

// Calls f(offset, column, count) for every register of a block.
template <class T, class F> TG_INLINE void for_each_in_block(const Blocking& k, const Block& b, const F& f) {
  const int64_t cols = b.channels * k.length;
  for (int64_t n = b.begin; n < b.end; ++n) {
    const int64_t offset = k.offset(b, n);
    for_each_register<T, 4>(cols, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA { f(offset + i, i, count); });
  }
}

}  // namespace tg::TG_ISA
