// The checker: races, uninitialised reads, accesses out of bounds. It is there in the build whose device code was compiled with
// -fsanitize=thread: the compiler then calls a function at every access to memory, and these functions are ours (hooks.cpp).
// In the plain build the notes below are empty.
#pragma once
#include <string>

#include "kernels/sim/scheduler.h"

namespace tg::simulator {

#ifdef TILEGRAD_SIM_CHECK
inline constexpr bool checking = true;
#else
inline constexpr bool checking = false;
#endif

enum class Access : uint8_t { read, write, atomic, copy_issued, copy_landed };

// An access of the running thread; `site` where it is known, else `code`, the address after the access.
struct Place {
  Site site;
  const void* code = nullptr;
};

#ifdef TILEGRAD_SIM_CHECK
void note_access(const void* address, size_t bytes, Access access, Place place);
void note_launch();
uint32_t note_block_start(Block& b);  // the block's number
void note_warp_barrier(Warp& w, uint32_t lanes);
#else
inline void note_access(const void*, size_t, Access, Place) {}
inline void note_launch() {}
inline uint32_t note_block_start(Block&) { return 0; }
inline void note_warp_barrier(Warp&, uint32_t) {}
#endif

std::string to_text(Place place);
std::string describe_thread(Place place);  // "thread 5 of block (0, 1, 0) in softmax_rows, softmax.cu:31"
inline std::string describe_thread(Site site) { return describe_thread(Place{site, nullptr}); }

}  // namespace tg::simulator
