// What the compiler calls at every access to memory in code that it compiled with -fsanitize=thread. This library is linked in
// place of the compiler's own, as Linux does for its concurrency sanitizer.
#include "kernels/sim/check.h"

#define TG_HERE \
  tg::simulator::Place { {}, __builtin_return_address(0) }
#define TG_HOOK(name, bytes, access) \
  void __tsan_##name##bytes(void* address) { tg::simulator::note_access(address, bytes, tg::simulator::Access::access, TG_HERE); }
#define TG_HOOKS(bytes)                  \
  TG_HOOK(read, bytes, read)             \
  TG_HOOK(write, bytes, write)           \
  TG_HOOK(unaligned_read, bytes, read)   \
  TG_HOOK(unaligned_write, bytes, write) \
  TG_HOOK(volatile_read, bytes, read)    \
  TG_HOOK(volatile_write, bytes, write)

extern "C" {
TG_HOOKS(1)
TG_HOOKS(2)
TG_HOOKS(4)
TG_HOOKS(8)
TG_HOOKS(16)
void __tsan_read_range(void* address, size_t bytes) {
  tg::simulator::note_access(address, bytes, tg::simulator::Access::read, TG_HERE);
}
void __tsan_write_range(void* address, size_t bytes) {
  tg::simulator::note_access(address, bytes, tg::simulator::Access::write, TG_HERE);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
