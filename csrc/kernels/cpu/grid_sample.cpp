// grid_sample: images read at points between their pixels, bilinear or nearest.
//
//   forward    out[n, c, p] = sum over the corners k of point p: w_k in[n, c, place_k]      (4 corners, nearest: 1)
//   backward   din[n, c, place_k] += w_k dy[n, c, p]
//              dgrid[n, p] = sum over c: dy[n, c, p] (slope of the bilinear surface in x and y) (pixels per unit of the grid)
//
// Cutting up: a register of points at a time. Their corners and weights are worked out once and serve all channels; the
// corners of a channel are gathered. The backward pass adds to places that other points share, so an image is a whole piece
// of work and its points go in order: the bits do not depend on the number of threads.
//
// Cost: about 40 operations a point and, for each channel, 4 gathered elements (backward: and 4 single additions).
//
// A corner outside the image (padding zeros) and one of weight 0 have no influence, whatever stands there.
#include "kernels/arguments/grid_sample.h"

#include <cstring>

#include "core/parallel.h"
#include "kernels/cpu/column_plan.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

// The (x, y) of a register of points to a register of x and one of y; what lies behind the last point is 0. To interleave
// two registers is to shift the bits of an element's place in a circle; as often as it has bits, and all is as before.
template <class T> TG_INLINE void load_pairs(const T* pairs, int64_t points, Vec<T>& x, Vec<T>& y) {
  constexpr int width = Vec<T>::width;
  const int64_t numbers = 2 * points;
  x = Vec<T>::load(pairs, numbers);
  y = numbers > width ? Vec<T>::load(pairs + width, numbers - width) : Vec<T>(T(0));
#pragma GCC unroll 4
  for (int shifts = width; shifts > 1; shifts /= 2) {  // so once less undoes it
    const auto low = Native<T>::interleave_low(x.v, y.v), high = Native<T>::interleave_high(x.v, y.v);
    x = Vec<T>::raw(low), y = Vec<T>::raw(high);
  }
}

template <class T> TG_INLINE void store_pairs(T* pairs, int64_t points, Vec<T> x, Vec<T> y) {
  constexpr int width = Vec<T>::width;
  const int64_t numbers = 2 * points;
  Vec<T>::raw(Native<T>::interleave_low(x.v, y.v)).store(pairs, numbers);
  if (numbers > width) Vec<T>::raw(Native<T>::interleave_high(x.v, y.v)).store(pairs + width, numbers - width);
}

// One coordinate of a register of points, in pixels, and how many pixels one unit of the grid is (with sign).
template <class T> struct Coordinate { Vec<T> at, slope; };

template <class T> static Coordinate<T> to_pixels(Vec<T> x, int64_t size, const GridSample& v) {
  const T n = static_cast<T>(size), half(0.5);
  const Vec<T> zero(T(0)), one(T(1)), last(n - 1);
  Coordinate<T> c;
  if (v.align_corners) c = {(x + one) * Vec<T>((n - 1) * half), Vec<T>((n - 1) * half)};
  else c = {((x + one) * Vec<T>(n) - one) * Vec<T>(half), Vec<T>(n * half)};
  if (v.padding == GridSample::zeros) return c;
  if (v.padding == GridSample::reflection) {
    const T low = v.align_corners ? T(0) : -half, high = v.align_corners ? n - 1 : n - half;
    if (high == low) return {zero, zero};
    const Vec<T> from(low), to(high), span(high - low), distance = abs(c.at - from);
    const Vec<T> flips = floor(distance / span), rest = distance - flips * span;
    const Mask<T> even = flips == floor(flips * Vec<T>(half)) * Vec<T>(T(2));
    const Vec<T> slope = select(c.at < from, -c.slope, c.slope);
    c = {select(even, rest + from, to - rest), select(even, slope, -slope)};
  }
  const Mask<T> inside = (c.at >= zero) & (c.at <= last);
  c.slope = select(inside, c.slope, zero);
  c.at = select(c.at > last, last, select(c.at < zero, zero, c.at));
  return c;
}

// The corners of a register of points.
template <class T> struct Corners {
  static constexpr int width = Vec<T>::width;
  using Numbers [[gnu::vector_size(width * sizeof(int32_t))]] = int32_t;
  alignas(64) int32_t place[4][width];  // within the image, wherever the corner lies
  Vec<T> weight[4];
  Vec<T> right, below;  // how far the point lies between its corners
  Coordinate<T> x, y;
  int count;

  TG_INLINE Corners(const GridSample& v, const T* grid, int64_t points) {
    Vec<T> across, down;
    load_pairs(grid, points, across, down);
    x = to_pixels(across, v.cols, v);
    y = to_pixels(down, v.rows, v);
    const Vec<T> one(T(1));
    if (v.nearest) {
      count = 1;
      corner(0, line(round(x.at), v.cols, 1), line(round(y.at), v.rows, v.cols), one);
      return;
    }
    count = 4;
    const Vec<T> first_col = floor(x.at), first_row = floor(y.at);
    right = x.at - first_col, below = y.at - first_row;
    const Line cols[2] = {line(first_col, v.cols, 1), line(first_col + one, v.cols, 1)};
    const Line rows[2] = {line(first_row, v.rows, v.cols), line(first_row + one, v.rows, v.cols)};
    corner(0, cols[0], rows[0], (one - right) * (one - below));
    corner(1, cols[1], rows[0], right * (one - below));
    corner(2, cols[0], rows[1], (one - right) * below);
    corner(3, cols[1], rows[1], right * below);
  }

  // The elements at corner k of one channel; outside the image, any of them.
  TG_INLINE Vec<T> read_any(const T* image, int k) const {
    ColumnTap<T> tap;
    tap.kind = ColumnTap<T>::scattered;
    tap.lanes = place[k];
    return pick(image, tap);
  }
  // The same, and 0 outside the image.
  TG_INLINE Vec<T> read(const T* image, int k) const { return select(there[k], read_any(image, k), Vec<T>(T(0))); }

 private:
  Mask<T> there[4];

  struct Line {  // a column or a row for every point
    Mask<T> there;
    Numbers offset;
  };
  TG_INLINE static Line line(Vec<T> at, int64_t size, int64_t stride) {
    const Vec<T> zero(T(0));
    const Mask<T> there = (at >= zero) & (at <= Vec<T>(static_cast<T>(size - 1)));
    return {there, __builtin_convertvector(select(there, at, zero).v, Numbers) * static_cast<int32_t>(stride)};
  }
  TG_INLINE void corner(int k, const Line& col, const Line& row, Vec<T> w) {
    there[k] = col.there & row.there;
    weight[k] = select(there[k], w, Vec<T>(T(0)));
    const Numbers number = row.offset + col.offset;
    __builtin_memcpy(place[k], &number, sizeof number);
  }
};

template <class T> static void sample_points(const GridSample& v, const T* in, const T* grid, T* out, int64_t n, int64_t p) {
  const int64_t pixels = v.rows * v.cols, left = v.places - p;
  const Corners<T> corners(v, grid + (n * v.places + p) * 2, left);
  const Vec<T> zero(T(0));
  for (int64_t c = 0; c < v.channels; ++c) {
    const T* image = in + (n * v.channels + c) * pixels;
    Vec<T> sum = zero;
    for (int k = 0; k < corners.count; ++k) {
      const Vec<T> w = corners.weight[k];
      sum = select(w != zero, fma(w, corners.read_any(image, k), sum), sum);
    }
    sum.store(out + (n * v.channels + c) * v.places + p, left);
  }
}

template <class T>
static void sample_points_backward(const GridSample& v, const T* dy, const T* in, const T* grid, T* dx, T* dgrid, int64_t n,
                                   int64_t p) {
  constexpr int width = Vec<T>::width;
  const int64_t pixels = v.rows * v.cols, left = v.places - p, points = left < width ? left : width;
  const int64_t first = (n * v.places + p) * 2;
  const Corners<T> corners(v, grid + first, left);
  T weight[4][width];
  for (int k = 0; k < corners.count; ++k) corners.weight[k].store(weight[k]);
  const Vec<T> one(T(1));
  Vec<T> slope_x(T(0)), slope_y(T(0));
  for (int64_t c = 0; c < v.channels; ++c) {
    const T *image = in + (n * v.channels + c) * pixels, *from = dy + (n * v.channels + c) * v.places + p;
    T* to = dx + (n * v.channels + c) * pixels;
    for (int64_t l = 0; l < points; ++l) {
      for (int k = 0; k < corners.count; ++k)
        if (weight[k][l] != 0) to[corners.place[k][l]] += weight[k][l] * from[l];
    }
    if (corners.count == 1) continue;
    const Vec<T> g = Vec<T>::load(from, left), a = corners.read(image, 0), b = corners.read(image, 1);
    const Vec<T> d = corners.read(image, 2), e = corners.read(image, 3);
    slope_x = fma(g, fma(b - a, one - corners.below, (e - d) * corners.below), slope_x);
    slope_y = fma(g, fma(d - a, one - corners.right, (e - b) * corners.right), slope_y);
  }
  store_pairs(dgrid + first, points, slope_x * corners.x.slope, slope_y * corners.y.slope);
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status grid_sample(const Launch& launch, const GridSample& v, const void* in, const void* grid, void* out) {
  auto run = [&]<class T>() {
    constexpr int64_t width = Vec<T>::width;
    const int64_t registers = (v.places + width - 1) / width;
    parallel_for(launch, v.batch * registers, rows_per_piece(width * (16 + 8 * v.channels)), [&](int64_t begin, int64_t end) {
      int64_t n = begin / registers, p = begin % registers * width;
      for (int64_t r = begin; r < end; ++r) {
        sample_points<T>(v, static_cast<const T*>(in), static_cast<const T*>(grid), static_cast<T*>(out), n, p);
        p += width;
        if (p >= v.places) p = 0, ++n;
      }
    });
    return Status{};
  };
  if (v.dtype == DType::f32) return run.template operator()<float>();
  if (v.dtype == DType::f64) return run.template operator()<double>();
  return {Status::missing};
}

Status grid_sample_backward(const Launch& launch, const GridSample& v, const void* dy, const void* in, const void* grid,
                            void* dx, void* dgrid) {
  auto run = [&]<class T>() {
    constexpr int64_t width = Vec<T>::width;
    const int64_t image = v.channels * v.rows * v.cols;
    parallel_for(launch, v.batch, rows_per_piece(v.places * (16 + 16 * v.channels)), [&](int64_t begin, int64_t end) {
      memset(static_cast<T*>(dx) + begin * image, 0, static_cast<size_t>((end - begin) * image) * sizeof(T));
      for (int64_t n = begin; n < end; ++n) {
        for (int64_t p = 0; p < v.places; p += width)
          sample_points_backward<T>(v, static_cast<const T*>(dy), static_cast<const T*>(in), static_cast<const T*>(grid),
                                    static_cast<T*>(dx), static_cast<T*>(dgrid), n, p);
      }
    });
    return Status{};
  };
  if (v.dtype == DType::f32) return run.template operator()<float>();
  if (v.dtype == DType::f64) return run.template operator()<double>();
  return {Status::missing};
}

}  // namespace tg::TG_ISA
