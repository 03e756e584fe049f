#include "core/allocator.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "core/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(start, bytes)
#endif

namespace tg {
namespace {

// The Storage of a block lies in front of its data, in memory of the same piece. From a huge page on it lies elsewhere, so that
// a tensor of four huge pages takes four and not five.
constexpr size_t header_bytes = 128;
static_assert(sizeof(Storage) <= header_bytes);
constexpr size_t huge_page_bytes = size_t{2} << 20;
constexpr size_t largest_request_bytes = size_t{1} << 47;
// Cached and live bytes together stay under peak * 5/4 + this slack.
constexpr int64_t cache_slack_bytes = int64_t{64} << 20;

// Size classes: eight per doubling up to 1 MB, where a block wastes at most one eighth, then 32 per doubling. Whole numbers of
// eighths of a power of two, which most tensors have, waste nothing.
constexpr int fine_from = 20;  // log2 of the size where classes become finer
constexpr int coarse_count = 8 * (fine_from - 7) + 1, class_count = coarse_count + 32 * (48 - fine_from);
int class_of(size_t bytes) {
  if (bytes <= 128) return 0;
  const int top = 63 - __builtin_clzl(bytes - 1);  // 2^top <= bytes - 1 < 2^(top + 1)
  if (top < fine_from) return (top - 7) * 8 + static_cast<int>((bytes - 1) >> (top - 3)) - 8 + 1;
  return coarse_count + (top - fine_from) * 32 + static_cast<int>((bytes - 1) >> (top - 5)) - 32;
}
size_t class_bytes(int c) {
  if (c < coarse_count) return size_t(8 + c % 8) << (c / 8 + 4);
  return size_t(33 + (c - coarse_count) % 32) << ((c - coarse_count) / 32 + fine_from - 5);
}
// A request may take a cached block of so many classes above its own: again an eighth at most.
int last_class_for(int c) { return c < coarse_count ? c : c + 3 < class_count ? c + 3 : class_count - 1; }
bool large(int size_class) { return class_bytes(size_class) >= huge_page_bytes; }

class Pool {
 public:
  Storage* get(size_t bytes) {
    if (bytes > largest_request_bytes)
      fail(ErrorKind::memory, "cannot allocate {} bytes: that is more than a process can address", bytes);
    int size_class = class_of(bytes);
    auto block = static_cast<int64_t>(class_bytes(size_class));
    Storage* s;
    {
      Guard guard(*this);
      for (int c = size_class; c <= last_class_for(size_class); ++c) {
        if (!free_[c]) continue;
        block = static_cast<int64_t>(class_bytes(size_class = c));
        break;
      }
      if (stats_.limit_bytes && stats_.live_bytes + block > stats_.limit_bytes) {
        guard.unlock();
        fail(ErrorKind::memory, "cannot allocate {} bytes: {} bytes are in use and the limit is {} bytes (set_memory_limit)",
             bytes, stats_.live_bytes, stats_.limit_bytes);
      }
      ++stats_.allocations;
      stats_.live_bytes += block;
      used_[size_class] = stats_.allocations;
      s = free_[size_class];
      if (s) {
        note_peak();
        free_[size_class] = s->next_free;
        stats_.cached_bytes -= block;
        ++stats_.reused;
      }
    }
    if (!s) {
      s = fresh(bytes, size_class);
      Guard guard(*this);
      note_peak();  // not before: a request that fails leaves no trace
    }
    char* const data = s->data;
    // To the address sanitizer a cached block, and the rest of a block behind its data, are out of bounds.
    ASAN_UNPOISON_MEMORY_REGION(data, static_cast<size_t>(block));
    ASAN_POISON_MEMORY_REGION(data + bytes, static_cast<size_t>(block) - bytes);
    new (s) Storage;
    s->data = data;
    s->bytes = static_cast<size_t>(block);
    s->size_class = static_cast<uint16_t>(size_class);
    s->release = [](Storage* freed) { instance().put(freed); };
    return s;
  }

  void put(Storage* s) {
    const int size_class = s->size_class;
    const auto block = static_cast<int64_t>(class_bytes(size_class));
    ASAN_POISON_MEMORY_REGION(s->data, s->bytes);
    Storage* surplus = nullptr;
    {
      Guard guard(*this);
      stats_.live_bytes -= block;
      s->next_free = free_[size_class];
      free_[size_class] = s;
      stats_.cached_bytes += block;
      used_[size_class] = stats_.allocations;
      const int64_t allowed = ceiling_ + ceiling_ / 4 + cache_slack_bytes;
      if (stats_.cached_bytes + stats_.live_bytes > allowed) surplus = take(allowed - stats_.live_bytes);
    }
    give_back(surplus);
  }

  void trim() {
    Storage* surplus;
    {
      Guard guard(*this);
      ceiling_ = stats_.live_bytes;
      surplus = take(0);
    }
    give_back(surplus);
  }

  MemoryStats stats() {
    Guard guard(*this);
    return stats_;
  }
  void reset_peak() {
    Guard guard(*this);
    stats_.peak_bytes = stats_.live_bytes;
  }
  void limit(int64_t bytes) {
    Guard guard(*this);
    stats_.limit_bytes = bytes;
  }

  // Lives for ever: arrays may be freed while the interpreter is going down.
  static Pool& instance() {
    static Pool* pool = [] {
      auto* p = new Pool;
      // A fork while another thread is in here must not leave the child with a locked pool.
      pthread_atfork([] { instance().lock(); }, [] { instance().unlock(); }, [] { instance().unlock(); });
      return p;
    }();
    return *pool;
  }

 private:
  struct Guard {
    explicit Guard(Pool& pool) : pool(&pool) { pool.lock(); }
    ~Guard() { unlock(); }
    void unlock() {
      if (pool) pool->unlock();
      pool = nullptr;
    }
    Pool* pool;
  };
  void lock() {
    while (busy_.test_and_set(std::memory_order_acquire)) sched_yield();
  }
  void unlock() { busy_.clear(std::memory_order_release); }

  void note_peak() {
    if (stats_.live_bytes > stats_.peak_bytes) stats_.peak_bytes = stats_.live_bytes;
    if (stats_.live_bytes > ceiling_) ceiling_ = stats_.live_bytes;
  }

  // A block whose data are set; the rest of its Storage is not.
  Storage* fresh(size_t bytes, int size_class) {
    const size_t block = class_bytes(size_class), header = large(size_class) ? 0 : header_bytes;
    const size_t alignment = large(size_class) ? huge_page_bytes : 64;
    const size_t rounded = (header + block + alignment - 1) / alignment * alignment;
    Storage* apart = header ? nullptr : new (std::nothrow) Storage;
    char* memory = header || apart ? static_cast<char*>(std::aligned_alloc(alignment, rounded)) : nullptr;
    if (!memory && (header || apart)) {
      trim();
      memory = static_cast<char*>(std::aligned_alloc(alignment, rounded));
    }
    if (!memory) {
      delete apart;
      Guard guard(*this);
      stats_.live_bytes -= static_cast<int64_t>(block);
      const int64_t live = stats_.live_bytes;
      guard.unlock();
      fail(ErrorKind::memory, "cannot allocate {} bytes ({} bytes are in use by tensors)", bytes, live);
    }
#ifdef MADV_HUGEPAGE
    if (large(size_class)) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    Storage* s = header ? new (memory) Storage : apart;
    s->data = memory + header;
    return s;
  }

  // Unhooks cached blocks until at most `keep` bytes are cached, first those of the size that nobody has asked for or given back
  // for longest. (Largest first would take the blocks of a loop that works on large tensors, each time it frees one, and leave
  // those of an earlier phase that nobody needs.) The caller holds the lock.
  Storage* take(int64_t keep) {
    Storage* taken = nullptr;
    while (stats_.cached_bytes > keep) {
      int oldest = -1;
      for (int c = 0; c < class_count; ++c)
        if (free_[c] && (oldest < 0 || used_[c] <= used_[oldest])) oldest = c;
      if (oldest < 0) break;
      while (Storage* s = free_[oldest]) {
        if (stats_.cached_bytes <= keep) return taken;
        free_[oldest] = s->next_free;
        stats_.cached_bytes -= static_cast<int64_t>(class_bytes(oldest));
        s->next_free = taken;
        taken = s;
      }
    }
    return taken;
  }
  static void give_back(Storage* s) {
    while (s) {
      Storage* next = s->next_free;
      if (large(s->size_class)) {
        std::free(s->data);
        delete s;
      } else {
        std::free(s);
      }
      s = next;
    }
  }

  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  MemoryStats stats_;
  int64_t ceiling_ = 0;  // the most live bytes since the cache was last emptied; the user's resetting of the peak leaves it
  Storage* free_[class_count] = {};
  int64_t used_[class_count] = {};  // stats_.allocations when a block of the class was last handed out or came back
};

}  // namespace

Storage* allocate(size_t bytes) { return Pool::instance().get(bytes); }
MemoryStats memory_stats() { return Pool::instance().stats(); }
void reset_peak_memory() { Pool::instance().reset_peak(); }
void trim_memory() { Pool::instance().trim(); }
void set_memory_limit(int64_t bytes) { Pool::instance().limit(bytes); }

Storage* borrow(void* data, size_t bytes, void* owner, void (*give_back)(Storage*)) {
  auto* s = new Storage;
  s->data = static_cast<char*>(data);
  s->bytes = bytes;
  s->owner = owner;
  s->release = give_back;
  s->exposed = true;
  return s;
}

}  // namespace tg
