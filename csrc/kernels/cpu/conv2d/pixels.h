// The pixels of a batch as the columns of one matrix, numbered through all images:
//
//             image 0        image 1
//          [ 0 1 2 ... ][ 49 50 51 ... ] ...
//   c = 0    a segment     the next                a segment: columns that lie side by side in memory, a plane or
//   c = 1    .             .                       (where lines have gaps between them) a line
#pragma once
#include "kernels/arguments/conv.h"
#include "kernels/cpu/matmul/blocks.h"

namespace tg::TG_ISA {

struct PixelPlace { int64_t image, row, q; };  // of a segment: its image and its number there; the pixel's place in it

template <class T> struct Pixels {
  T* data;
  int64_t channel;                   // from one channel to the next
  int64_t length, lines;             // of a segment; segments of an image
  int64_t line, batch, batch_count;  // from one segment of an image to the next; from image to image

  Pixels(const Images& x, int64_t first_channel)
      : data(static_cast<T*>(x.data) + first_channel * x.channel_stride),
        channel(x.channel_stride),
        length(x.width),
        lines(x.height),
        line(x.row_stride),
        batch(x.batch_stride),
        batch_count(x.batch) {
    if (line == length || lines == 1) length *= lines, lines = 1;
  }
  int64_t count() const { return batch_count * lines * length; }
  PixelPlace place(int64_t pixel) const { return {pixel / (lines * length), pixel / length % lines, pixel % length}; }
  TG_INLINE void advance(PixelPlace& p, int64_t pixels) const {
    for (p.q += pixels; p.q >= length; p.q -= length)
      if (++p.row == lines) p.row = 0, ++p.image;
  }

  // body(offset of the first one's pixel in channel 0, its number counted from `begin`, how many) for the pieces of segments
  // in [begin, begin + count).
  template <class Body> TG_INLINE void for_each_piece(int64_t begin, int64_t count, const Body& body) const {
    int64_t image = begin / (lines * length), row = begin / length % lines, q = begin % length;
    for (int64_t at = 0; at < count;) {
      const int64_t n = smaller(length - q, count - at);
      body(image * batch + row * line + q, at, n);
      at += n;
      q = 0;
      if (++row == lines) row = 0, ++image;
    }
  }
};

}  // namespace tg::TG_ISA
