// From the definition to the shipped attention: o = softmax(q k^T / sqrt(D)) v for every head; all (heads, S, D).
#include "gemm.h"
#include "scalar.h"

namespace {

// A row of scores becomes weights that add up to one.
void softmax_row(float* p, long n) {
  float most = p[0], sum = 0;
  for (long j = 1; j < n; ++j) most = std::max(most, p[j]);
  for (long j = 0; j < n; ++j) sum += p[j] = std::exp(p[j] - most);
  for (long j = 0; j < n; ++j) p[j] /= sum;
}

float sum_of(Vec v) {
  float sum = 0;
  for (long lane = 0; lane < W; ++lane) sum += v[lane];
  return sum;
}

// p[j] = e^(p[j] - most) for the row, which has room for whole registers; gives the sum of the first n.
float exp_row(float* p, long n, float most) {
  Vec sum = {};
  long j = 0;
  for (; j + W <= n; j += W) {
    const Vec e = exp(load(p + j) - most);
    store(p + j, e);
    sum += e;
  }
  float rest = 0;
  for (; j < n; ++j) rest += p[j] = exp(all(p[j] - most))[0];
  return sum_of(sum) + rest;
}

float largest(const float* p, long n) {
  Vec most = all(p[0]);
  long j = 0;
  for (; j + W <= n; j += W) most = load(p + j) > most ? load(p + j) : most;
  float result = p[0];
  for (long lane = 0; lane < W; ++lane) result = std::max(result, most[lane]);
  for (; j < n; ++j) result = std::max(result, p[j]);
  return result;
}

// A block of queries of a head against its keys, block by block. A row carries its maximum and its sum along; when a block brings a
// larger maximum, what the row has so far is scaled down.
constexpr long QUERIES = 16 * MR, KEYS = 192;
void block_of_queries(const float* q, const float* k, const float* v, float* o, long rows, long S, long D) {
  float scores[QUERIES * KEYS], most[QUERIES], sum[QUERIES] = {};
  std::fill(most, most + rows, -INFINITY);
  std::fill(o, o + rows * D, 0.0f);
  const float scale = 1 / std::sqrt(float(D));
  for (long first = 0; first < S; first += KEYS) {
    const long keys = std::min(KEYS, S - first);
    std::fill(scores, scores + rows * KEYS, 0.0f);
    gemm({q, D, 1}, {k + first * D, 1, D}, scores, KEYS, rows, keys, D);
    for (long i = 0; i < rows; ++i) {
      float* const p = scores + i * KEYS;
      for (long j = 0; j < keys; ++j) p[j] *= scale;
      const float now = std::max(most[i], largest(p, keys)), shrink = std::exp(most[i] - now);
      sum[i] = sum[i] * shrink + exp_row(p, keys, now);
      most[i] = now;
      for (long d = 0; d < D; ++d) o[i * D + d] *= shrink;
    }
    gemm({scores, KEYS, 1}, {v + first * D, D, 1}, o, D, rows, D, keys);
  }
  for (long i = 0; i < rows; ++i)
    for (long d = 0; d < D; ++d) o[i * D + d] /= sum[i];
}

}  // namespace

extern "C" {

// 1. The definition, a query at a time. Additions wait for each other, and C's expf takes tens of cycles a number.
ONE_AT_A_TIME void definition(const float* q, const float* k, const float* v, float* o, long heads, long S, long D) {
  std::vector<float> p(S);
  for (long row = 0; row < heads * S; ++row) {
    const float *keys = k + row / S * S * D, *values = v + row / S * S * D;
    for (long j = 0; j < S; ++j) {
      float dot = 0;
      SCALAR_LOOP
      for (long d = 0; d < D; ++d) dot += q[row * D + d] * keys[j * D + d];
      p[j] = dot / std::sqrt(float(D));
    }
    softmax_row(p.data(), S);
    for (long d = 0; d < D; ++d) {
      float sum = 0;
      SCALAR_LOOP
      for (long j = 0; j < S; ++j) sum += p[j] * values[j * D + d];
      o[row * D + d] = sum;
    }
  }
}

// 2. Two matrix products with a matrix of scores, S x S, between them. Now the exponentials take most of the time.
void products(const float* q, const float* k, const float* v, float* o, long heads, long S, long D) {
  std::vector<float> scores(S * S);
  std::fill(o, o + heads * S * D, 0.0f);
  for (long h = 0; h < heads; ++h, q += S * D, k += S * D, v += S * D, o += S * D) {
    std::fill(scores.begin(), scores.end(), 0.0f);
    gemm({q, D, 1}, {k, 1, D}, scores.data(), S, S, S, D);
    for (float& s : scores) s /= std::sqrt(float(D));
    for (long i = 0; i < S; ++i) softmax_row(scores.data() + i * S, S);
    gemm({scores.data(), S, 1}, {v, D, 1}, o, D, S, D, S);
  }
}

// 3. The exponential as a polynomial, W numbers at a time. The scores of a head are written and read four times, and they
// grow with the square of the length: soon no cache holds them.
void vector_exp(const float* q, const float* k, const float* v, float* o, long heads, long S, long D) {
  std::vector<float> scores(S * S);
  std::fill(o, o + heads * S * D, 0.0f);
  const float scale = 1 / std::sqrt(float(D));
  for (long h = 0; h < heads; ++h, q += S * D, k += S * D, v += S * D, o += S * D) {
    std::fill(scores.begin(), scores.end(), 0.0f);
    gemm({q, D, 1}, {k, 1, D}, scores.data(), S, S, S, D);
    for (long i = 0; i < S; ++i) {
      float* const p = scores.data() + i * S;
      for (long j = 0; j < S; ++j) p[j] *= scale;
      const float factor = 1 / exp_row(p, S, largest(p, S));
      for (long j = 0; j < S; ++j) p[j] *= factor;
    }
    gemm({scores.data(), S, 1}, {v, D, 1}, o, D, S, D, S);
  }
}

// 4. Blocks of queries against blocks of keys with an online softmax: scores never leave the first two caches and memory
// grows with S, not S squared. What is left: keys and values are packed anew for every block of queries.
void online(const float* q, const float* k, const float* v, float* o, long heads, long S, long D) {
  for (long h = 0; h < heads; ++h)
    for (long i = 0; i < S; i += QUERIES) {
      const long at = (h * S + i) * D;
      block_of_queries(q + at, k + h * S * D, v + h * S * D, o + at, std::min(QUERIES, S - i), S, D);
    }
}

// 5. Blocks of queries on all cores: they do not depend on each other.
void threads(const float* q, const float* k, const float* v, float* o, long heads, long S, long D) {
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (long h = 0; h < heads; ++h)
    for (long i = 0; i < S; i += QUERIES) {
      const long at = (h * S + i) * D;
      block_of_queries(q + at, k + h * S * D, v + h * S * D, o + at, std::min(QUERIES, S - i), S, D);
    }
}

}  // extern "C"
