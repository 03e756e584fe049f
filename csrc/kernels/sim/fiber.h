// Fibers: one per CUDA thread, each with a stack of its own, switched by hand. A switch costs a few nanoseconds, because only
// the registers that a function must preserve are stored; `ucontext` would add two system calls.
//
//   stack of one fiber, aligned to its size        high addresses
//     +----------------------------+
//     | Thread (runtime.h)         |   found from any stack address: no thread-local variable needed
//     | frames of the kernel       |
//     |   ...                      |
//     | guard page: no access      |   a kernel that needs more stack faults instead of writing over its neighbour
//     +----------------------------+                low addresses
#pragma once
#include <cstddef>
#include <cstdint>

namespace tg::simulator {

inline constexpr size_t stack_bytes = size_t{1} << 17;

// Stores the registers of the running fiber on its stack, leaves the stack pointer in *from, and goes on where `to` left off.
extern "C" [[gnu::visibility("hidden")]] void tilegrad_switch_fiber(void** from, void* to);

// Lays out a new stack below `top` so that a switch to the result calls entry(), which must not return.
void* prepare_fiber(char* top, void (*entry)());

// An address of the running stack.
[[gnu::always_inline]] inline uintptr_t stack_address() {
  uintptr_t address;
#if defined(__x86_64__)
  asm("movq %%rsp, %0" : "=r"(address));
#elif defined(__aarch64__)
  asm("mov %0, sp" : "=r"(address));
#else
#error "the device sim needs x86-64 or aarch64"
#endif
  return address;
}

}  // namespace tg::simulator
