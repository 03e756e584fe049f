// Elements in other places, bit by bit:
//
//   flip       out[o, i, :] = in[o, size - 1 - i, :]
//   roll       out[o, (i + shift) mod size, :] = in[o, i, :]      two blocks change places
//   triangle   out[m, i, j] = in[m, i, j] on one side of a diagonal, 0 on the other
//
// Shapes: (outer, size, inner) around the dim, or matrices (count, rows, cols); contiguous. Cost: one read and one write an
// element. Parallel over outer slices and rows; nothing is computed, so nothing depends on the split.
#include <cstring>

#include "core/parallel.h"
#include "kernels/arguments/rearrange.h"
#include "kernels/cpu/copy_bytes.h"

namespace tg::TG_ISA {

static constexpr int64_t piece_bytes = 65536;

static int64_t slices_per_piece(int64_t bytes) {
  const int64_t n = piece_bytes / (bytes > 0 ? bytes : 1);
  return n > 1 ? n : 1;
}

template <int bytes> static void reverse_row(char* to, const char* from, int64_t n) {
  using U = typename BitsOf<bytes>::type;
  U* out = reinterpret_cast<U*>(to);
  const U* in = reinterpret_cast<const U*>(from) + n - 1;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = in[-i];
}

Status flip(const Launch& launch, const AlongDim& v) {
  const int64_t block = v.inner * v.element_bytes, slice = v.size * block;
  auto* out = static_cast<char*>(v.out);
  const auto* in = static_cast<const char*>(v.in);
  if (v.inner > 1) {
    parallel_for(launch, v.outer * v.size, slices_per_piece(block), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t o = r / v.size, i = r % v.size;
        copy_bytes(out + r * block, in + o * slice + (v.size - 1 - i) * block, block);
      }
    });
    return {};
  }
  parallel_for(launch, v.outer, slices_per_piece(slice), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      char* to = out + o * slice;
      const char* from = in + o * slice;
      switch (v.element_bytes) {
        case 1: reverse_row<1>(to, from, v.size); break;
        case 2: reverse_row<2>(to, from, v.size); break;
        case 4: reverse_row<4>(to, from, v.size); break;
        default: reverse_row<8>(to, from, v.size);
      }
    }
  });
  return {};
}

Status roll(const Launch& launch, const AlongDim& v) {
  const int64_t block = v.inner * v.element_bytes, slice = v.size * block;
  const int64_t moved = v.shift * block, stays = slice - moved;
  auto* out = static_cast<char*>(v.out);
  const auto* in = static_cast<const char*>(v.in);
  parallel_for(launch, v.outer, slices_per_piece(slice), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      copy_bytes(out + o * slice + moved, in + o * slice, stays);
      copy_bytes(out + o * slice, in + o * slice + stays, moved);
    }
  });
  return {};
}

Status triangle(const Launch& launch, const Triangle& v) {
  const int64_t row_bytes = v.cols * v.element_bytes;
  parallel_for(launch, v.count * v.rows, slices_per_piece(row_bytes), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t edge = r % v.rows + v.diagonal + (v.lower ? 1 : 0);  // the first column on the other side
      edge = edge < 0 ? 0 : edge < v.cols ? edge : v.cols;
      char* out = static_cast<char*>(v.out) + r * row_bytes;
      const char* in = static_cast<const char*>(v.in) + r * row_bytes;
      const auto left = static_cast<size_t>(edge * v.element_bytes), right = static_cast<size_t>(row_bytes) - left;
      if (v.lower) memcpy(out, in, left), memset(out + left, 0, right);
      else memset(out, 0, left), memcpy(out + left, in + left, right);
    }
  });
  return {};
}

}  // namespace tg::TG_ISA
