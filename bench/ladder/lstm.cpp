// From the definition to the shipped LSTM: all T steps of a layer, B sequences, from zero states.
//
//   z (B, 4H) = x_t (B, I) w_i^T + h (B, H) w_h^T + bias;   i, f, o = sigmoid, g = tanh of its quarters (order i f g o)
//   c = f c + i g;   h = o tanh(c) = y_t
#include "gemm.h"
#include "scalar.h"

namespace {

// The gates' functions for one sequence: z (4H) -> c and h.
void gates_one_by_one(const float* z, float* c, float* h, long H) {
  const auto sigmoid = [](float v) { return 1 / (1 + std::exp(-v)); };
  for (long u = 0; u < H; ++u) {
    c[u] = sigmoid(z[H + u]) * c[u] + sigmoid(z[u]) * std::tanh(z[2 * H + u]);
    h[u] = sigmoid(z[3 * H + u]) * std::tanh(c[u]);
  }
}
void gates(const float* z, float* c, float* h, long H) {
  long u = 0;
  for (; u + W <= H; u += W) {
    const Vec state = sigmoid(load(z + H + u)) * load(c + u) + sigmoid(load(z + u)) * tanh(load(z + 2 * H + u));
    store(c + u, state);
    store(h + u, sigmoid(load(z + 3 * H + u)) * tanh(state));
  }
  for (; u < H; ++u) {
    c[u] = sigmoid(all(z[H + u]))[0] * c[u] + sigmoid(all(z[u]))[0] * tanh(all(z[2 * H + u]))[0];
    h[u] = sigmoid(all(z[3 * H + u]))[0] * tanh(all(c[u]))[0];
  }
}

void fill_bias(const float* bias, float* z, long rows, long H) {
  for (long r = 0; r < rows; ++r) std::copy_n(bias, 4 * H, z + r * 4 * H);
}

// z (rows, 4H) += h (rows, H) w_h^T with the weight's panels packed before; rows <= MR.
void add_packed(const float* h, const float* panels, float* z, long rows, long H) {
  static thread_local std::vector<float> room;
  room.resize(MR * H);
  float* const a = room.data();
  pack({h, 1, H}, H, rows, MR, a);
  for (long j = 0; j < 4 * H; j += NR) tile(H, a, panels + j * H, z + j, 4 * H, rows, 4 * H - j);
}

// MR sequences from the first step to the last.
template <class Gates>
void sequences(float* z, const float* panels, float* y, long T, long B, long H, long first, const Gates& gates) {
  const long rows = std::min(MR, B - first);
  std::vector<float> c(MR * H), h(MR * H);
  for (long t = 0; t < T; ++t) {
    float* const now = z + (t * B + first) * 4 * H;
    add_packed(h.data(), panels, now, rows, H);
    for (long r = 0; r < rows; ++r) gates(now + r * 4 * H, c.data() + r * H, h.data() + r * H, H);
    std::copy_n(h.data(), rows * H, y + (t * B + first) * H);
  }
}

// z (T B, 4H) = bias + x w_i^T: the part of all steps that waits for nothing.
std::vector<float> inputs_of_all_steps(const float* x, const float* w_i, const float* bias, long T, long B, long I, long H,
                                       bool threads) {
  std::vector<float> z(T * B * 4 * H);
  fill_bias(bias, z.data(), T * B, H);
  gemm({x, I, 1}, {w_i, 1, I}, z.data(), 4 * H, T * B, 4 * H, I, threads);
  return z;
}

}  // namespace

extern "C" {

#define ARGUMENTS                                                                                                       \
  const float *x, const float *w_i, const float *w_h, const float *bias, float *y, long T, long B, long I, long H

// 1. The definition: a unit of a sequence at a time, its additions wait for each other.
ONE_AT_A_TIME void definition(ARGUMENTS) {
  std::vector<float> c(B * H), h(B * H), z(4 * H);
  for (long t = 0; t < T; ++t)
    for (long b = 0; b < B; ++b) {
      for (long u = 0; u < 4 * H; ++u) {
        float sum = bias[u];
        SCALAR_LOOP
        for (long l = 0; l < I; ++l) sum += x[(t * B + b) * I + l] * w_i[u * I + l];
        SCALAR_LOOP
        for (long l = 0; l < H; ++l) sum += h[b * H + l] * w_h[u * H + l];
        z[u] = sum;
      }
      gates_one_by_one(z.data(), c.data() + b * H, h.data() + b * H, H);
      std::copy_n(h.data() + b * H, H, y + (t * B + b) * H);
    }
}

// 2. Two matrix products a step. Each packs its weights again: as many numbers moved as multiplied by B.
void products(ARGUMENTS) {
  std::vector<float> c(B * H), h(B * H), z(B * 4 * H);
  for (long t = 0; t < T; ++t) {
    fill_bias(bias, z.data(), B, H);
    gemm({x + t * B * I, I, 1}, {w_i, 1, I}, z.data(), 4 * H, B, 4 * H, I);
    gemm({h.data(), H, 1}, {w_h, 1, H}, z.data(), 4 * H, B, 4 * H, H);
    for (long b = 0; b < B; ++b) gates_one_by_one(z.data() + b * 4 * H, c.data() + b * H, h.data() + b * H, H);
    std::copy_n(h.data(), B * H, y + t * B * H);
  }
}

// 3. The inputs' part of all steps is one large product: only the states' part has to wait for the step before.
void inputs_first(ARGUMENTS) {
  std::vector<float> z = inputs_of_all_steps(x, w_i, bias, T, B, I, H, false), c(B * H), h(B * H);
  for (long t = 0; t < T; ++t) {
    float* const now = z.data() + t * B * 4 * H;
    gemm({h.data(), H, 1}, {w_h, 1, H}, now, 4 * H, B, 4 * H, H);
    for (long b = 0; b < B; ++b) gates_one_by_one(now + b * 4 * H, c.data() + b * H, h.data() + b * H, H);
    std::copy_n(h.data(), B * H, y + t * B * H);
  }
}

// 4. The states' weight is packed once for all steps; MR sequences at a time go through the tile. Now the gates' functions,
// five exponentials a unit, take as long as the product.
void packed_once(ARGUMENTS) {
  std::vector<float> z = inputs_of_all_steps(x, w_i, bias, T, B, I, H, false), panels((4 * H + NR) * H);
  pack({w_h, 1, H}, H, 4 * H, NR, panels.data());
  for (long b = 0; b < B; b += MR) sequences(z.data(), panels.data(), y, T, B, H, b, gates_one_by_one);
}

// 5. Exponentials as polynomials, W units at a time. What is left is the weight, read from the second-level cache a step.
void vector_gates(ARGUMENTS) {
  std::vector<float> z = inputs_of_all_steps(x, w_i, bias, T, B, I, H, false), panels((4 * H + NR) * H);
  pack({w_h, 1, H}, H, 4 * H, NR, panels.data());
  for (long b = 0; b < B; b += MR) sequences(z.data(), panels.data(), y, T, B, H, b, gates);
}

// 6. Threads take sequences from the first step to the last, so nobody waits for anybody.
void threads(ARGUMENTS) {
  std::vector<float> z = inputs_of_all_steps(x, w_i, bias, T, B, I, H, true), panels((4 * H + NR) * H);
  pack({w_h, 1, H}, H, 4 * H, NR, panels.data());
#pragma omp parallel for schedule(static)
  for (long b = 0; b < B; b += MR) sequences(z.data(), panels.data(), y, T, B, H, b, gates);
}

}  // extern "C"
