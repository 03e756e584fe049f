// grid_sample: images read at points between their pixels, bilinear or nearest.
//
//   forward    out[n, c, p] = sum over the corners k of point p: w_k in[n, c, place_k]      (4 corners, nearest: 1)
//   backward   din[n, c, place_k] += w_k dy[n, c, p]
//              dgrid[n, p] = sum over c: dy[n, c, p] (slope of the bilinear surface in x and y) (pixels per unit of the grid)
//
// Cutting up, forward: 128 points at a time. First their corners and weights are worked out, which serve all channels; then, for
// each channel, pixels are copied one after the other into a buffer, the two neighbours of a row as one number; then they are
// weighted, a register at a time. (Gathering instructions take several times as long as the copies.)
//
//     grid (128, 2)  ->  place of the upper and of the lower left corner, 4 weights  ->  pixels, 2 x 128 pairs  ->  sums
//
// The neighbours of a point near the border: the pair is moved inside, and each pixel of it gets the weight of the corner it
// is, or 0. Backward: a register of points at a time. It adds to places that other points share, so an image is a whole piece
// of work and its points go in order: the bits do not depend on the number of threads.
//
// Cost: about 40 operations a point and, for each channel, 4 elements (backward: and 4 single additions).
//
// A corner outside the image (padding zeros) and one of weight 0 have no influence, whatever stands there.
#include "kernels/arguments/grid_sample.h"

#include <cstring>

#include "core/parallel.h"
#include "kernels/cpu/column_plan.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/shuffle.h"

namespace tg::TG_ISA {

// The (x, y) of a register of points to a register of x and one of y; what lies behind the last point is 0.
template <class T> TG_INLINE void load_pairs(const T* pairs, int64_t points, Vec<T>& x, Vec<T>& y) {
  constexpr int width = Vec<T>::width;
  const int64_t numbers = 2 * points;
  const Vec<T> low = Vec<T>::load(pairs, numbers);
  const Vec<T> high = numbers > width ? Vec<T>::load(pairs + width, numbers - width) : Vec<T>(T(0));
  typename Vec<T>::Int even, odd;
  for (unsigned i = 0; i < width; ++i) even[i] = 2 * i, odd[i] = 2 * i + 1;
  x = shuffled(low, high, even), y = shuffled(low, high, odd);
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

// One axis of a register of points: the first of two neighbouring places inside the image, and the weights of the two.
template <class T> struct Axis {
  Vec<T> first, low, high;

  TG_INLINE Axis(Vec<T> at, int64_t size) {
    const Vec<T> zero(T(0)), one(T(1));
    const Vec<T> left = floor(at), share = at - left, rest = one - share;
    first = min_or_second(Vec<T>(static_cast<T>(size > 1 ? size - 2 : 0)), max_or_second(left, zero));  // NaN: 0
    const Vec<T> apart = left - first;  // 0 inside, -1 or 1 where one of the neighbours is, NaN nowhere
    const Mask<T> inside = apart == zero;
    low = select(inside, rest, select(apart == -one, share, zero));
    high = select(inside, share, select(apart == one, rest, zero));
    if (size == 1) high = zero;
  }
};

// A block of points of one image.
template <class T> struct PointBlock {
  static constexpr int64_t most = 128, width = Vec<T>::width, room = most + width;
  using Numbers = typename Corners<T>::Numbers;
  alignas(64) int32_t place[4][room];
  alignas(64) T weight[4][room], pixel[4][room];
  alignas(64) T pair[2][2 * room];
  bool plain = false;  // nearest, and all pixels are inside: nothing to weight

  // Pairs of neighbours: the upper and the lower left place, and 4 weights.
  TG_INLINE void place_pairs(const GridSample& v, const T* grid, int64_t points) {
    const int32_t cols = static_cast<int32_t>(v.cols), down = v.rows > 1 ? cols : 0;
    for (int64_t p = 0; p < points; p += width) {
      Vec<T> across, along;
      load_pairs(grid + 2 * p, points - p, across, along);
      const Axis<T> x(to_pixels(across, v.cols, v).at, v.cols), y(to_pixels(along, v.rows, v).at, v.rows);
      const Numbers first = __builtin_convertvector(y.first.v, Numbers) * cols + __builtin_convertvector(x.first.v, Numbers);
      const Numbers second = first + down;
      __builtin_memcpy(place[0] + p, &first, sizeof first);
      __builtin_memcpy(place[1] + p, &second, sizeof second);
      (x.low * y.low).store(weight[0] + p), (x.high * y.low).store(weight[1] + p);
      (x.low * y.high).store(weight[2] + p), (x.high * y.high).store(weight[3] + p);
    }
  }
  TG_INLINE void sample_pairs(const T* image, T* out, int64_t points) {
    for (int row = 0; row < 2; ++row) {
      for (int64_t p = 0; p < points; ++p) __builtin_memcpy(pair[row] + 2 * p, image + place[row][p], 2 * sizeof(T));
    }
    for (int64_t p = 0; p < points; p += width) {
      Vec<T> sum(T(0));
      for (int row = 0; row < 2; ++row) {
        Vec<T> left, right;
        load_pairs(pair[row] + 2 * p, points - p, left, right);
        sum = add(add(sum, 2 * row, p, left), 2 * row + 1, p, right);
      }
      sum.store(out + p, points - p);
    }
  }

  // Corners one by one: the nearest pixel, or images one pixel wide.
  TG_INLINE int place_corners(const GridSample& v, const T* grid, int64_t points) {
    int count = 0;
    plain = v.nearest;
    for (int64_t p = 0; p < points; p += width) {
      const Corners<T> corners(v, grid + 2 * p, points - p);
      count = corners.count;
      plain = plain && all(corners.weight[0] == Vec<T>(T(1)));
      for (int k = 0; k < count; ++k) {
        __builtin_memcpy(place[k] + p, corners.place[k], sizeof corners.place[k]);
        corners.weight[k].store(weight[k] + p);
      }
    }
    return count;
  }
  TG_INLINE void sample_corners(const T* image, int count, T* out, int64_t points) {
    if (plain) {
#pragma GCC unroll 8
      for (int64_t p = 0; p < points; ++p) out[p] = image[place[0][p]];
      return;
    }
    for (int k = 0; k < count; ++k) {
      for (int64_t p = 0; p < points; ++p) pixel[k][p] = image[place[k][p]];
    }
    for (int64_t p = 0; p < points; p += width) {
      Vec<T> sum(T(0));
      for (int k = 0; k < count; ++k) sum = add(sum, k, p, Vec<T>::load(pixel[k] + p));
      sum.store(out + p, points - p);
    }
  }

 private:
  TG_INLINE Vec<T> add(Vec<T> sum, int k, int64_t p, Vec<T> value) const {
    const Vec<T> w = Vec<T>::load(weight[k] + p);
    return select(w != Vec<T>(T(0)), fma(w, value, sum), sum);
  }
};

// Points [p, p + points) of image n; at most PointBlock::most.
template <class T>
static void sample_points(const GridSample& v, const T* in, const T* grid, T* out, int64_t n, int64_t p, int64_t points) {
  PointBlock<T> block;
  grid += (n * v.places + p) * 2;
  in += n * v.channels * v.rows * v.cols;
  out += n * v.channels * v.places + p;
  const bool pairs = !v.nearest && v.cols > 1;
  int count = 0;
  if (pairs) block.place_pairs(v, grid, points);
  else count = block.place_corners(v, grid, points);
  for (int64_t c = 0; c < v.channels; ++c, in += v.rows * v.cols, out += v.places) {
    if (pairs) block.sample_pairs(in, out, points);
    else block.sample_corners(in, count, out, points);
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
    constexpr int64_t most = PointBlock<T>::most;
    const int64_t blocks = (v.places + most - 1) / most, each = v.places < most ? v.places : most;
    parallel_for(launch, v.batch * blocks, rows_per_piece(each * (16 + 8 * v.channels)), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t n = b / blocks, p = b % blocks * most, left = v.places - p;
        sample_points<T>(v, static_cast<const T*>(in), static_cast<const T*>(grid), static_cast<T*>(out), n, p,
                         left < most ? left : most);
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
