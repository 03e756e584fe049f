// From seven loops to the shipped convolution: 3x3 weights, stride 1, one line of zeros around the image.
//
//   y (N, O, H, W) = sum over c, r, s of w (O, C, 3, 3)[o, c, r, s] * x (N, C, H, W)[n, c, p + r - 1, q + s - 1]
//
// Up to rung 4 all do the same multiplications; rung 5 needs fewer. GFLOP/s always counts those of the definition.
#include "gemm.h"
#include "scalar.h"

namespace {

// 4x4 outputs from 6x6 inputs: F(4x4, 3x3) of Winograd and Lavin. Points 0, 1, -1, 2, -2 and infinity.
constexpr float inputs_6x6[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                    {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr float weights_6x3[6][3] = {{1 / 4.f, 0, 0},
                                     {-1 / 6.f, -1 / 6.f, -1 / 6.f},
                                     {-1 / 6.f, 1 / 6.f, -1 / 6.f},
                                     {1 / 24.f, 1 / 12.f, 1 / 6.f},
                                     {1 / 24.f, -1 / 12.f, 1 / 6.f},
                                     {0, 0, 1}};
constexpr float outputs_4x6[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

// out (R, R) = m d m^T for m (R, C), d (C, C): the change of basis of a tile along both of its sides.
template <int R, int C, class T> void both_sides(const float (&m)[R][C], const T (&d)[C][C], T (&out)[R][R]) {
  T half[R][C];
  for (int i = 0; i < R; ++i)
    for (int j = 0; j < C; ++j) {
      half[i][j] = m[i][0] * d[0][j];
      for (int l = 1; l < C; ++l) half[i][j] += m[i][l] * d[l][j];
    }
  for (int i = 0; i < R; ++i)
    for (int j = 0; j < R; ++j) {
      out[i][j] = half[i][0] * m[j][0];
      for (int l = 1; l < C; ++l) out[i][j] += half[i][l] * m[j][l];
    }
}

// The images with their zeros around them: (C, H + 2 + below, W + 2 + right).
std::vector<float> padded(const float* x, long C, long H, long width, long below, long right) {
  const long line = width + 2 + right, lines = H + 2 + below;
  std::vector<float> out(C * lines * line + NR);
  for (long c = 0; c < C; ++c)
    for (long p = 0; p < H; ++p) std::copy_n(x + (c * H + p) * width, width, out.data() + (c * lines + p + 1) * line + 1);
  return out;
}

// The weights of every tile position: U (36, O, C).
std::vector<float> winograd_weights(const float* w, long O, long C) {
  std::vector<float> u(36 * O * C);
  for (long oc = 0; oc < O * C; ++oc) {
    float g[3][3], t[6][6];
    std::copy_n(w + oc * 9, 9, &g[0][0]);
    both_sides(weights_6x3, g, t);
    for (long i = 0; i < 36; ++i) u[i * O * C + oc] = t[i / 6][i % 6];
  }
  return u;
}

// One image: V (36, C, tiles) = inputs in the new basis, 36 matrix products M = U V, y = M in the old basis.
void winograd_image(const float* x, const float* u, float* y, long C, long O, long H, long width) {
  const long across = (width + 3) / 4, tiles = (H + 3) / 4 * across, room = (tiles + W - 1) / W * W;
  const long line = 4 * across + 2, lines = (H + 3) / 4 * 4 + 2;
  const std::vector<float> image = padded(x, C, H, width, lines - H - 2, line - width - 2);
  std::vector<float> v(36 * C * room), m(36 * O * room);
  for (long c = 0; c < C; ++c)
    for (long t = 0; t < room; t += W) {  // W tiles at a time, one in each lane
      Vec d[6][6] = {}, out[6][6];
      for (long lane = 0; lane < W && t + lane < tiles; ++lane) {
        const float* from = image.data() + (c * lines + (t + lane) / across * 4) * line + (t + lane) % across * 4;
        for (int i = 0; i < 36; ++i) d[i / 6][i % 6][lane] = from[i / 6 * line + i % 6];
      }
      both_sides(inputs_6x6, d, out);
      for (int i = 0; i < 36; ++i) store(v.data() + (i * C + c) * room + t, out[i / 6][i % 6]);
    }
  for (long i = 0; i < 36; ++i)
    gemm({u + i * O * C, C, 1}, {v.data() + i * C * room, room, 1}, m.data() + i * O * room, room, O, room, C);
  for (long o = 0; o < O; ++o)
    for (long t = 0; t < room; t += W) {
      Vec d[6][6], out[4][4];
      for (int i = 0; i < 36; ++i) d[i / 6][i % 6] = load(m.data() + (i * O + o) * room + t);
      both_sides(outputs_4x6, d, out);
      for (long lane = 0; lane < W && t + lane < tiles; ++lane) {
        const long p = (t + lane) / across * 4, q = (t + lane) % across * 4;
        for (long i = 0; i < std::min(4L, H - p); ++i)
          for (long j = 0; j < std::min(4L, width - q); ++j) y[(o * H + p + i) * width + q + j] = out[i][j][lane];
      }
    }
}

}  // namespace

extern "C" {

// 1. The definition. The sums of an output wait for each other, and every product asks whether it lies inside the image.
ONE_AT_A_TIME void seven_loops(const float* x, const float* w, float* y, long N, long C, long O, long H, long width) {
  for (long n = 0; n < N; ++n)
    for (long o = 0; o < O; ++o)
      for (long p = 0; p < H; ++p)
        for (long q = 0; q < width; ++q) {
          float sum = 0;
          for (long c = 0; c < C; ++c)
            for (long r = 0; r < 3; ++r)
              for (long s = 0; s < 3; ++s) {
                const long i = p + r - 1, j = q + s - 1;
                if (i < 0 || i >= H || j < 0 || j >= width) continue;
                sum += w[((o * C + c) * 3 + r) * 3 + s] * x[((n * C + c) * H + i) * width + j];
              }
          y[((n * O + o) * H + p) * width + q] = sum;
        }
}

// 2. One weight times a whole line of the image, added to a line of the output: vectors, and the border is a shorter line. A
// line of the output passes through the first-level cache 9 C times: two loads and a store a multiply-add.
void lines(const float* x, const float* w, float* y, long N, long C, long O, long H, long width) {
  std::fill(y, y + N * O * H * width, 0.0f);
  for (long n = 0; n < N; ++n)
    for (long o = 0; o < O; ++o)
      for (long c = 0; c < C; ++c)
        for (long r = 0; r < 3; ++r)
          for (long s = 0; s < 3; ++s) {
            const float weight = w[((o * C + c) * 3 + r) * 3 + s];
            for (long p = std::max(0L, 1 - r); p < std::min(H, H + 1 - r); ++p) {
              const float* from = x + ((n * C + c) * H + p + r - 1) * width + s - 1;
              float* to = y + ((n * O + o) * H + p) * width;
              for (long q = std::max(0L, 1 - s); q < std::min(width, width + 1 - s); ++q) to[q] += weight * from[q];
            }
          }
}

// 3. A matrix product: row (c, r, s) of the matrix of windows is the image moved by (r, s). The sums stay in registers. But
// the matrix is nine images: it is written, read, and copied once more by the product's packing.
void windows(const float* x, const float* w, float* y, long N, long C, long O, long H, long width) {
  const long pixels = H * width;
  std::vector<float> matrix(9 * C * pixels);
  std::fill(y, y + N * O * pixels, 0.0f);
  for (long n = 0; n < N; ++n) {
    float* to = matrix.data();
    for (long c = 0; c < C; ++c)
      for (long r = 0; r < 3; ++r)
        for (long s = 0; s < 3; ++s)
          for (long p = 0; p < H; ++p)
            for (long q = 0; q < width; ++q) {
              const long i = p + r - 1, j = q + s - 1;
              *to++ = i < 0 || i >= H || j < 0 || j >= width ? 0 : x[((n * C + c) * H + i) * width + j];
            }
    gemm({w, 9 * C, 1}, {matrix.data(), pixels, 1}, y + n * O * pixels, pixels, O, pixels, 9 * C);
  }
}

// 4. No matrix: NR pixels at a time, their windows are collected from the image into a panel that stays in the second-level
// cache, where all tiles of output channels use it. Pixels of a line are neighbours: a panel is copied with whole loads.
void panels(const float* x, const float* w, float* y, long N, long C, long O, long H, long width) {
  const long line = width + 2 + NR, depth = 9 * C;
  std::vector<float> weights((O + MR) * depth), panel(depth * NR);
  pack({w, 1, depth}, depth, O, MR, weights.data());
  std::fill(y, y + N * O * H * width, 0.0f);
  for (long n = 0; n < N; ++n) {
    const std::vector<float> image = padded(x + n * C * H * width, C, H, width, 0, NR);
    for (long p = 0; p < H; ++p)
      for (long q = 0; q < width; q += NR) {
        for (long l = 0; l < depth; ++l) {  // l counts channels and taps
          const float* from = image.data() + (l / 9 * (H + 2) + p + l % 9 / 3) * line + q + l % 3;
          for (long j = 0; j < NR; j += W) store(panel.data() + l * NR + j, load(from + j));
        }
        for (long o = 0; o < O; o += MR)
          tile(depth, weights.data() + o * depth, panel.data(), y + ((n * O + o) * H + p) * width + q, H * width, O - o,
               width - q);
      }
  }
}

// 5. Fewer multiplications: a tile of 4x4 outputs takes 36 products of transformed numbers instead of 144. What is left: 36
// matrix products with a short inner dimension, and tiles carried to and from memory between the three steps.
void winograd(const float* x, const float* w, float* y, long N, long C, long O, long H, long width) {
  const std::vector<float> u = winograd_weights(w, O, C);
  for (long n = 0; n < N; ++n) winograd_image(x + n * C * H * width, u.data(), y + n * O * H * width, C, O, H, width);
}

// 6. The images of a batch side by side.
void threads(const float* x, const float* w, float* y, long N, long C, long O, long H, long width) {
  const std::vector<float> u = winograd_weights(w, O, C);
#pragma omp parallel for schedule(dynamic)
  for (long n = 0; n < N; ++n) winograd_image(x + n * C * H * width, u.data(), y + n * O * H * width, C, O, H, width);
}

}  // extern "C"
