// The DLPack 1.x structs (https://dmlc.github.io/dlpack), written from its specification: the ABI other libraries share tensors by.
#pragma once
#include <cstdint>

extern "C" {

struct DLPackVersion { uint32_t major, minor; };
struct DLDevice { int32_t device_type, device_id; };  // 1 = CPU, 2 = CUDA
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};  // code 0 int, 1 uint, 2 float, 4 bfloat, 6 bool

struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null means contiguous
  uint64_t byte_offset;
};
struct DLManagedTensor {  // before version 1
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;  // bit 0: read only, bit 1: is a copy
  DLTensor dl_tensor;
};
}
inline constexpr uint64_t dlpack_read_only = 1;
