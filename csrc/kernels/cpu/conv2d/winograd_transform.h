// The three linear maps of Winograd's convolution F(m x m, 3 x 3), of one dimension. With n = m + 2:
//
//   y = A' [ (G g) * (B' d) ]       d: n inputs    g: 3 weights    y: m outputs    *: n products
//
// is polynomial multiplication by values: B' and G evaluate, A' interpolates, at n - 1 points and infinity. Applied along lines
// and then along columns they give the map of two dimensions, with n * n products instead of the 9 m * m of the definition.
//
//   m = 2: points 0, 1, -1, inf: 2.25 times fewer products, rounding like the definition's
//   m = 4: points 0, 5/8, -5/8, 3/2, -3/2, inf: 4 times fewer; these points round three times better than 0, 1, -1, 2, -2, inf
//
// Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308. With the points 0, a, -a, b, -b
// the polynomials through the other points are x^4 - (a^2 + b^2) x^2 + a^2 b^2, and x (x +- a) (x^2 - b^2), and so on: their
// coefficients are the rows of B', their values at their own point divide the rows of G.
#pragma once
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

template <int m> struct WinogradTransform;

template <> struct WinogradTransform<2> {
  static constexpr int n = 4;
  static constexpr float G[n][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};

  // B' d
  TG_INLINE static void input(const Vec<float> (&d)[n], Vec<float> (&r)[n]) {
    r[0] = d[0] - d[2], r[1] = d[1] + d[2], r[2] = d[2] - d[1], r[3] = d[3] - d[1];
  }
  // A' q
  TG_INLINE static void output(const Vec<float> (&q)[n], Vec<float> (&y)[2]) {
    y[0] = q[0] + (q[1] + q[2]), y[1] = (q[1] - q[2]) + q[3];
  }
  // A y
  TG_INLINE static void output_transposed(const Vec<float> (&y)[2], Vec<float> (&q)[n]) {
    q[0] = y[0], q[1] = y[0] + y[1], q[2] = y[0] - y[1], q[3] = y[1];
  }
};

template <> struct WinogradTransform<4> {
  static constexpr int n = 6;
  static constexpr double a = 0.625, b = 1.5, a2 = a * a, b2 = b * b;
  static constexpr double of_a = 1 / (2 * a2 * (a2 - b2)), of_b = 1 / (2 * b2 * (b2 - a2));
  static constexpr float G[n][3] = {{float(1 / (a2 * b2)), 0, 0},
                                    {float(of_a), float(of_a * a), float(of_a * a2)},
                                    {float(of_a), float(-of_a * a), float(of_a * a2)},
                                    {float(of_b), float(of_b * b), float(of_b * b2)},
                                    {float(of_b), float(-of_b * b), float(of_b * b2)},
                                    {0, 0, 1}};
  TG_INLINE static Vec<float> of(double x) { return Vec<float>(float(x)); }

  TG_INLINE static void input(const Vec<float> (&d)[n], Vec<float> (&r)[n]) {
    const Vec<float> even_a = fma(of(-b2), d[2], d[4]), odd_a = fma(of(-b2), d[1], d[3]);
    const Vec<float> even_b = fma(of(-a2), d[2], d[4]), odd_b = fma(of(-a2), d[1], d[3]);
    r[0] = fma(of(a2 * b2), d[0], fma(of(-a2 - b2), d[2], d[4]));
    r[1] = fma(of(a), odd_a, even_a), r[2] = fma(of(-a), odd_a, even_a);
    r[3] = fma(of(b), odd_b, even_b), r[4] = fma(of(-b), odd_b, even_b);
    r[5] = fma(of(a2 * b2), d[1], fma(of(-a2 - b2), d[3], d[5]));
  }
  TG_INLINE static void output(const Vec<float> (&q)[n], Vec<float> (&y)[4]) {
    const Vec<float> sum_a = q[1] + q[2], difference_a = q[1] - q[2], sum_b = q[3] + q[4], difference_b = q[3] - q[4];
    y[0] = q[0] + (sum_a + sum_b);
    y[1] = fma(of(a), difference_a, of(b) * difference_b);
    y[2] = fma(of(a2), sum_a, of(b2) * sum_b);
    y[3] = fma(of(a2 * a), difference_a, fma(of(b2 * b), difference_b, q[5]));
  }
  TG_INLINE static void output_transposed(const Vec<float> (&y)[4], Vec<float> (&q)[n]) {
    const Vec<float> even_a = fma(of(a2), y[2], y[0]), odd_a = fma(of(a2 * a), y[3], of(a) * y[1]);
    const Vec<float> even_b = fma(of(b2), y[2], y[0]), odd_b = fma(of(b2 * b), y[3], of(b) * y[1]);
    q[0] = y[0];
    q[1] = even_a + odd_a, q[2] = even_a - odd_a, q[3] = even_b + odd_b, q[4] = even_b - odd_b;
    q[5] = y[3];
  }
};

// A transform of both dimensions: `map` takes `from` registers to `to`. load(i, j) gives the block, store(i, j, x) takes it.
template <int from, int to, class Map, class Load, class Store>
TG_INLINE void both_dimensions(const Map& map, const Load& load, const Store& store) {
  Vec<float> half[to][from];
#pragma GCC unroll 6
  for (int j = 0; j < from; ++j) {
    Vec<float> column[from], mapped[to];
#pragma GCC unroll 6
    for (int i = 0; i < from; ++i) column[i] = load(i, j);
    map(column, mapped);
#pragma GCC unroll 6
    for (int i = 0; i < to; ++i) half[i][j] = mapped[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < to; ++i) {
    Vec<float> mapped[to];
    map(half[i], mapped);
#pragma GCC unroll 6
    for (int j = 0; j < to; ++j) store(i, j, mapped[j]);
  }
}

// 16 (8, 4) tiles at once, a register per element. Element (i, j) of the blocks lies `step` floats behind its neighbour.
template <int m> [[gnu::noinline]] static void transform_input(const float* d, int64_t d_step, float* v, int64_t v_step) {
  using F = WinogradTransform<m>;
  both_dimensions<F::n, F::n>([](const auto& x, auto& y) TG_INLINE_LAMBDA { F::input(x, y); },
                              [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(d + (i * F::n + j) * d_step); },
                              [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(v + (i * F::n + j) * v_step); });
}

// ... and bias, and the larger of the result and `least`.
template <int m> struct OutputTransform {
  const float* q;
  int64_t q_step;
  float* y;
  int64_t y_step;
  float bias, least;
};
template <int m> [[gnu::noinline]] static void transform_output(const OutputTransform<m>& t) {
  using F = WinogradTransform<m>;
  const Vec<float> bias(t.bias), least(t.least);
  both_dimensions<F::n, m>([](const auto& x, auto& y) TG_INLINE_LAMBDA { F::output(x, y); },
                           [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(t.q + (i * F::n + j) * t.q_step); },
                           [&](int i, int j, Vec<float> x)
                               TG_INLINE_LAMBDA { max_or_second(least, x + bias).store(t.y + (i * m + j) * t.y_step); });
}

template <int m> [[gnu::noinline]] static void transform_output_gradient(const float* y, int64_t y_step, float* q,
                                                                         int64_t q_step) {
  using F = WinogradTransform<m>;
  both_dimensions<m, F::n>([](const auto& x, auto& z) TG_INLINE_LAMBDA { F::output_transposed(x, z); },
                           [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(y + (i * m + j) * y_step); },
                           [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(q + (i * F::n + j) * q_step); });
}

// G g G' for the 3 x 3 weights of one output channel and a register full of input channels; `flipped` turns the weights by 180
// degrees. Weights of neighbouring channels are 9 apart; `channels` of them are there, the others count as zero.
template <int m>
[[gnu::noinline]] static void transform_weight(const float* w, int64_t channels, bool flipped, float* u, int64_t u_step) {
  using F = WinogradTransform<m>;
  constexpr int width = Vec<float>::width;
  float taps[9][width] = {};
  for (int c = 0; c < width && c < channels; ++c)
    for (int k = 0; k < 9; ++k) taps[k][c] = w[c * 9 + k];
  both_dimensions<3, F::n>(
      [](const auto& g, auto& x) TG_INLINE_LAMBDA {
#pragma GCC unroll 6
        for (int i = 0; i < F::n; ++i)
          x[i] = fma(Vec<float>(F::G[i][2]), g[2], fma(Vec<float>(F::G[i][1]), g[1], Vec<float>(F::G[i][0]) * g[0]));
      },
      [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(taps[flipped ? 8 - i * 3 - j : i * 3 + j]); },
      [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(u + (i * F::n + j) * u_step); });
}

// G' u G: the way back, for the gradient of the weights.
template <int m>
[[gnu::noinline]] static void transform_weight_gradient(const float* u, int64_t u_step, float* w, int64_t channels) {
  using F = WinogradTransform<m>;
  constexpr int width = Vec<float>::width;
  float taps[9][width];
  both_dimensions<F::n, 3>(
      [](const auto& x, auto& g) TG_INLINE_LAMBDA {
#pragma GCC unroll 3
        for (int k = 0; k < 3; ++k) {
          g[k] = Vec<float>(F::G[0][k]) * x[0];
#pragma GCC unroll 6
          for (int i = 1; i < F::n; ++i) g[k] = fma(Vec<float>(F::G[i][k]), x[i], g[k]);
        }
      },
      [&](int i, int j) TG_INLINE_LAMBDA { return Vec<float>::load(u + (i * F::n + j) * u_step); },
      [&](int i, int j, Vec<float> x) TG_INLINE_LAMBDA { x.store(taps[i * 3 + j]); });
  for (int c = 0; c < width && c < channels; ++c)
    for (int k = 0; k < 9; ++k) w[c * 9 + k] = taps[k][c];
}

}  // namespace tg::TG_ISA
