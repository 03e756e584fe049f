// Walking over many flat buffers at once. Work is cut into pieces of one buffer, and all pieces are shared out in one parallel
// region: a network of a hundred small biases costs one region, not a hundred.
#pragma once
#include "core/parallel.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

inline constexpr int64_t piece_size = 16384;     // elements: 64 KB of each float32 buffer
inline constexpr int64_t smallest_share = 8192;  // elements that are worth a thread

[[gnu::always_inline]] static inline int64_t pieces_of(int64_t size, int64_t piece) { return (size + piece - 1) / piece; }
[[gnu::always_inline]] static inline int64_t pieces_of_all(const ParameterList& list, int64_t piece = piece_size) {
  int64_t pieces = 0;
  for (int64_t i = 0; i < list.count; ++i) pieces += pieces_of(list.sizes[i], piece);
  return pieces;
}
[[gnu::always_inline]] static inline int64_t elements_of_all(const ParameterList& list) {
  int64_t elements = 0;
  for (int64_t i = 0; i < list.count; ++i) elements += list.sizes[i];
  return elements;
}
// Where every element is worked on by itself, few elements are cut finer, so that the threads get equal shares.
[[gnu::always_inline]] static inline int64_t even_piece(const ParameterList& list) {
  const int64_t eighth = (elements_of_all(list) / 8 + 1023) / 1024 * 1024;
  return eighth < 2048 ? 2048 : eighth < piece_size ? eighth : piece_size;
}

// Calls update(parameter number, first element, count, number of the piece) for every piece of at most `piece` elements.
template <class Update>
[[gnu::always_inline]] static inline void for_each_piece(const Launch& launch, const ParameterList& list, int64_t piece,
                                                         const Update& update) {
  const int64_t pieces = pieces_of_all(list, piece);
  // A share is a few pieces where pieces are small, so that each is worth a thread; finding its first piece costs a scan.
  const int64_t mean_size = pieces > 0 ? elements_of_all(list) / pieces + 1 : 1;
  const int64_t by_size = smallest_share / mean_size, by_count = pieces / 256;
  const int64_t grain = by_size > by_count ? by_size : by_count;
  parallel_for(launch, pieces, grain + 1, [&](int64_t begin, int64_t end) {
    int64_t parameter = 0, at = begin;  // at: counted from the parameter's first piece
    while (at >= pieces_of(list.sizes[parameter], piece)) at -= pieces_of(list.sizes[parameter++], piece);
    for (int64_t number = begin; number < end; ++number) {
      while (at >= pieces_of(list.sizes[parameter], piece)) ++parameter, at = 0;
      const int64_t first = at * piece, size = list.sizes[parameter];
      update(parameter, first, first + piece < size ? piece : size - first, number);
      ++at;
    }
  });
}

}  // namespace tg::TG_ISA
