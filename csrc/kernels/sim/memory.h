// Device memory of the checked build: exact sizes, a page without access behind each buffer, addresses that are never used
// twice. A read past the end, or of a buffer that was freed, then never hits the memory of another tensor.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tg::simulator {

inline constexpr size_t device_memory_bytes = size_t{1} << 34;  // of addresses; memory is taken as it is used

void* allocate_device(size_t bytes);  // every byte 0xff: NaN for every kind of float; null if there is no room
void free_device(void* data);
void note_host_write(const void* data, size_t bytes);  // the host has set these bytes

struct Buffer {
  uintptr_t start = 0;
  size_t bytes = 0;
};
uintptr_t device_memory();                // where the addresses begin; 0 before the first allocation
Buffer buffer_around(uintptr_t address);  // the live buffer that holds it; no bytes if none does
Buffer buffer_before(uintptr_t address);  // the last live buffer that starts at or below it

}  // namespace tg::simulator
