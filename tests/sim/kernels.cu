// Right kernels, one for each thing the simulator offers: what they compute is compared with NumPy, and the checker must be silent.
#include "kernels/cuda/gpu.cuh"

namespace tg::TG_DEVICE_NAMESPACE {

__device__ __forceinline__ float warp_sum(float v) {
  for (int by = 16; by; by /= 2) v += __shfl_xor_sync(0xffffffffu, v, by);
  return v;
}

// Each thread says who it is: 12 numbers.
__global__ void identities(int* out) {
  const int block = static_cast<int>(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
  const int thread = static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  int* const mine = out + 12 * (block * static_cast<int>(blockDim.x * blockDim.y * blockDim.z) + thread);
  const unsigned all[12] = {threadIdx.x, threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z,
                            blockDim.x,  blockDim.y,  blockDim.z,  gridDim.x,  gridDim.y,  gridDim.z};
  for (int i = 0; i < 12; ++i) mine[i] = static_cast<int>(all[i]);
}

// Sums of squares of rows: shuffles within warps, shared memory between them.
__global__ void row_squares(const float* x, float* y, int cols) {
  __shared__ float of_warp[32];
  float sum = 0;
  for (int c = static_cast<int>(threadIdx.x); c < cols; c += static_cast<int>(blockDim.x)) {
    const float v = x[static_cast<size_t>(blockIdx.x) * cols + c];
    sum += v * v;
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    float total = 0;
    for (unsigned i = 0; i < blockDim.x / 32; ++i) total += of_warp[i];
    y[blockIdx.x] = total;
  }
}

// C = A B in tiles of 16 x 16, one result a thread.
__global__ void matmul_tiles(const float* a, const float* b, float* c, int M, int N, int K) {
  __shared__ float as[16][16], bs[16][16];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * 16 + ty, col = static_cast<int>(blockIdx.x) * 16 + tx;
  float sum = 0;
  for (int k0 = 0; k0 < K; k0 += 16) {
    as[ty][tx] = row < M && k0 + tx < K ? a[row * K + k0 + tx] : 0.0f;
    bs[ty][tx] = k0 + ty < K && col < N ? b[(k0 + ty) * N + col] : 0.0f;
    __syncthreads();
    for (int k = 0; k < 16; ++k) sum += as[ty][k] * bs[k][tx];
    __syncthreads();
  }
  if (row < M && col < N) c[row * N + col] = sum;
}

// d (16, 8) = a (16, 16) b (16, 8) by one warp: asynchronous copies, ldmatrix, mma. `tiles` pairs one after another, the copy of the
// next pair under way while one is multiplied.
template <class T> __global__ void mma_chain(const T* a, const T* b, float* d, int tiles) {
  struct Stage { T a[16][24], b[16][8]; };  // rows of 48 bytes: neighbours fall on other banks
  Stage* const stage = dynamic_shared_memory<Stage>();
  const int lane = static_cast<int>(threadIdx.x);
  const auto fetch = [&](int tile) {
    Stage& s = stage[tile % 2];
    copy_async_16(&s.a[lane / 2][lane % 2 * 8], a + tile * 256 + lane * 8, true);
    if (lane < 16) copy_async_16(&s.b[lane][0], b + tile * 128 + lane * 8, true);
    commit_copies();
  };
  float sum[4] = {};
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) fetch(tile + 1);
    else commit_copies();
    wait_for_copies<1>();
    __syncwarp();
    const Stage& s = stage[tile % 2];
    uint32_t fa[4], fb[4];
    load_matrices(fa, &s.a[lane % 16][lane / 16 * 8]);
    load_matrices_transposed(fb, &s.b[lane % 16][0]);
    if constexpr (sizeof(T) == sizeof(bf16) && dtype_of<T> == DType::bf16) mma_bf16(sum, fa, fb[0], fb[1]);
    else mma_f16(sum, fa, fb[0], fb[1]);
    __syncwarp();
  }
  const int g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

__global__ void mma_tf32_once(const float* a, const float* b, float* d) {  // (16, 8) (8, 8)
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  const uint32_t fa[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]),
                          to_tf32(a[(g + 8) * 8 + t + 4])};
  float sum[4] = {};
  mma_tf32(sum, fa, to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g]));
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

// Atomics on shared and global memory.
__global__ void histogram(const float* x, int* counts, int n) {
  __shared__ int here[32];
  if (threadIdx.x < 32) here[threadIdx.x] = 0;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x))
    atomicAdd(&here[static_cast<int>(x[i]) & 31], 1);
  __syncthreads();
  if (threadIdx.x < 32) atomicAdd(&counts[threadIdx.x], here[threadIdx.x]);
}

// Votes, matches, reductions, and shuffles of every kind over groups of 8: 12 numbers a lane.
__global__ void warp_operations(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int* const mine = out + 12 * lane;
  mine[0] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
  mine[1] = __any_sync(0xffffffffu, lane == 7), mine[2] = __all_sync(0xffffffffu, lane < 32);
  mine[3] = static_cast<int>(__match_any_sync(0xffffffffu, lane % 4));
  mine[4] = static_cast<int>(__reduce_add_sync(0xffffffffu, static_cast<unsigned>(lane)));
  mine[5] = static_cast<int>(__reduce_max_sync(0xffffffffu, static_cast<unsigned>(lane ^ 5)));
  mine[6] = __shfl_sync(0xffffffffu, lane, 3, 8), mine[7] = __shfl_up_sync(0xffffffffu, lane, 2, 8);
  mine[8] = __shfl_down_sync(0xffffffffu, lane, 2, 8), mine[9] = __shfl_xor_sync(0xffffffffu, lane, 5, 8);
  const double wide = __shfl_xor_sync(0xffffffffu, lane + 0.25, 1);
  mine[10] = wide == (lane ^ 1) + 0.25;
  int odd = -1;
  if (lane % 2) odd = __shfl_xor_sync(0xaaaaaaaau, lane, 2);  // half of the lanes, among themselves
  mine[11] = odd;
}

__global__ void block_votes(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  const int count = __syncthreads_count(t % 3 == 0), all = __syncthreads_and(t < 1000), any = __syncthreads_or(t == 5);
  out[t] = count * 4 + all * 2 + any;
}

// 16-bit floats there and back.
__global__ void halves(const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[2 * i] = to_float(to_bf16(x[i])), y[2 * i + 1] = to_float(to_f16(x[i]));
}

}  // namespace tg::TG_DEVICE_NAMESPACE

using namespace tg;
using namespace tg::TG_DEVICE_NAMESPACE;
static Launch on(int threads) { return {nullptr, nullptr, threads}; }
#define EXPORT extern "C" __attribute__((visibility("default"))) int
EXPORT run_identities(int* out, const unsigned* g, const unsigned* b) {
  return launch<identities>(dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), 0, on(1), out).code;
}
EXPORT run_row_squares(const float* x, float* y, int rows, int cols, int os_threads) {
  return launch<row_squares>(dim3(rows), dim3(128), 0, on(os_threads), x, y, cols).code;
}
EXPORT run_matmul(const float* a, const float* b, float* c, int M, int N, int K, int os_threads) {
  return launch<matmul_tiles>(dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16), 0, on(os_threads), a, b, c, M, N, K).code;
}
EXPORT run_mma_bf16(const bf16* a, const bf16* b, float* d, int tiles) {
  return launch<mma_chain<bf16>>(dim3(1), dim3(32), 2 * (16 * 24 + 16 * 8) * 2, on(1), a, b, d, tiles).code;
}
EXPORT run_mma_f16(const f16* a, const f16* b, float* d, int tiles) {
  return launch<mma_chain<f16>>(dim3(1), dim3(32), 2 * (16 * 24 + 16 * 8) * 2, on(1), a, b, d, tiles).code;
}
EXPORT run_mma_tf32(const float* a, const float* b, float* d) {
  return launch<mma_tf32_once>(dim3(1), dim3(32), 0, on(1), a, b, d).code;
}
EXPORT run_histogram(const float* x, int* counts, int n, int blocks) {
  return launch<histogram>(dim3(blocks), dim3(64), 0, on(1), x, counts, n).code;
}
EXPORT run_warp_operations(int* out) { return launch<warp_operations>(dim3(1), dim3(32), 0, on(1), out).code; }
EXPORT run_block_votes(int* out, int threads) { return launch<block_votes>(dim3(1), dim3(threads), 0, on(1), out).code; }
EXPORT run_halves(const float* x, float* y, int n) {
  return launch<halves>(dim3((n + 255) / 256), dim3(256), 0, on(1), x, y, n).code;
}
EXPORT run_sizes(unsigned gx, unsigned gy, unsigned bx, unsigned bz, unsigned long shared) {
  return launch<identities>(dim3(gx, gy), dim3(bx, 1, bz), shared, on(1), static_cast<int*>(nullptr)).code;
}
