// Results of rows that go past the cache (stream.h).
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/stream.h"

namespace tg::TG_ISA {

// Whether rows of S at `out` go past the cache: a result too large to stay in it, whose rows begin on cache lines.
template <class S> TG_INLINE bool rows_are_streamed(const void* out, int64_t rows, int64_t cols) {
  const int64_t bytes = cols * static_cast<int64_t>(sizeof(S));
  return sizeof(S) >= 4 && rows * bytes >= streamed_bytes && bytes % 64 == 0 && stream_aligned(out);
}
// Calls f.operator()<streamed>(begin, end) for pieces of all rows.
template <class S, class F> TG_INLINE void for_row_pieces(const Launch& launch, const Rows& out, const F& f) {
  const bool streamed = out.row_stride == out.cols && rows_are_streamed<S>(out.data, out.rows, out.cols);
  parallel_for(launch, out.rows, rows_per_piece(out.cols), [&](int64_t begin, int64_t end) {
    if (!streamed) return f.template operator()<false>(begin, end);
    f.template operator()<true>(begin, end);
    stream_end();
  });
}
inline constexpr int64_t kept_elements = 32768;  // of a streamed row that wait on the stack for their sum: 128 KB

}  // namespace tg::TG_ISA
