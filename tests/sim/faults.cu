// Wrong kernels, one for each thing the checker finds. tests/test_sim.py expects a report of each, with these lines.
#include "kernels/cuda/gpu.cuh"

namespace tg::TG_DEVICE_NAMESPACE {

__global__ void missing_block_barrier(float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = static_cast<float>(threadIdx.x);  // FIRST
  y[threadIdx.x] = s[63 - threadIdx.x];              // SECOND
}
__global__ void missing_barrier_before_reuse(float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = 1.0f;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < 64; ++i) sum += s[i];  // FIRST
  s[threadIdx.x] = sum;                      // SECOND
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}
__global__ void missing_warp_barrier(float* y) {
  __shared__ float s[32];
  s[threadIdx.x] = 1.0f;                 // FIRST
  y[threadIdx.x] = s[31 - threadIdx.x];  // SECOND
}
__global__ void shuffle_is_no_barrier(float* y) {
  __shared__ float s[32];
  s[threadIdx.x] = 1.0f;  // FIRST
  const float v = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  y[threadIdx.x] = v + s[31 - threadIdx.x];  // SECOND
}
__global__ void barrier_of_half_a_warp(float* y) {  // the two halves have not met
  __shared__ float s[32];
  s[threadIdx.x] = 1.0f;  // FIRST
  __syncwarp(threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u);
  y[threadIdx.x] = s[31 - threadIdx.x];  // SECOND
}
__global__ void neighbours_in_global_memory(float* y) {
  y[threadIdx.x] = 1.0f;                             // FIRST
  y[64 + threadIdx.x] = y[(threadIdx.x + 32) % 64];  // SECOND
}
__global__ void blocks_share_a_sum(float* y) {
  y[threadIdx.x] = y[threadIdx.x] + 1.0f;  // FIRST SECOND
}
__global__ void atomic_and_plain(int* y) {
  __shared__ int s;
  if (threadIdx.x == 0) s = 0;
  __syncthreads();
  if (threadIdx.x != 40) atomicAdd(&s, 1);  // FIRST
  else y[0] = s;                            // SECOND
}
__global__ void uninitialised_shared(float* y) {
  __shared__ float s[32];
  if (threadIdx.x < 31) s[threadIdx.x] = 1.0f;
  __syncwarp();
  y[threadIdx.x] = s[threadIdx.x];  // SECOND
}
__global__ void uninitialised_global(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];  // SECOND
}
__global__ void past_the_end(const float* x, float* y, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i <= n) y[i] = x[i];  // SECOND
}
__global__ void past_dynamic_shared(float* y) {
  float* const s = dynamic_shared_memory<float>();
  s[threadIdx.x + 1] = 1.0f;  // SECOND
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x + 1];
}
__global__ void freed_memory(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];  // SECOND
}
__global__ void null_pointer(const float* x, float* y) {
  if (threadIdx.x == 3) y[0] = x[0];  // SECOND
}
__global__ void misaligned_vector(const float* x, float* y) {
  if (threadIdx.x == 0) store4(y, load4(x + 1));  // SECOND
}
__global__ void different_barriers(float* y) {
  if (threadIdx.x < 32) {
    y[threadIdx.x] = 1;
    __syncthreads();  // FIRST
  } else {
    y[threadIdx.x] = 2;
    __syncthreads();  // SECOND
  }
}
__global__ void half_warp_in_a_full_shuffle(float* y) {
  float v = 1;
  if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);  // FIRST
  else __syncthreads();                                          // SECOND
  y[threadIdx.x] = v;
}
__global__ void different_warp_operations(unsigned* y) {
  if (threadIdx.x % 2) y[threadIdx.x] = __ballot_sync(0xffffffffu, 1);  // FIRST
  else y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1u, 1);            // SECOND
}
__global__ void mask_without_the_caller(float* y) {
  y[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, 1.0f, 1);  // SECOND
}
__global__ void shuffle_from_outside(float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, 1.0f, 16);  // SECOND
}
__global__ void copy_never_waited_for(const float* x, float* y) {
  float* const s = dynamic_shared_memory<float>();
  copy_async_16(s + 4 * threadIdx.x, x + 4 * threadIdx.x, true);  // FIRST
  commit_copies();
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];  // SECOND
  wait_for_copies<0>();
}
__global__ void one_group_too_few(const float* x, float* y) {
  float* const s = dynamic_shared_memory<float>();
  copy_async_16(s + 4 * threadIdx.x, x + 4 * threadIdx.x, true);  // FIRST
  commit_copies();
  wait_for_copies<1>();
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];  // SECOND
  wait_for_copies<0>();
}
__global__ void copy_of_another_thread(const float* x, float* y) {  // waited for, but no barrier behind it
  float* const s = dynamic_shared_memory<float>();
  copy_async_16(s + 4 * threadIdx.x, x + 4 * threadIdx.x, true);  // FIRST
  commit_copies();
  wait_for_copies<0>();
  y[threadIdx.x] = s[4 * (31 - threadIdx.x)];  // SECOND
}
__global__ void copy_left_behind(const float* x, float* y) {
  float* const s = dynamic_shared_memory<float>();
  copy_async_16(s + 4 * threadIdx.x, x + 4 * threadIdx.x, true);  // SECOND
  y[threadIdx.x] = 0;
}
__global__ void misaligned_copy(const float* x) {
  float* const s = dynamic_shared_memory<float>();
  copy_async_16(s, x + 1, true);  // SECOND
}
__global__ void misaligned_matrix_row(float* y) {
  float* const s = dynamic_shared_memory<float>();
  uint32_t r[4];
  load_matrices(r, s + 1);  // SECOND
  y[threadIdx.x] = static_cast<float>(r[0]);
}
__global__ void half_a_warp_multiplies(float* y) {
  float d[4] = {};
  const uint32_t a[4] = {};
  if (threadIdx.x >= 16) return;
  mma_bf16(d, a, 0, 0);  // SECOND
  y[threadIdx.x] = d[0];
}

}  // namespace tg::TG_DEVICE_NAMESPACE

using namespace tg::TG_DEVICE_NAMESPACE;

// x has n elements, y 128; both live in device memory.
#define FAULT(kernel, blocks, threads, shared_bytes, ...)                                                                \
  extern "C" __attribute__((visibility("default"))) int run_##kernel([[maybe_unused]] const float* x, [[maybe_unused]] float* y,  \
                                                                     [[maybe_unused]] int n) {                            \
    return launch<kernel>(dim3(blocks), dim3(threads), shared_bytes, {}, __VA_ARGS__).code;                               \
  }
FAULT(missing_block_barrier, 1, 64, 0, y)
FAULT(missing_barrier_before_reuse, 1, 64, 0, y)
FAULT(missing_warp_barrier, 1, 32, 0, y)
FAULT(shuffle_is_no_barrier, 1, 32, 0, y)
FAULT(barrier_of_half_a_warp, 1, 32, 0, y)
FAULT(neighbours_in_global_memory, 1, 64, 0, y)
FAULT(blocks_share_a_sum, 3, 32, 0, y)
FAULT(atomic_and_plain, 1, 64, 0, reinterpret_cast<int*>(y))
FAULT(uninitialised_shared, 1, 32, 0, y)
FAULT(uninitialised_global, 1, 32, 0, y + 64, y)
FAULT(past_the_end, 1, 64, 0, x, y, n)
FAULT(past_dynamic_shared, 1, 32, 32 * 4, y)
FAULT(freed_memory, 1, 32, 0, x, y)
FAULT(null_pointer, 1, 32, 0, static_cast<const float*>(nullptr), y)
FAULT(misaligned_vector, 1, 32, 0, x, y)
FAULT(different_barriers, 1, 64, 0, y)
FAULT(half_warp_in_a_full_shuffle, 1, 32, 0, y)
FAULT(different_warp_operations, 1, 32, 0, reinterpret_cast<unsigned*>(y))
FAULT(mask_without_the_caller, 1, 32, 0, y)
FAULT(shuffle_from_outside, 1, 32, 0, y)
FAULT(copy_never_waited_for, 1, 32, 512, x, y)
FAULT(one_group_too_few, 1, 32, 512, x, y)
FAULT(copy_of_another_thread, 1, 32, 512, x, y)
FAULT(copy_left_behind, 1, 32, 512, x, y)
FAULT(misaligned_copy, 1, 32, 512, x)
FAULT(misaligned_matrix_row, 1, 32, 2048, y)
FAULT(half_a_warp_multiplies, 1, 32, 0, y)
