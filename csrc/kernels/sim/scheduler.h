// The inside of the simulator: blocks, warps, who is ready and who waits for what.
#pragma once
#include <vector>

#include "kernels/sim/runtime.h"

namespace tg::simulator {

struct AsyncCopy {
  char* to;
  const char* from;
  int bytes, from_source;
  Site site;
};

enum class State : uint8_t { ready, at_warp_operation, at_barrier, finished };

// The scheduler's half of a thread.
struct Fiber {
  void* stack_pointer;
  State state;
  Site waits_at;
  std::vector<AsyncCopy> copies;     // issued and not yet waited for
  std::vector<int> copies_in_group;  // of the committed groups, oldest first
  int copies_uncommitted;
};

// What a lane brings to a warp operation and takes from it.
struct Exchange {
  alignas(16) uint32_t in[12];
  uint32_t out[4];
  const void* address;
};

struct Warp;
using Operation = void (*)(Warp& warp, uint32_t lanes);  // fills the `out` of these lanes

// Lanes of one mask that wait for each other.
struct Rendezvous {
  uint32_t mask, arrived;
  Operation operation;
  Site site;
};

struct Warp {
  uint32_t ready, alive;  // lanes
  int first, lanes;       // of its threads
  Rendezvous rendezvous[warp_size];
  Exchange exchange[warp_size];
  uint32_t clock[warp_size];            // of each lane, from 1 on: one more after each __syncwarp
  uint32_t seen[warp_size][warp_size];  // [lane][other]: the other's clock when they last met
};

struct Block {
  const Kernel* kernel;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  char* stacks = nullptr;  // of all fibers
  int stack_count = 0;
  void* host_stack = nullptr;
  std::vector<char> shared_memory;  // dynamic; `shared` is aligned within
  char* shared = nullptr;
  size_t shared_bytes = 0;
  char* static_shared = nullptr;  // this OS thread's copy of all __shared__ variables of the library
  size_t static_shared_bytes = 0;

  int threads = 0, alive = 0, arrived = 0, current_warp = 0;
  Site barrier_site;
  Vote vote = Vote::none;
  int votes = 0, vote_result = 0;
  uint32_t epoch = 0;   // one more after each block barrier
  uint32_t number = 0;  // of this block among all that ever ran
  uint64_t random = 0;
  bool failed = false;

  char* stack_top(int thread) const { return stacks + (static_cast<size_t>(thread) + 1) * stack_bytes; }
  Thread& thread(int number) const { return reinterpret_cast<Thread*>(stack_top(number))[-1]; }
};

void fiber_main();          // where every fiber starts
int next_thread(Block& b);  // one that can go on, or -1

Block* running_block();  // of this OS thread; null outside kernels

// Ends the running block and with it the launch. Called from a fiber; what it held on its stack is abandoned.
[[noreturn]] void abandon_block();

void only_meet(Warp&, uint32_t);  // the operation of __syncwarp, the only one that orders memory

// Waits until all living lanes of `lanes` are here, the last of which runs the operation.
void meet(uint32_t lanes, Operation operation, const char* name, Site site);

}  // namespace tg::simulator
