#include "kernels/sim/fiber.h"

#include <cstring>

#if defined(__x86_64__)
// rbx, rbp and r12-r15 belong to the caller. The jump through a register, unlike `ret`, does not go where the processor's
// prediction of returns expects the other fiber's caller: that misprediction would cost more than all the rest.
asm(R"(
.text
.globl tilegrad_switch_fiber
.hidden tilegrad_switch_fiber
.type tilegrad_switch_fiber, @function
tilegrad_switch_fiber:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  pop %rcx
  jmp *%rcx
.size tilegrad_switch_fiber, .-tilegrad_switch_fiber
)");
#elif defined(__aarch64__)
// x19-x30 and the low halves of v8-v15 belong to the caller; x30 is where to go on.
asm(R"(
.text
.globl tilegrad_switch_fiber
.hidden tilegrad_switch_fiber
.type tilegrad_switch_fiber, %function
tilegrad_switch_fiber:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size tilegrad_switch_fiber, .-tilegrad_switch_fiber
)");
#endif

namespace tg::simulator {

void* prepare_fiber(char* top, void (*entry)()) {
  auto* const aligned = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t{63});
#if defined(__x86_64__)
  // From the stack pointer up: six registers, entry, and a return address of 0, so that entry starts as if it had been called.
  void* frame[8] = {};
  frame[6] = reinterpret_cast<void*>(entry);
#else
  void* frame[20] = {};
  frame[11] = reinterpret_cast<void*>(entry);
#endif
  char* const stack = aligned - sizeof(frame);
  std::memcpy(stack, frame, sizeof(frame));
  return stack;
}

}  // namespace tg::simulator
