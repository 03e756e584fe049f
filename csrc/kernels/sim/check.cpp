// Races and uninitialised reads. Each word of shared and of global memory has a record of its last write and of the reads since.
// Two accesses of a word, one of them a write, are a race unless something orders them:
//
//   same thread                     the program
//   same block                      a block barrier between them: the epochs differ
//   same warp                       a __syncwarp of both lanes between them: the later lane has `seen` the earlier one's clock
//   different blocks of one launch  nothing
//   different launches              the end of the first one
//
// Two atomics never race. The reads of one epoch are kept as the set of warps that read, and of the last warp two of its lanes
// with their clocks. Bytes of one word have their own bits, so that neighbouring 16-bit elements are not mistaken for a race.
#include "kernels/sim/check.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstring>

#include "kernels/sim/memory.h"
#include "kernels/sim/report.h"

namespace tg::simulator {
namespace {

struct Reader {
  Place place;
  uint32_t clock;
  uint16_t thread;
};

struct Word {
  Place write_place;
  uint32_t write_block, write_epoch, write_clock;
  uint16_t write_thread;
  uint8_t written;      // the bytes of the last write
  Access write_access;  // copy_issued: still under way
  uint8_t initialised;  // bytes
  uint8_t been_read;    // bytes
  uint16_t reader_count;
  uint32_t read_block, read_epoch, read_warps;  // a bit for each warp
  Reader readers[2];
};

Word* dynamic_words = nullptr;
size_t dynamic_count = 0;
Word* static_words = nullptr;
size_t static_count = 0;
Word* global_words = nullptr;

uint32_t blocks_started = 0, first_of_launch = 1;

// Zero pages that take memory only where they are touched.
Word* make_words(size_t count) {
  void* const words =
      mmap(nullptr, count * sizeof(Word), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return words == MAP_FAILED ? nullptr : static_cast<Word*>(words);
}
void grow(Word*& words, size_t& count, size_t wanted) {
  if (count >= wanted) return;
  if (words) munmap(words, count * sizeof(Word));
  words = make_words(wanted);
  count = words ? wanted : 0;
}

enum class Space { shared, global };

struct Found {
  Word* words = nullptr;
  Space space;
  size_t offset;  // of the address within the space
};

[[noreturn]] void refuse(const char* kind, Place place, const std::string& text) {
  set_failure(text);
  report(kind, to_text(place), [&] { return text; });
  abandon_block();
}

const char* verb(Access a) {
  switch (a) {
    case Access::read: return "read";
    case Access::atomic: return "atomic change";
    case Access::copy_issued:
    case Access::copy_landed: return "asynchronous copy";
    default: return "write";
  }
}

void report_race(const Found& f, size_t offset, Access earlier, uint16_t thread, Place place, uint32_t block, Access access,
                 Place here) {
  const std::string first = to_text(place), second = to_text(here);
  report("race", first + verb(earlier) + second + verb(access), [&] {
    const Thread& t = this_thread();
    const std::string where = f.space == Space::shared ? "shared memory, byte " + std::to_string(offset) : [&] {
      const Buffer b = buffer_around(device_memory() + offset);
      return "byte " + std::to_string(device_memory() + offset - b.start) + " of a buffer of " + std::to_string(b.bytes);
    }();
    const bool other_block = block != t.block->number;
    return std::string("race: ") + verb(earlier) + " by thread " + std::to_string(thread) +
           (other_block ? " of block " + std::to_string(block - first_of_launch) : "") + " at " + first + ", " + verb(access) +
           " by " + describe_thread(here) + ", of " + where + ", with nothing that orders them";
  });
}

bool is_ordered(const Block& b, const Thread& me, uint32_t block, uint32_t epoch, uint16_t thread, uint32_t clock) {
  if (block != b.number) return block < first_of_launch;
  if (epoch != b.epoch || thread == me.number) return true;
  const Warp& w = b.warps[me.warp];
  return thread / warp_size == me.warp && clock <= w.seen[me.lane][thread % warp_size];
}

// The part of an access that lies in one word. True if it was fine.
bool check_word(Word& word, const Found& f, size_t offset, uint8_t bytes, Access access, Place place) {
  const Thread& me = this_thread();
  const Block& b = *me.block;
  const bool writes = access != Access::read, lands = access == Access::copy_landed;
  bool fine = true;
  if (f.space == Space::shared) {  // what another block left there is nobody's
    if (word.write_block != b.number) word.initialised = word.written = 0;
    if (word.read_block != b.number) word.been_read = 0;
  }

  const auto race = [&](Access earlier, uint16_t thread, Place where, uint32_t block) {
    report_race(f, offset, earlier, thread, where, block, access, place);
    fine = false;
  };
  const bool overlaps = word.written & bytes;
  if (overlaps && word.write_block == b.number && word.write_access == Access::copy_issued &&
      !(lands && word.write_thread == me.number)) {
    report("race", to_text(word.write_place) + "flight" + to_text(place), [&] {
      return std::string(verb(access)) + " of the destination of an asynchronous copy (thread " +
             std::to_string(word.write_thread) + ", " + to_text(word.write_place) +
             ") before the wait for it: " + describe_thread(place);
    });
    fine = false;
  } else if ((!writes || access == Access::atomic) && (word.initialised & bytes) != bytes) {
    report("uninitialised", to_text(place), [&] {
      return std::string(f.space == Space::shared ? "shared" : "global") +
             " memory is read before anything was written to it: " + describe_thread(place);
    });
    fine = false;
  } else if (overlaps && !lands && !(access == Access::atomic && word.write_access == Access::atomic) &&
             !is_ordered(b, me, word.write_block, word.write_epoch, word.write_thread, word.write_clock)) {
    race(word.write_access, word.write_thread, word.write_place, word.write_block);
  } else if (writes && !lands && (word.been_read & bytes) && word.reader_count) {
    const Reader& last = word.readers[0];
    if (word.read_block != b.number) {
      if (word.read_block >= first_of_launch) race(Access::read, last.thread, last.place, word.read_block);
    } else if (word.read_epoch == b.epoch) {
      for (int i = 0; fine && i < word.reader_count; ++i) {
        const Reader& r = word.readers[i];
        if (!is_ordered(b, me, word.read_block, word.read_epoch, r.thread, r.clock))
          race(Access::read, r.thread, r.place, b.number);
      }
      if (fine && word.read_warps & ~(1u << me.warp)) race(Access::read, last.thread, last.place, b.number);
    }
  }

  if (writes) {
    word.write_place = place;
    word.write_block = b.number, word.write_epoch = b.epoch, word.write_clock = b.warps[me.warp].clock[me.lane];
    word.write_thread = static_cast<uint16_t>(me.number);
    word.written = bytes, word.write_access = access;
    word.initialised |= bytes;
    word.been_read &= static_cast<uint8_t>(~bytes);
  }
  if (access == Access::read) {
    const Reader r{place, b.warps[me.warp].clock[me.lane], static_cast<uint16_t>(me.number)};
    if (word.read_block != b.number || word.read_epoch != b.epoch || !word.been_read) {
      word.read_block = b.number, word.read_epoch = b.epoch;
      word.read_warps = 0, word.reader_count = 0, word.been_read = 0;
    }
    const bool other_warp = word.reader_count && word.readers[0].thread / warp_size != me.warp;
    if (other_warp || word.reader_count == 0) word.reader_count = 1, word.readers[0] = r;
    else if (word.readers[0].thread == me.number) word.readers[0] = r;
    else word.reader_count = 2, word.readers[1] = r;
    word.read_warps |= 1u << me.warp;
    word.been_read |= bytes;
  }
  return fine;
}

Found find(const Block& b, uintptr_t a, size_t bytes, Place place) {
  constexpr size_t guard = 1024;  // there is as much room on both sides of dynamic shared memory
  const auto dynamic = reinterpret_cast<uintptr_t>(b.shared), fixed = reinterpret_cast<uintptr_t>(b.static_shared);
  if (a - (dynamic - guard) < b.shared_bytes + 2 * guard) {
    if (a < dynamic || a + bytes > dynamic + b.shared_bytes) {
      refuse("out of bounds", place,
             "dynamic shared memory has " + std::to_string(b.shared_bytes) + " bytes, byte " +
                 std::to_string(static_cast<int64_t>(a - dynamic)) + " is accessed: " + describe_thread(place));
    }
    return {dynamic_words, Space::shared, a - dynamic};
  }
  if (a - fixed < b.static_shared_bytes) return {static_words, Space::shared, a - fixed};
  const uintptr_t first = device_memory();
  if (first && a - first < device_memory_bytes) {
    const Buffer buffer = buffer_before(a);
    if (a + bytes > buffer.start + buffer.bytes || !buffer.bytes) {
      const auto past = static_cast<int64_t>(a - (buffer.start + buffer.bytes));
      refuse("out of bounds", place,
             "access of " + std::to_string(bytes) + " bytes at " + std::to_string(past) + " past the end of a buffer of " +
                 std::to_string(buffer.bytes) + " bytes (or in one that was freed): " + describe_thread(place));
    }
    if (!global_words) global_words = make_words(device_memory_bytes / 4);
    return {global_words, Space::global, a - first};
  }
  if (a < 4096) refuse("out of bounds", place, "access through a null pointer: " + describe_thread(place));
  return {};
}

}  // namespace

void note_access(const void* address, size_t bytes, Access access, Place place) {
  Block* const b = running_block();
  if (!b) return;
  const auto a = reinterpret_cast<uintptr_t>(address);
  if (a - reinterpret_cast<uintptr_t>(b->stacks) < static_cast<size_t>(b->stack_count) * stack_bytes)
    return;  // its own variables
  const Found f = find(*b, a, bytes, place);
  if (!f.words) return;
  if (bytes <= 16 && (bytes & (bytes - 1)) == 0 && a % bytes) {
    refuse("misaligned", place,
           "access of " + std::to_string(bytes) + " bytes at an address that is no multiple of it: " + describe_thread(place));
  }
  for (size_t done = 0; done < bytes;) {
    const size_t at = f.offset + done, in_word = at % 4;
    const size_t n = bytes - done < 4 - in_word ? bytes - done : 4 - in_word;
    const auto mask = static_cast<uint8_t>(((1u << n) - 1) << in_word);
    if (!check_word(f.words[at / 4], f, at, mask, access, place)) return;  // one report an access
    done += n;
  }
}

void note_launch() { first_of_launch = blocks_started + 1; }

uint32_t note_block_start(Block& b) {
  grow(dynamic_words, dynamic_count, b.shared_bytes / 4 + 1);
  grow(static_words, static_count, b.static_shared_bytes / 4 + 1);
  return ++blocks_started;
}

void note_warp_barrier(Warp& w, uint32_t lanes) {
  uint32_t known[warp_size] = {};
  const auto each = [&](const auto& body) {
    for (uint32_t left = lanes; left; left &= left - 1) body(__builtin_ctz(left));
  };
  each([&](int lane) {
    for (int other = 0; other < warp_size; ++other)
      if (w.seen[lane][other] > known[other]) known[other] = w.seen[lane][other];
    if (w.clock[lane] > known[lane]) known[lane] = w.clock[lane];
  });
  each([&](int lane) {
    std::memcpy(w.seen[lane], known, sizeof(known));
    ++w.clock[lane];
  });
}

void note_host_write(const void* data, size_t bytes) {
  const uintptr_t first = device_memory(), a = reinterpret_cast<uintptr_t>(data);
  if (!first || a - first >= device_memory_bytes) return;
  if (!global_words) global_words = make_words(device_memory_bytes / 4);
  for (size_t i = 0; i < bytes; ++i)
    global_words[(a - first + i) / 4].initialised |= static_cast<uint8_t>(1u << (a - first + i) % 4);
}

}  // namespace tg::simulator
