// Storage: reference-counted bytes that arrays share. The version counts in-place changes, so that the autograd engine can
// tell when a saved tensor was overwritten; every view and detached alias of the memory sees the same count.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/device.h"

namespace tg {

struct Storage {
  std::atomic<int64_t> references{1};
  char* data = nullptr;
  size_t bytes = 0;                     // usable bytes at data
  void (*release)(Storage*) = nullptr;  // called when the last reference goes: back to the pool, or to the lender
  void* owner = nullptr;                // what `release` gives back: a Python object, a DLPack tensor; null for pool memory
  Storage* next_free = nullptr;         // the pool's list
  std::atomic<uint32_t> version{0};
  Device device;
  uint16_t size_class = 0;  // of pool memory
  bool exposed =
      false;  // lent out writable (numpy(), DLPack, buffer): others may change it unseen, so nothing derived is cached
  bool read_only = false;             // borrowed from a read-only buffer: in-place changes are refused
  void* allocation_stream = nullptr;  // the stream that allocated it and the last other one that used it (CUDA)
  void* last_stream = nullptr;
};

inline void retain(Storage* s) {
  if (s) s->references.fetch_add(1, std::memory_order_relaxed);
}
inline void release(Storage* s) {
  if (s && s->references.fetch_sub(1, std::memory_order_acq_rel) == 1) s->release(s);
}

// Memory somebody else owns; `give_back` runs when the last array on it is gone.
Storage* borrow(void* data, size_t bytes, void* owner, void (*give_back)(Storage*));

}  // namespace tg
