// Copies of rows of bytes, which may begin anywhere. memcpy turns to string instructions for a few kilobytes, and these are
// several times slower when one side is a few bytes off the other; and short rows cost more to call it than to copy.
//
//   to      |..[64][64][64] ... [64]..|      whole cache lines are written, whatever lies before and behind them goes
//   from  |..[64][64][64] ... [64]..|        in two stores that overlap these lines
#pragma once
#include "kernels/cpu/stream.h"
#include "kernels/cpu/strided_tile.h"

namespace tg::TG_ISA {

struct CacheLine {
  Vec<float> part[64 / sizeof(Vec<float>)];

  TG_INLINE static CacheLine load(const char* p) {
    CacheLine line;
    __builtin_memcpy(&line, p, sizeof line);
    return line;
  }
  TG_INLINE void store(char* p) const { __builtin_memcpy(p, this, sizeof *this); }
};

// With `streamed` the lines go past the cache; stream_end() has to follow at the end of a piece of work.
template <bool streamed = false> TG_INLINE void copy_bytes(char* to, const char* from, int64_t bytes) {
  if (bytes <= 256) return copy_row(to, from, bytes);
  const CacheLine first = CacheLine::load(from), last = CacheLine::load(from + bytes - 64);
  char* const end = to + bytes;
  const int64_t head = 64 - static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) & 63);
  first.store(to);
  to += head, from += head;
  if constexpr (streamed) {
    const int64_t lines = (end - to) & ~int64_t{63};
    stream_bytes(to, from, lines);
  } else {
    for (; to + 128 <= end; to += 128, from += 128) {  // two at a time: or the compiler would call memcpy
      const CacheLine a = CacheLine::load(from), b = CacheLine::load(from + 64);
      a.store(to), b.store(to + 64);
    }
    if (to + 64 <= end) CacheLine::load(from).store(to);
  }
  last.store(end - 64);
}

}  // namespace tg::TG_ISA
