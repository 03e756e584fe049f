// Windows of max_pool: their rows, the best of their elements, and the common case of windows two columns wide side by side.
//
//     x   a b | c d | e f          left columns   a c e     taken apart by a shuffle; what remains is comparing registers
//         g h | i j | k l          right columns  b d f
//
//     dx  . y | . . | . .          gradients are chosen, not added: every place belongs to one window
//         . . | z . | w .
#pragma once
#include "kernels/arguments/resample.h"
#include "kernels/cpu/conv2d/phases.h"

namespace tg::TG_ISA {

// The rows of the windows of one row of results: row k starts at place start(k) of the plane.
struct WindowRows {
  const Pool& v;
  int64_t depth_taps, row_taps, count;
  const int64_t *depth, *rows;
  int64_t kept[32];  // the first of them, looked up once

  WindowRows(const Pool& pool, int64_t row) : v(pool) {
    const int64_t d = row / v.rows.out, r = row % v.rows.out;
    depth_taps = v.depth.first[1], row_taps = v.rows.first[1];
    depth = v.depth.index + d * depth_taps;
    rows = v.rows.index + r * row_taps;
    count = depth_taps * row_taps;
    for (int64_t k = 0; k < count && k < 32; ++k) kept[k] = look_up(k);
  }
  int64_t start(int64_t k) const { return k < 32 ? kept[k] : look_up(k); }

 private:
  int64_t look_up(int64_t k) const { return (depth[k / row_taps] * v.rows.in + rows[k % row_taps]) * v.cols.in; }
};

// The best element so far and its place: the number of a row and of a column of its window, kept as floating numbers
template <class T> struct Best {
  Vec<T> value, row, col;

  // Takes an element from further down the same column.
  TG_INLINE void further_down(Vec<T> x, Vec<T> x_row) {
    const Mask<T> wins = (x > value) | is_nan(x);
    value = select(wins, x, value);
    row = select(wins, x_row, row);
  }
  // Takes the maximum of a column further right: it is earlier in row-major order if its row is higher up.
  TG_INLINE void further_right(Vec<T> x, Vec<T> x_row, Vec<T> x_col) {
    const Mask<T> earlier = x_row < row;
    const Mask<T> wins = (x > value) | ((x == value) & earlier) | (is_nan(x) & !(is_nan(value) & earlier));
    value = select(wins, x, value);
    row = select(wins, x_row, row);
    col = select(wins, x_col, col);
  }
};

// Windows that touch without overlapping, two columns wide: every place of x belongs to one window, so gradients are not added
// but chosen, a register at a time, and the two columns interleaved.
static bool meets_once(const Taps& t) {
  for (int64_t i = 1; i < t.out * t.first[1]; ++i)
    if (t.index[i] <= t.index[i - 1]) return false;
  return true;
}
static bool windows_are_pairs(const Pool& v) {
  if (v.cols.first[1] != 2 || v.cols.index[0] != 0 || v.cols.index[2 * v.cols.out - 1] != 2 * v.cols.out - 1) return false;
  return meets_once(v.cols) && meets_once(v.rows) && meets_once(v.depth);
}

// The left and the right columns of the windows at o, from one row.
template <class T> struct Columns {
  Vec<T> left, right;
  TG_INLINE Columns(const T* row, int64_t o, int64_t out) {
    constexpr int64_t width = Vec<T>::width;
    const int64_t n = 2 * (out - o);
    const Vec<T> first = Vec<T>::load(row + 2 * o, n);
    const Vec<T> second = n > width ? Vec<T>::load(row + 2 * o + width, n - width) : Vec<T>(T(0));
    left = even_lanes(first, second), right = odd_lanes(first, second);
  }
};

template <class T> static void max_of_pairs(const WindowRows& rows, const T* plane, int64_t out_size, T* out) {
  for (int64_t o = 0; o < out_size; o += Vec<T>::width) {
    const Columns<T> top(plane + rows.start(0), o, out_size);
    Vec<T> left = top.left, right = top.right;
    for (int64_t k = 1; k < rows.count; ++k) {
      const Columns<T> next(plane + rows.start(k), o, out_size);
      left = max(left, next.left), right = max(right, next.right);
    }
    max(left, right).store(out + o, out_size - o);
  }
}

template <class T>
static void place_pairs(const WindowRows& rows, const T* plane, const T* dy, int64_t out, T* dx_plane) {
  const int64_t width = Vec<T>::width;
  const Vec<T> none(T(0));
  for (int64_t o = 0; o < out; o += width) {
    const Columns<T> top(plane + rows.start(0), o, out);
    Best<T> best{top.left, none, none}, right{top.right, none, none};
    for (int64_t k = 1; k < rows.count; ++k) {
      const Columns<T> next(plane + rows.start(k), o, out);
      const Vec<T> number(static_cast<T>(k));
      best.further_down(next.left, number);
      right.further_down(next.right, number);
    }
    best.further_right(right.value, right.row, Vec<T>(T(1)));

    const int64_t n = 2 * (out - o);
    const Vec<T> gradient = Vec<T>::load(dy + o, out - o);
    const Vec<T> to_left = select(best.col == none, gradient, none), to_right = select(best.col == none, none, gradient);
    for (int64_t k = 0; k < rows.count; ++k) {
      const Mask<T> here = best.row == Vec<T>(static_cast<T>(k));
      const Vec<T> a = select(here, to_left, none), b = select(here, to_right, none);
      T* const to = dx_plane + rows.start(k) + 2 * o;
      interleave_low(a, b).store(to, n);
      if (n > width) interleave_high(a, b).store(to + width, n - width);
    }
  }
}

}  // namespace tg::TG_ISA
