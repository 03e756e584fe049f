// The three linear maps of Winograd's convolution F(m x m, r x r), of one dimension. With n = m + r - 1:
//
//   y = A' [ (G g) * (B' d) ]       d: n inputs    g: r weights    y: m outputs    *: n products
//
// is polynomial multiplication by values: B' and G evaluate, A' interpolates, at n - 1 points and infinity. Applied along lines
// and then along columns they give the map of two dimensions, with n * n products instead of the m * m * r * r of the definition.
//
//   F(2, 3)  points 0, 1, -1, inf                  2.25 times fewer; rounds like the definition
//   F(4, 3)  points 0, 5/8, -5/8, 3/2, -3/2, inf   4 times fewer; rounds three times better than 0, 1, -1, 2, -2, inf
//   F(2, 5)  the same points                       2.8 times fewer
//   F(4, 2)  points 0, 3/4, -3/4, 2, inf           2.6 times fewer; rounds like F(4, 3)
//   F(4, 4)  points 0, 9/16, -9/16, 1, -1, 5/2, inf   5.2 times fewer; rounds three times worse
//
// Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308. With the points 0, a, -a, b, -b
// the polynomials through the other points are x^4 - (a^2 + b^2) x^2 + a^2 b^2, and x (x +- a) (x^2 - b^2), and so on: their
// coefficients are the rows of B', their values at their own point divide the rows of G.
#pragma once
#include "kernels/cpu/conv2d/phases.h"
#include "kernels/cpu/matmul/pack.h"

namespace tg::TG_ISA {

// The k-th powers of one point, times `scale`.
template <int count> struct Powers {
  float of[count];
  constexpr Powers(double point, double scale) : of{} {
    for (int k = 0; k < count; ++k, scale *= point) of[k] = float(scale);
  }
};

// What depends on the points alone: B', and for every finite point what divides its row of G.
template <int n> struct WinogradPoints;

template <> struct WinogradPoints<4> {
  static constexpr double point[3] = {0, 1, -1}, scale[3] = {1, 0.5, 0.5};

  // B' d
  TG_INLINE static void input(const Vec<float> (&d)[4], Vec<float> (&r)[4]) {
    r[0] = d[0] - d[2], r[1] = d[1] + d[2], r[2] = d[2] - d[1], r[3] = d[3] - d[1];
  }
};

template <> struct WinogradPoints<5> {
  static constexpr double a = 0.75, b = 2, a2 = a * a;
  static constexpr double point[4] = {0, a, -a, b};
  static constexpr double scale[4] = {1 / (a2 * b), 1 / (2 * a2 * (a - b)), 1 / (-2 * a2 * (a + b)), 1 / (b * (b * b - a2))};

  TG_INLINE static void input(const Vec<float> (&d)[5], Vec<float> (&r)[5]) {
    const Vec<float> minus_b{float(-b)}, minus_a2{float(-a2)}, times_a{float(a)};
    const Vec<float> low = fma(minus_b, d[0], d[1]), middle = fma(minus_b, d[1], d[2]), high = fma(minus_b, d[2], d[3]);
    r[0] = fma(minus_a2, low, high);
    r[1] = fma(times_a, middle, high), r[2] = fma(-times_a, middle, high);
    r[3] = fma(minus_a2, d[1], d[3]);
    r[4] = fma(minus_a2, middle, fma(minus_b, d[3], d[4]));
  }
};

template <> struct WinogradPoints<6> {
  static constexpr double a = 0.625, b = 1.5, a2 = a * a, b2 = b * b;
  static constexpr double of_a = 1 / (2 * a2 * (a2 - b2)), of_b = 1 / (2 * b2 * (b2 - a2));
  static constexpr double point[5] = {0, a, -a, b, -b}, scale[5] = {1 / (a2 * b2), of_a, of_a, of_b, of_b};
  TG_INLINE static Vec<float> of(double x) { return Vec<float>(float(x)); }

  TG_INLINE static void input(const Vec<float> (&d)[6], Vec<float> (&r)[6]) {
    const Vec<float> even_a = fma(of(-b2), d[2], d[4]), odd_a = fma(of(-b2), d[1], d[3]);
    const Vec<float> even_b = fma(of(-a2), d[2], d[4]), odd_b = fma(of(-a2), d[1], d[3]);
    r[0] = fma(of(a2 * b2), d[0], fma(of(-a2 - b2), d[2], d[4]));
    r[1] = fma(of(a), odd_a, even_a), r[2] = fma(of(-a), odd_a, even_a);
    r[3] = fma(of(b), odd_b, even_b), r[4] = fma(of(-b), odd_b, even_b);
    r[5] = fma(of(a2 * b2), d[1], fma(of(-a2 - b2), d[3], d[5]));
  }
};

// An odd number of points: those of six, times x - c. What is left of d by x - c goes the way of six.
template <> struct WinogradPoints<7> {
  static constexpr double a = 0.5625, b = 1, c = 2.5, a2 = a * a, b2 = b * b;
  static constexpr double of_a = 2 * a2 * (a2 - b2), of_b = 2 * b2 * (b2 - a2);
  static constexpr double point[6] = {0, a, -a, b, -b, c};
  static constexpr double scale[6] = {-1 / (a2 * b2 * c),   1 / (of_a * (a - c)),  -1 / (of_a * (a + c)),
                                      1 / (of_b * (b - c)), -1 / (of_b * (b + c)), 1 / (c * (c * c - a2) * (c * c - b2))};
  TG_INLINE static Vec<float> of(double x) { return Vec<float>(float(x)); }

  TG_INLINE static void input(const Vec<float> (&d)[7], Vec<float> (&r)[7]) {
    Vec<float> s[6];
#pragma GCC unroll 8
    for (int k = 0; k < 6; ++k) s[k] = fma(of(-c), d[k], d[k + 1]);
    const Vec<float> even_a = fma(of(-b2), s[2], s[4]), odd_a = fma(of(-b2), s[1], s[3]);
    const Vec<float> even_b = fma(of(-a2), s[2], s[4]), odd_b = fma(of(-a2), s[1], s[3]);
    r[0] = fma(of(a2 * b2), s[0], fma(of(-a2 - b2), s[2], s[4]));
    r[1] = fma(of(a), odd_a, even_a), r[2] = fma(of(-a), odd_a, even_a);
    r[3] = fma(of(b), odd_b, even_b), r[4] = fma(of(-b), odd_b, even_b);
    r[5] = fma(of(a2 * b2), d[1], fma(of(-a2 - b2), d[3], d[5]));
    r[6] = fma(of(a2 * b2), s[1], fma(of(-a2 - b2), s[3], s[5]));
  }
};

template <int m, int r> struct WinogradTransform : WinogradPoints<m + r - 1> {
  static constexpr int n = m + r - 1, taps = r;
  using Points = WinogradPoints<n>;

  // The last row of G is infinity's.
  struct Weights {
    float at[n][r];
    constexpr Weights() : at{} {
      for (int i = 0; i < n - 1; ++i)
        for (int k = 0; k < r; ++k) at[i][k] = Powers<r>(Points::point[i], Points::scale[i]).of[k];
      at[n - 1][r - 1] = 1;
    }
  };
  static constexpr Weights G{};

  // A' q: y[k] is the sum of q times the k-th powers of the points, and of infinity's for the last. Powers of a point and of its
  // negative differ in the sign of the odd ones.
  TG_INLINE static void output(const Vec<float> (&q)[n], Vec<float> (&y)[m]) {
    if constexpr (n == 4) {
      y[0] = q[0] + (q[1] + q[2]), y[1] = (q[1] - q[2]) + q[3];
    } else if constexpr (n == 5) {
      const Vec<float> a[2] = {q[1] + q[2], q[1] - q[2]};
      constexpr Powers<m> powers_a(Points::point[1], 1), powers_b(Points::point[3], 1);
      y[0] = q[0] + (a[0] + q[3]);
#pragma GCC unroll 4
      for (int k = 1; k < m; ++k) {
        const Vec<float> times_a(powers_a.of[k]), times_b(powers_b.of[k]);
        y[k] = fma(times_a, a[k % 2], k == m - 1 ? fma(times_b, q[3], q[n - 1]) : times_b * q[3]);
      }
    } else if constexpr (n == 7) {
      const Vec<float> a[2] = {q[1] + q[2], q[1] - q[2]}, b[2] = {q[3] + q[4], q[3] - q[4]};
      constexpr Powers<m> powers_a(Points::point[1], 1), powers_b(Points::point[3], 1), powers_c(Points::point[5], 1);
      y[0] = (q[0] + q[5]) + (a[0] + b[0]);
#pragma GCC unroll 4
      for (int k = 1; k < m; ++k) {
        const Vec<float> times_a(powers_a.of[k]), times_b(powers_b.of[k]), times_c(powers_c.of[k]);
        const Vec<float> rest = k == m - 1 ? fma(times_c, q[5], q[n - 1]) : times_c * q[5];
        y[k] = fma(times_a, a[k % 2], fma(times_b, b[k % 2], rest));
      }
    } else {
      const Vec<float> a[2] = {q[1] + q[2], q[1] - q[2]}, b[2] = {q[3] + q[4], q[3] - q[4]};
      constexpr Powers<m> powers_a(Points::point[1], 1), powers_b(Points::point[3], 1);
      y[0] = q[0] + (a[0] + b[0]);
#pragma GCC unroll 4
      for (int k = 1; k < m; ++k) {
        const Vec<float> times_a(powers_a.of[k]), times_b(powers_b.of[k]);
        y[k] = fma(times_a, a[k % 2], k == m - 1 ? fma(times_b, b[k % 2], q[n - 1]) : times_b * b[k % 2]);
      }
    }
  }
  // A y
  TG_INLINE static void output_transposed(const Vec<float> (&y)[m], Vec<float> (&q)[n]) {
    static_assert(n == 4 || n == 6);  // strided convolutions have their weight's gradient summed
    q[0] = y[0], q[n - 1] = y[m - 1];
    if constexpr (n == 4) {
      q[1] = y[0] + y[1], q[2] = y[0] - y[1];
    } else {
      constexpr Powers<4> of[2] = {{Points::point[1], 1}, {Points::point[3], 1}};
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        Vec<float> even = y[0], odd = Vec<float>(of[i].of[1]) * y[1];
        if constexpr (m == 4) even = fma(Vec<float>(of[i].of[2]), y[2], even), odd = fma(Vec<float>(of[i].of[3]), y[3], odd);
        q[1 + 2 * i] = even + odd, q[2 + 2 * i] = even - odd;
      }
    }
  }
};

// A transform of both dimensions: `map` takes `from` registers to `to`. load(i, j) gives the block, store(i, j, x) takes it.
template <int from, int to, class Map, class Load, class Store>
TG_INLINE void both_dimensions(const Map& map, const Load& load, const Store& store) {
  Vec<float> half[to][from];
#pragma GCC unroll 8
  for (int j = 0; j < from; ++j) {
    Vec<float> column[from], mapped[to];
#pragma GCC unroll 8
    for (int i = 0; i < from; ++i) column[i] = load(i, j);
    map(column, mapped);
#pragma GCC unroll 8
    for (int i = 0; i < to; ++i) half[i][j] = mapped[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < to; ++i) {
    Vec<float> mapped[to];
    map(half[i], mapped);
#pragma GCC unroll 8
    for (int j = 0; j < to; ++j) store(i, j, mapped[j]);
  }
}

// 16 (8, 4) tiles at once, a register per element. Element (i, j) of the blocks lies `step` floats behind its neighbour.
template <class F> [[gnu::noinline]] static void transform_input(const float* d, int64_t d_step, float* v, int64_t v_step) {
  both_dimensions<F::n, F::n>([](const auto& x, auto& y) TG_INLINE_LAMBDA { F::input(x, y); },
                              [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(d + (i * F::n + j) * d_step); },
                              [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(v + (i * F::n + j) * v_step); });
}

// ... and bias, and the larger of the result and `least`.
struct OutputTransform {
  const float* q;
  int64_t q_step;
  float* y;
  int64_t y_step;
  float bias, least;
};
template <class F, int m> [[gnu::noinline]] static void transform_output(const OutputTransform& t) {
  const Vec<float> bias(t.bias), least(t.least);
  both_dimensions<F::n, m>([](const auto& x, auto& y) TG_INLINE_LAMBDA { F::output(x, y); },
                           [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(t.q + (i * F::n + j) * t.q_step); },
                           [&](int i, int j, Vec<float> x)
                               TG_INLINE_LAMBDA { max_or_second(least, x + bias).store(t.y + (i * m + j) * t.y_step); });
}

template <class F, int m>
[[gnu::noinline]] static void transform_output_gradient(const float* y, int64_t y_step, float* q, int64_t q_step) {
  both_dimensions<m, F::n>([](const auto& x, auto& z) TG_INLINE_LAMBDA { F::output_transposed(x, z); },
                           [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(y + (i * m + j) * y_step); },
                           [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(q + (i * F::n + j) * q_step); });
}

// Which lines (or columns) of a weight are the taps 0, 1, ... of a transform; taps beyond `count` are zero.
struct TapChoice { int64_t first = 0, spacing = 1, count = 0; };

struct WeightTaps {
  int64_t kernel[2];
  TapChoice rows, cols;
};

// The weights of one output channel and a register full of input channels, whose kernels lie `apart`, tap by tap; `channels` of
// them are there, the others count as zero.
inline constexpr int most_taps = 64;
struct TapBlock {
  static constexpr int width = Vec<float>::width;
  alignas(64) float taps[(most_taps + width - 1) / width * width][width];
  alignas(64) float none[width];
};
// Of `next`, which will be asked for soon, as much is fetched.
[[gnu::noinline]] static void gather_taps(const float* w, int64_t taps, int64_t apart, int64_t channels, const float* next,
                                          TapBlock& to) {
  constexpr int width = TapBlock::width;
  for (int64_t i = 0; i < taps * width; i += 16) __builtin_prefetch(address(next, i), 0, 3);
  for (int64_t k = 0; k < taps; k += width) {
    Vec<float> block[width];
#pragma GCC unroll 16
    for (int c = 0; c < width; ++c)
      block[c] = c < channels ? Vec<float>::load(w + c * apart + k, smaller(width, taps - k)) : Vec<float>(0);
    transpose(block);
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i)
      if (k + i < taps) block[i].store(to.taps[k + i]);
  }
  Vec<float>(0).store(to.none);
}

// G g G' for the chosen taps.
template <class F>
[[gnu::noinline]] static void transform_weight(const WeightTaps& t, const TapBlock& from, float* u, int64_t u_step) {
  constexpr int r = F::taps;
  both_dimensions<r, F::n>(
      [](const auto& g, auto& x) TG_INLINE_LAMBDA {
#pragma GCC unroll 8
        for (int i = 0; i < F::n; ++i) {
          x[i] = Vec<float>(F::G.at[i][0]) * g[0];
#pragma GCC unroll 5
          for (int k = 1; k < r; ++k) x[i] = fma(Vec<float>(F::G.at[i][k]), g[k], x[i]);
        }
      },
      [&](int i, int j) TG_INLINE_LAMBDA {
        const int64_t line = t.rows.first + i * t.rows.spacing, column = t.cols.first + j * t.cols.spacing;
        return Vec<float>::load(i < t.rows.count && j < t.cols.count ? from.taps[line * t.kernel[1] + column] : from.none);
      },
      [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(u + (i * F::n + j) * u_step); });
}

// G' u G: the way back, for the gradient of the weights.
template <class F>
[[gnu::noinline]] static void transform_weight_gradient(const float* u, int64_t u_step, float* w, int64_t channels) {
  constexpr int width = Vec<float>::width, r = F::taps, all = r * r;
  alignas(64) float taps[(all + width - 1) / width * width][width] = {};
  both_dimensions<F::n, r>(
      [](const auto& x, auto& g) TG_INLINE_LAMBDA {
#pragma GCC unroll 5
        for (int k = 0; k < r; ++k) {
          g[k] = Vec<float>(F::G.at[0][k]) * x[0];
#pragma GCC unroll 8
          for (int i = 1; i < F::n; ++i) g[k] = fma(Vec<float>(F::G.at[i][k]), x[i], g[k]);
        }
      },
      [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(u + (i * F::n + j) * u_step); },
      [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(taps[i * r + j]); });
  for (int k = 0; k < all; k += width) {
    Vec<float> block[width];
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) block[i] = Vec<float>::load(taps[k + i]);
    transpose(block);
#pragma GCC unroll 16
    for (int c = 0; c < width; ++c)
      if (c < channels) block[c].store(w + c * all + k, smaller(width, all - k));
  }
}

}  // namespace tg::TG_ISA
