// The one header that a kernel includes. nvcc gets CUDA and the instructions behind one function each; any other compiler gets
// the simulator (kernels/sim), where the same functions are modelled.
//
// Rules for kernels: no <<<>>> (launch), no `extern __shared__` (dynamic_shared_memory), no inline assembly outside this file,
// 16-byte accesses through load4 and store4.
#pragma once
#ifdef __CUDACC__
#include <cfloat>
#include <cstdint>
#else
#include "kernels/sim/cuda.h"
#include "kernels/sim/half.h"
#endif
#include "core/dtype.h"
#include "kernels/views.h"

namespace tg::TG_DEVICE_NAMESPACE {

#ifdef __CUDACC__
// ----------------------------------------------------------------------------------------------------------------------
#define TG_DEVICE __device__ __forceinline__

// The launcher of a kernel: launch<kernel>(grid, block, bytes of dynamic shared memory, stream, arguments...).
template <auto kernel, class... Arguments>
inline Status launch(dim3 grid, dim3 block, size_t shared_bytes, const Launch& on, Arguments... arguments) {
  if (shared_bytes > 48 * 1024) {
    static const cudaError_t allowed =  // once for each kernel
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024);
    if (allowed != cudaSuccess) return {Status::device_error, static_cast<int64_t>(allowed)};
  }
  kernel<<<grid, block, shared_bytes, static_cast<cudaStream_t>(on.stream)>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? Status{} : Status{Status::device_error, static_cast<int64_t>(error)};
}

template <class T> TG_DEVICE T* dynamic_shared_memory() {
  extern __shared__ __align__(1024) unsigned char memory[];
  return reinterpret_cast<T*>(memory);
}
TG_DEVICE uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

TG_DEVICE void copy_async_16(void* shared, const void* global, bool there) {  // zeros if not there
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(there ? 16 : 0)
               : "memory");
}
TG_DEVICE void copy_async_4(void* shared, const void* global, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(there ? 4 : 0)
               : "memory");
}
TG_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int groups_in_flight> TG_DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(groups_in_flight) : "memory");
}

TG_DEVICE void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
TG_DEVICE void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

#define TG_MMA(name, shape_and_types)                                                                                        \
  TG_DEVICE void name(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {                                     \
    asm volatile("mma.sync.aligned." shape_and_types " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"    \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                            \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                            \
  }
TG_MMA(mma_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")
TG_MMA(mma_f16, "m16n8k16.row.col.f32.f16.f16.f32")
TG_MMA(mma_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")
#undef TG_MMA

TG_DEVICE uint32_t to_tf32(float x) {  // rounded, as a float's bits
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(bits) : "f"(x));
  return bits;
}
TG_DEVICE uint32_t pack_bf16(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}
TG_DEVICE uint32_t pack_f16(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;\n" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}
TG_DEVICE float to_float(bf16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }
TG_DEVICE float to_float(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;\n" : "=f"(y) : "h"(x.bits));
  return y;
}
TG_DEVICE bf16 to_bf16(float x) { return {static_cast<uint16_t>(pack_bf16(x, 0.0f))}; }
TG_DEVICE f16 to_f16(float x) { return {static_cast<uint16_t>(pack_f16(x, 0.0f))}; }

#else
// ----------------------------------------------------------------------------------------------------------------------
#define TG_DEVICE [[gnu::always_inline]] inline

template <auto kernel, class... Arguments>
inline Status launch(dim3 grid, dim3 block, size_t shared_bytes, const Launch& on, Arguments... arguments) {
  auto call = [&] { kernel(arguments...); };
  const auto invoke = [](void* body) { (*static_cast<decltype(call)*>(body))(); };
  return simulator::run({__PRETTY_FUNCTION__, reinterpret_cast<const void*>(kernel), invoke, &call}, grid, block, shared_bytes,
                        on.threads);
}

template <class T> TG_DEVICE T* dynamic_shared_memory() { return static_cast<T*>(simulator::dynamic_shared()); }

#define TG_SITE simulator::Site site = simulator::Site::here()
TG_DEVICE void copy_async_16(void* shared, const void* global, bool there, TG_SITE) {
  simulator::copy_async(shared, global, 16, there ? 16 : 0, site);
}
TG_DEVICE void copy_async_4(void* shared, const void* global, bool there, TG_SITE) {
  simulator::copy_async(shared, global, 4, there ? 4 : 0, site);
}
TG_DEVICE void commit_copies() { simulator::commit_copies(); }
template <int groups_in_flight> TG_DEVICE void wait_for_copies() { simulator::wait_for_copies(groups_in_flight); }

TG_DEVICE void load_matrices(uint32_t (&r)[4], const void* row, TG_SITE) { simulator::load_matrices(r, row, 4, false, site); }
TG_DEVICE void load_matrices_transposed(uint32_t (&r)[4], const void* row, TG_SITE) {
  simulator::load_matrices(r, row, 4, true, site);
}

#define TG_MMA(name, type)                                                                              \
  TG_DEVICE void name(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, TG_SITE) {       \
    const uint32_t b[2] = {b0, b1};                                                                     \
    simulator::mma(simulator::MmaType::type, d, a, b, site);                                            \
  }
TG_MMA(mma_bf16, bf16_k16)
TG_MMA(mma_f16, f16_k16)
TG_MMA(mma_tf32, tf32_k8)
#undef TG_MMA
#undef TG_SITE

TG_DEVICE uint32_t to_tf32(float x) { return (__builtin_bit_cast(uint32_t, x) + 0x1000u) & 0xffffe000u; }
using simulator::to_bf16;
using simulator::to_f16;
using simulator::to_float;
TG_DEVICE uint32_t pack_bf16(float low, float high) { return to_bf16(low).bits | uint32_t{to_bf16(high).bits} << 16; }
TG_DEVICE uint32_t pack_f16(float low, float high) { return to_f16(low).bits | uint32_t{to_f16(high).bits} << 16; }
#endif

TG_DEVICE float to_float(float x) { return x; }
TG_DEVICE float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
TG_DEVICE void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }

}  // namespace tg::TG_DEVICE_NAMESPACE
