// What the simulator offers to device code: who a thread is, barriers, warp operations, atomics, asynchronous copies, matrix
// instructions. Kernels do not call this directly: cuda.h gives it CUDA's names and gpu.cuh those of the instructions.
//
// One fiber per CUDA thread; a block runs on one OS thread from its first barrier to its last, blocks one after another or, on
// several OS threads, side by side. A fiber runs until it waits: at a block barrier, or at a warp operation until all lanes of
// the mask are there. Which fiber goes on is drawn from a seed, so that a kernel which relies on an order meets others.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/sim/fiber.h"
#include "kernels/views.h"

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace tg::simulator {

inline constexpr int warp_size = 32;
inline constexpr uint32_t all_lanes = 0xffffffffu;

// Where in the source something was called: a default argument `Site site = Site::here()` is that of the caller.
struct Site {
  const char* file = "";
  int line = 0;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

struct Block;  // scheduler.h

// A CUDA thread, at the top of its fiber's stack.
struct Thread {
  uint3 index, block_index, block_size, grid_size;
  unsigned number, warp, lane;  // within the block, within the block, within the warp
  Block* block;
};

[[gnu::always_inline]] inline Thread& this_thread() {
  return reinterpret_cast<Thread*>((stack_address() | (stack_bytes - 1)) + 1)[-1];
}

// --- memory -----------------------------------------------------------------------------------------------------------
void* dynamic_shared();  // of the running block

// --- block barriers ---------------------------------------------------------------------------------------------------
enum class Vote { none, count, all, any };
int block_barrier(Vote vote, int value, Site site);

// --- warp operations: every lane of `lanes` calls the same one --------------------------------------------------------
void warp_barrier(uint32_t lanes, Site site);
enum class Shuffle { from, up, down, exchange };
// The value of another lane; `bytes` is 4 or 8. Groups of `width` lanes keep to themselves.
uint64_t shuffle(uint32_t lanes, Shuffle kind, uint64_t value, int lane, int width, Site site);
uint32_t ballot(uint32_t lanes, bool value, Site site);
uint32_t match_any(uint32_t lanes, uint64_t value, Site site);
enum class Reduce { add, min, max, bits_and, bits_or, bits_xor };
uint32_t warp_reduce(uint32_t lanes, Reduce kind, uint32_t value, bool is_signed, Site site);
uint32_t active_lanes();

// --- matrix instructions, by a whole warp -----------------------------------------------------------------------------
// d (16, 8) += a (16, K) b (K, 8). The registers of each lane hold the elements that PTX's manual names for mma.sync.
enum class MmaType { bf16_k16, f16_k16, tf32_k8 };
void mma(MmaType type, float* d, const uint32_t* a, const uint32_t* b, Site site);
// `count` matrices of 8 x 8 16-bit elements; lane 8 i + r gives the address of row r of matrix i.
void load_matrices(uint32_t* registers, const void* row, int count, bool transposed, Site site);

// --- asynchronous copies from global to shared memory -----------------------------------------------------------------
// `bytes` are written, the first `from_source` of them copied, the rest zero. With an even seed the copy happens when it is
// waited for, with an odd one at once: a kernel must be right with both.
void copy_async(void* shared, const void* global, int bytes, int from_source, Site site);
void commit_copies();
void wait_for_copies(int groups_in_flight);

// --- atomics ----------------------------------------------------------------------------------------------------------
uint64_t load_atomic(void* address, size_t bytes, Site site);
bool compare_exchange(void* address, size_t bytes, uint64_t* expected, uint64_t next);  // if not, *expected is what was there

// --- launches ---------------------------------------------------------------------------------------------------------
struct Kernel {
  const char* name;  // as the compiler prints it
  const void* code;  // any address within the library that holds the kernel
  void (*call)(void* arguments);
  void* arguments;
};
Status run(const Kernel& kernel, dim3 grid, dim3 block, size_t shared_bytes, int os_threads);

}  // namespace tg::simulator
