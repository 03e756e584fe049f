// Atomics. Blocks may run on several OS threads, so these are the processor's.
#include "kernels/sim/check.h"

namespace tg::simulator {

uint64_t load_atomic(void* address, size_t bytes, Site site) {
  note_access(address, bytes, Access::atomic, {site, nullptr});
  if (bytes == 4) return __atomic_load_n(static_cast<uint32_t*>(address), __ATOMIC_RELAXED);
  return __atomic_load_n(static_cast<uint64_t*>(address), __ATOMIC_RELAXED);
}

bool compare_exchange(void* address, size_t bytes, uint64_t* expected, uint64_t next) {
  if (bytes == 8) {
    return __atomic_compare_exchange_n(static_cast<uint64_t*>(address), expected, next, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
  }
  auto expected_word = static_cast<uint32_t>(*expected);
  const bool done = __atomic_compare_exchange_n(static_cast<uint32_t*>(address), &expected_word, static_cast<uint32_t>(next),
                                                false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  *expected = expected_word;
  return done;
}

}  // namespace tg::simulator
