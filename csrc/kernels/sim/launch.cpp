// Launches: limits, the memory and the stacks of blocks, one block after another.
#include <link.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>

#include "core/parallel.h"
#include "kernels/sim/check.h"
#include "kernels/sim/report.h"
#include "kernels/sim/scheduler.h"
#include "kernels/sim/settings.h"

namespace tg::simulator {
namespace {

// The library's only thread-local variable that is not a __shared__ one of a kernel (see poison_static_shared).
thread_local Block* running = nullptr;

constexpr int most_threads = 1024, most_blocks_yz = 65535;
constexpr size_t most_shared_bytes = size_t{227} << 10;  // what a block of sm_90 may ask for

// --- __shared__ variables ---------------------------------------------------------------------------------------------
// They are thread-local variables of the library that holds the kernels: one copy for each OS thread, hence for each block that
// runs. The loader's tables tell where they lie.
extern "C" void* __tls_get_addr(void*);

struct StaticShared {
  uintptr_t code;
  char* data = nullptr;
  size_t bytes = 0;
};

int find_static_shared(dl_phdr_info* info, size_t, void* argument) {
  auto* const found = static_cast<StaticShared*>(argument);
  bool holds_code = false;
  const ElfW(Phdr)* tls = nullptr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) & header = info->dlpi_phdr[i];
    if (header.p_type == PT_LOAD && found->code - (info->dlpi_addr + header.p_vaddr) < header.p_memsz) holds_code = true;
    if (header.p_type == PT_TLS) tls = &header;
  }
  if (!holds_code) return 0;
  if (tls) {
    struct { unsigned long module, offset; } index{info->dlpi_tls_modid, 0};
    found->data = static_cast<char*>(__tls_get_addr(&index));  // allocates it where this thread has not used it yet
    found->bytes = tls->p_memsz;
  }
  return 1;
}

// All bits set: NaN for every kind of float.
void poison_static_shared(Block& b) {
  Block* const kept = running;
  if (b.static_shared) std::memset(b.static_shared, 0xff, b.static_shared_bytes);
  const_cast<Block* volatile&>(running) = kept;  // the compiler does not see that the fill went over it
}

// --- blocks: kept from launch to launch, with their stacks -------------------------------------------------------------
std::mutex unused_lock;
std::vector<std::unique_ptr<Block>> unused;

std::unique_ptr<Block> take_block() {
  const std::lock_guard guard(unused_lock);
  if (unused.empty()) return std::make_unique<Block>();
  std::unique_ptr<Block> b = std::move(unused.back());
  unused.pop_back();
  return b;
}
void give_back(std::unique_ptr<Block> b) {
  const std::lock_guard guard(unused_lock);
  unused.push_back(std::move(b));
}

void make_stacks(Block& b, int threads) {
  if (b.stack_count >= threads) return;
  if (b.stacks) munmap(b.stacks, static_cast<size_t>(b.stack_count) * stack_bytes);
  const size_t bytes = static_cast<size_t>(threads) * stack_bytes;
  // One stack more than needed, so that one can be aligned to its size.
  void* const memory =
      mmap(nullptr, bytes + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto start = reinterpret_cast<uintptr_t>(memory), aligned = (start + stack_bytes - 1) & ~(stack_bytes - 1);
  if (aligned > start) munmap(memory, aligned - start);
  munmap(reinterpret_cast<void*>(aligned + bytes), start + stack_bytes - aligned);
  b.stacks = reinterpret_cast<char*>(aligned);
  b.stack_count = threads;
  for (int i = 0; i < threads; ++i) mprotect(b.stacks + static_cast<size_t>(i) * stack_bytes, 4096, PROT_NONE);
}

void prepare_launch(Block& b, const Kernel& kernel, int threads, size_t shared_bytes) {
  constexpr size_t alignment = 1024;
  b.kernel = &kernel;
  b.threads = threads;
  make_stacks(b, threads);
  b.fibers.resize(static_cast<size_t>(threads));
  b.warps.resize(static_cast<size_t>((threads + warp_size - 1) / warp_size));
  b.shared_memory.resize(shared_bytes + alignment);
  b.shared = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(b.shared_memory.data()) + alignment - 1) & ~(alignment - 1));
  b.shared_bytes = shared_bytes;
  StaticShared found{reinterpret_cast<uintptr_t>(kernel.code)};
  dl_iterate_phdr(find_static_shared, &found);
  b.static_shared = found.data;
  b.static_shared_bytes = found.bytes;
}

void run_block(Block& b, dim3 grid, dim3 size, int64_t number) {
  running = &b;
  if (b.shared_bytes) std::memset(b.shared, 0xff, b.shared_bytes);
  poison_static_shared(b);
  b.arrived = b.votes = 0;
  b.alive = b.threads;
  b.epoch = 0;
  b.current_warp = 0;
  b.failed = false;
  b.random = 0x9e3779b97f4a7c15u * (settings().seed + 1) + static_cast<uint64_t>(number) * 0xd1b54a32d192ed03u + 1;
  b.number = note_block_start(b);
  for (size_t i = 0; i < b.warps.size(); ++i) {
    Warp& w = b.warps[i];
    w.first = static_cast<int>(i) * warp_size;
    w.lanes = b.threads - w.first < warp_size ? b.threads - w.first : warp_size;
    w.ready = w.alive = w.lanes == warp_size ? all_lanes : (1u << w.lanes) - 1;
    for (Rendezvous& r : w.rendezvous) r.arrived = 0;
    for (uint32_t& c : w.clock) c = 1;
    std::memset(w.seen, 0, sizeof(w.seen));
  }
  const auto block = static_cast<uint64_t>(number);
  const uint3 place{static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
                    static_cast<unsigned>(block / grid.x / grid.y)};
  for (int i = 0; i < b.threads; ++i) {
    const auto n = static_cast<unsigned>(i);
    b.thread(i) = {{n % size.x, n / size.x % size.y, n / size.x / size.y},
                   place,
                   {size.x, size.y, size.z},
                   {grid.x, grid.y, grid.z},
                   n,
                   n / warp_size,
                   n % warp_size,
                   &b};
    Fiber& f = b.fibers[static_cast<size_t>(i)];
    f.state = State::ready;
    f.copies.clear();
    f.copies_in_group.clear();
    f.copies_uncommitted = 0;
    // Frames of neighbours start at different offsets, or they would fall on the same few cache lines.
    f.stack_pointer = prepare_fiber(b.stack_top(i) - sizeof(Thread) - 64 * (n % warp_size), fiber_main);
  }
  tilegrad_switch_fiber(&b.host_stack, b.fibers[static_cast<size_t>(next_thread(b))].stack_pointer);
  running = nullptr;
}

std::string refusal(const Kernel& kernel, dim3 grid, dim3 block, size_t shared_bytes) {
  const auto sizes = [](dim3 d) {
    return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
  };
  const std::string name = kernel_name(kernel.name) + ": ";
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > most_threads || block.z > 64)
    return name + "a block of " + sizes(block) + " threads; a block has 1 to 1024 threads, at most 64 of them along z";
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > most_blocks_yz || grid.z > most_blocks_yz)
    return name + "a grid of " + sizes(grid) +
           " blocks; a grid has at least one block, at most 2^31 - 1 along x and 65,535 along y and z";
  if (shared_bytes > most_shared_bytes)
    return name + std::to_string(shared_bytes) + " bytes of dynamic shared memory; a block has at most " +
           std::to_string(most_shared_bytes);
  return {};
}

}  // namespace

Block* running_block() { return running; }

Status run(const Kernel& kernel, dim3 grid, dim3 block, size_t shared_bytes, int os_threads) {
  set_failure(refusal(kernel, grid, block, shared_bytes));
  if (!failure().empty()) return {Status::device_error};
  const int64_t blocks = int64_t{grid.x} * grid.y * grid.z;
  const auto threads = static_cast<int>(block.x * block.y * block.z);
  note_launch();
  std::atomic<bool> failed{false};
  const Launch launch{nullptr, nullptr, checking ? 1 : os_threads};  // the checker's records belong to one OS thread
  parallel_for(launch, blocks, (blocks + 63) / 64, [&](int64_t begin, int64_t end) {
    std::unique_ptr<Block> b = take_block();
    prepare_launch(*b, kernel, threads, shared_bytes);
    for (int64_t i = begin; i < end && !failed; ++i) {
      run_block(*b, grid, block, i);
      if (b->failed) failed = true;
    }
    give_back(std::move(b));
  });
  return failed ? Status{Status::device_error} : Status{};
}

}  // namespace tg::simulator
