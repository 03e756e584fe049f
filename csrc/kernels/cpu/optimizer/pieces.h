// Walking over many flat buffers at once. Work is cut into pieces of at most 16384 elements of one buffer, and all pieces are
// shared out in one parallel region: a network of a hundred small biases costs one region, not a hundred.
#pragma once
#include "core/parallel.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

inline constexpr int64_t piece_size = 16384;  // elements: 64 KB of each float32 buffer

[[gnu::always_inline]] static inline int64_t pieces_of(int64_t size) { return (size + piece_size - 1) / piece_size; }
[[gnu::always_inline]] static inline int64_t pieces_of_all(const ParameterList& list) {
  int64_t pieces = 0;
  for (int64_t i = 0; i < list.count; ++i) pieces += pieces_of(list.sizes[i]);
  return pieces;
}

// Calls update(parameter number, first element, count, number of the piece) for every piece.
template <class Update>
[[gnu::always_inline]] static inline void for_each_piece(const Launch& launch, const ParameterList& list,
                                                         const Update& update) {
  const int64_t pieces = pieces_of_all(list);
  int64_t elements = 0;
  for (int64_t i = 0; i < list.count; ++i) elements += list.sizes[i];
  // A share is a few pieces where pieces are small, so that each is worth a thread; finding its first piece costs a scan.
  const int64_t mean_size = pieces > 0 ? elements / pieces + 1 : 1;
  const int64_t by_size = piece_size / mean_size, by_count = pieces / 256;
  const int64_t grain = 1 + (by_size > by_count ? by_size : by_count);
  parallel_for(launch, pieces, grain, [&](int64_t begin, int64_t end) {
    int64_t parameter = 0, piece = begin;  // piece: counted from the parameter's first
    while (piece >= pieces_of(list.sizes[parameter])) piece -= pieces_of(list.sizes[parameter++]);
    for (int64_t number = begin; number < end; ++number) {
      while (piece >= pieces_of(list.sizes[parameter])) ++parameter, piece = 0;
      const int64_t first = piece * piece_size, size = list.sizes[parameter];
      update(parameter, first, first + piece_size < size ? piece_size : size - first, number);
      ++piece;
    }
  });
}

}  // namespace tg::TG_ISA
