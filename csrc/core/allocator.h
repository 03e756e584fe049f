// The CPU memory pool. Fresh pages are the largest single cost of big temporaries (a page fault per 4 KiB), so freed blocks
// are kept by size class and handed out again, and large blocks are aligned to and advised for huge pages.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/storage.h"

namespace tg {

struct MemoryStats {
  int64_t live_bytes = 0;    // in use now
  int64_t peak_bytes = 0;    // largest live_bytes since the last reset
  int64_t cached_bytes = 0;  // freed, kept for reuse
  int64_t allocations = 0;   // requests so far
  int64_t reused = 0;        // of these, served from the cache
  int64_t limit_bytes = 0;   // 0 = none
};

// A block of at least `bytes`, 64-byte aligned. Throws Error(memory) naming the size when there is none.
Storage* allocate(size_t bytes);

MemoryStats memory_stats();
void reset_peak_memory();
void trim_memory();                    // gives all cached blocks back to the system
void set_memory_limit(int64_t bytes);  // live bytes beyond this raise MemoryError; 0 removes the limit

}  // namespace tg
