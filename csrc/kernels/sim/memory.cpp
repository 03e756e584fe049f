#include "kernels/sim/memory.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>

namespace tg::simulator {
namespace {

constexpr size_t page = 4096;
std::mutex lock;
uintptr_t first = 0;
size_t used = 0;
std::map<uintptr_t, size_t> buffers;

size_t whole_pages(size_t bytes) { return (bytes + page - 1) / page * page; }

}  // namespace

uintptr_t device_memory() { return first; }

void* allocate_device(size_t bytes) {
  const std::lock_guard guard(lock);
  if (!first) {
    void* const room = mmap(nullptr, device_memory_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return nullptr;
    first = reinterpret_cast<uintptr_t>(room);
  }
  const size_t rounded = whole_pages(bytes ? bytes : 1);
  if (used + rounded + page > device_memory_bytes) return nullptr;
  auto* const data = reinterpret_cast<char*>(first + used);
  used += rounded + page;
  if (mprotect(data, rounded, PROT_READ | PROT_WRITE) != 0) return nullptr;
  std::memset(data, 0xff, bytes);
  buffers[reinterpret_cast<uintptr_t>(data)] = bytes;
  return data;
}

void free_device(void* data) {
  const std::lock_guard guard(lock);
  const auto buffer = buffers.find(reinterpret_cast<uintptr_t>(data));
  if (buffer == buffers.end()) return;
  mmap(data, whole_pages(buffer->second ? buffer->second : 1), PROT_NONE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  buffers.erase(buffer);
}

Buffer buffer_before(uintptr_t address) {
  const std::lock_guard guard(lock);
  auto next = buffers.upper_bound(address);
  if (next == buffers.begin()) return {};
  --next;
  return {next->first, next->second};
}

Buffer buffer_around(uintptr_t address) {
  const Buffer b = buffer_before(address);
  return address - b.start < b.bytes ? b : Buffer{};
}

}  // namespace tg::simulator
