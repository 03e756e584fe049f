// pad: a border around a tensor, or a cut where the border is negative.
//
//   pad           out[j] = in[at(j - before)] in every dim       pad_backward   dx[i] = sum of dy[j] over at(j - before) = i
//
//   at(i) for a dim of n places      i < 0        i >= n           of a b c, two on either side
//     constant                       the value    the value          v v a b c v v
//     reflect                        -i           2 (n - 1) - i      c b a b c b a
//     replicate                      0            n - 1              a a a b c c c
//     circular                       i + n        i - n              b c a b c a b
//
// A row of the output is the left border, a piece of one input row (a copy) and the right border; which input row it is
// follows from the places in the outer dims, and only those that changed since the row before are looked up again.
//
// Cost: each byte is read once and written once. Bytes are moved, so every element type is one of four sizes. pad_backward
// is for the three modes that repeat elements (for the constant one it is a cut): rows are added in the order of j by the
// one thread that owns the slice of the unpadded leading dims, so the bits do not depend on the number of threads.
#include "kernels/arguments/pad.h"

#include "core/parallel.h"
#include "kernels/cpu/copy_bytes.h"

namespace tg::TG_ISA {

static constexpr int64_t outside = -1;
static constexpr int64_t piece_bytes = 32768;  // work per piece, as in the elementwise kernels

// The place that place i of the endless continuation shows, or `outside`.
static int64_t place(PadMode mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  switch (mode) {
    case PadMode::reflect: return i < 0 ? -i : 2 * (n - 1) - i;
    case PadMode::replicate: return i < 0 ? 0 : n - 1;
    case PadMode::circular: return i < 0 ? i + n : i - n;
    default: return outside;
  }
}

// The inner row that each padded row shows, row after row.
struct RowWalk {
  const Pad& v;
  int outer;                                      // dims above the row
  int64_t index[max_dims], offset[max_dims + 1];  // offset[d]: of the dims before d; `outside` once one of them is outside

  RowWalk(const Pad& pad, int64_t row) : v(pad), outer(pad.ndim - 1) {
    for (int d = outer - 1; d >= 0; --d) {
      index[d] = row % v.padded_shape[d];
      row /= v.padded_shape[d];
    }
    offset[0] = 0;
    look_up(0);
  }
  int64_t start() const { return offset[outer]; }
  void next() {
    int d = outer - 1;
    if (d >= 0) [[likely]] {  // the next row of the same plane, inside
      const int64_t at = ++index[d] - v.before[d];
      if (index[d] < v.padded_shape[d] && at > 0 && at < v.shape[d] && offset[d] != outside) {
        offset[outer] = offset[d] + at * v.strides[d];
        return;
      }
      --index[d];
    }
    while (d >= 0 && ++index[d] == v.padded_shape[d]) index[d--] = 0;
    look_up(d < 0 ? 0 : d);
  }

 private:
  void look_up(int from) {
    for (int d = from; d < outer; ++d) {
      const int64_t at = offset[d] == outside ? outside : place(v.mode, index[d] - v.before[d], v.shape[d]);
      offset[d + 1] = at == outside ? outside : offset[d] + at * v.strides[d];
    }
  }
};

// The padded places [begin, end) of a row that show an inner place directly.
struct Interior {
  int64_t begin, end;
  explicit Interior(const Pad& v) {
    const int64_t before = v.before[v.ndim - 1], n = v.shape[v.ndim - 1], padded = v.padded_shape[v.ndim - 1];
    begin = before < 0 ? 0 : (before < padded ? before : padded);
    end = before + n < padded ? before + n : padded;
    if (end < begin) end = begin;
  }
};

// Writes n elements of one value.
template <int bytes> TG_INLINE void fill_row(typename BitsOf<bytes>::type* to, typename BitsOf<bytes>::type value, int64_t n) {
  if (n < 8) {
    for (int64_t j = 0; j < n; ++j) {
      to[j] = value;
      asm volatile("" : : : "memory");  // a loop this short: no vectors, no memset
    }
  } else {
    for (int64_t j = 0; j < n; ++j) to[j] = value;
  }
}

// The border on one side of a row: places [begin, end) of the padded row. What they show is the same in every row, so it is
// looked up once, for as many places as there is room; wider borders look up the rest again and again.
struct Border {
  static constexpr int64_t room = 32;
  int64_t begin, end, known, offset[room];

  Border(const Pad& v, int64_t from, int64_t to) : begin(from), end(to), known(to < from + room ? to : from + room) {
    if (v.mode == PadMode::constant) return;
    for (int64_t j = begin; j < known; ++j) offset[j - begin] = element(v, j);
  }
  static int64_t element(const Pad& v, int64_t j) {
    const int last = v.ndim - 1;
    return place(v.mode, j - v.before[last], v.shape[last]) * v.strides[last];
  }
  template <int bytes, class U = typename BitsOf<bytes>::type> TG_INLINE void show(const Pad& v, U* to, const U* from) const {
    if (v.mode == PadMode::replicate) {
      if (begin < end) fill_row<bytes>(to + begin, from[offset[0]], end - begin);
      return;
    }
    for (int64_t j = begin; j < known; ++j) {
      to[j] = from[offset[j - begin]];
      asm volatile("" : : : "memory");  // gathering so few would take longer
    }
    for (int64_t j = known; j < end; ++j) to[j] = from[element(v, j)];
  }
};

template <int bytes> static void pad_rows(const Pad& v, const void* in, void* out, int64_t begin, int64_t end) {
  using U = typename BitsOf<bytes>::type;
  const int last = v.ndim - 1;
  const PadMode mode = v.mode;
  const int64_t padded = v.padded_shape[last], stride = v.strides[last], before = v.before[last];
  const Interior middle(v);
  const int64_t left = middle.begin, right = middle.end, width = right - left;
  const Border before_it(v, 0, left), behind_it(v, right, padded);
  U value = 0;
  if (v.value) __builtin_memcpy(&value, v.value, sizeof value);
  RowWalk walk(v, begin);
  U* to = static_cast<U*>(out) + begin * padded;
  for (int64_t row = begin; row < end; ++row, to += padded, walk.next()) {
    const int64_t start = walk.start();
    if (start == outside) {
      fill_row<bytes>(to, value, padded);
      continue;
    }
    const U* from = static_cast<const U*>(in) + start;
    const U* inner = from + (left - before) * stride;
    if (stride == 1) copy_bytes(reinterpret_cast<char*>(to + left), reinterpret_cast<const char*>(inner), width * bytes);
    else if (stride == 0) fill_row<bytes>(to + left, *inner, width);
    else
      for (int64_t j = 0; j < width; ++j) to[left + j] = inner[j * stride];
    if (mode == PadMode::constant) {
      fill_row<bytes>(to, value, left);
      fill_row<bytes>(to + right, value, padded - right);
    } else {
      before_it.show<bytes>(v, to, from);
      behind_it.show<bytes>(v, to, from);
    }
  }
}

Status pad(const Launch& launch, const Pad& v, const void* in, void* out) {
  int64_t rows = 1;
  for (int d = 0; d < v.ndim - 1; ++d) rows *= v.padded_shape[d];
  const int element = size_of(v.dtype);
  const int64_t row_bytes = v.padded_shape[v.ndim - 1] * element;
  if (rows == 0 || row_bytes == 0) return {};
  parallel_for(launch, rows, row_bytes < piece_bytes ? piece_bytes / row_bytes : 1, [&](int64_t begin, int64_t end) {
    switch (element) {
      case 1: return pad_rows<1>(v, in, out, begin, end);
      case 2: return pad_rows<2>(v, in, out, begin, end);
      case 4: return pad_rows<4>(v, in, out, begin, end);
      default: return pad_rows<8>(v, in, out, begin, end);
    }
  });
  return {};
}

// Sums of 16-bit floats are kept in float32 for one addition only, as in index_add.
template <class S> [[gnu::always_inline]] static inline S sum_of_two(S a, S b) {
  if constexpr (dtype_of<S> == DType::bf16) return to_bf16(to_float(a) + to_float(b));
  else if constexpr (dtype_of<S> == DType::f16) return to_f16(to_float(a) + to_float(b));
  else return a + b;
}

template <class S> static void add_rows(const Pad& v, const S* dy, S* dx, int64_t begin, int64_t end) {
  const int last = v.ndim - 1;
  const int64_t n = v.shape[last], padded = v.padded_shape[last], before = v.before[last];
  const Interior middle(v);
  RowWalk walk(v, begin);
  for (int64_t row = begin; row < end; ++row, walk.next()) {
    const S* from = dy + row * padded;
    S* to = dx + walk.start();
    auto border = [&](int64_t j) {
      S& sum = to[place(v.mode, j - before, n)];
      sum = sum_of_two(sum, from[j]);
    };
    for (int64_t j = 0; j < middle.begin; ++j) border(j);
#pragma omp simd  // dy and dx are different arrays
    for (int64_t j = middle.begin; j < middle.end; ++j) to[j - before] = sum_of_two(to[j - before], from[j]);
    for (int64_t j = middle.end; j < padded; ++j) border(j);
  }
}

Status pad_backward(const Launch& launch, const Pad& v, const void* dy, void* dx) {
  int64_t slices = 1, rows = 1, inner = 1;
  for (int d = 0; d < v.ndim; ++d) {
    if (d < v.first_padded) slices *= v.shape[d];
    else inner *= v.shape[d];
    if (d >= v.first_padded && d < v.ndim - 1) rows *= v.padded_shape[d];
  }
  if (v.first_padded > v.ndim - 1) return {Status::missing};  // nothing is padded: the caller has a copy to make
  const int element = size_of(v.dtype);
  const int64_t slice_bytes = rows * v.padded_shape[v.ndim - 1] * element;
  parallel_for(
      launch, slices, slice_bytes < piece_bytes ? piece_bytes / (slice_bytes + 1) + 1 : 1, [&](int64_t begin, int64_t end) {
        memset(static_cast<char*>(dx) + begin * inner * element, 0, static_cast<size_t>((end - begin) * inner * element));
        visit(v.dtype, [&]<class S>() {
          if constexpr (is_floating(dtype_of<S>))
            add_rows(v, static_cast<const S*>(dy), static_cast<S*>(dx), begin * rows, end * rows);
        });
      });
  return {};
}

}  // namespace tg::TG_ISA
