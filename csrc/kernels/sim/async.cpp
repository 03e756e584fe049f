// cp.async: copies that land at some time between their issue and the wait for their group. Even seeds land them as late as
// allowed, odd seeds as early: a kernel that reads too soon, or fills a buffer that is still read, is wrong with one of them.
#include <cstring>

#include "kernels/sim/check.h"
#include "kernels/sim/report.h"
#include "kernels/sim/settings.h"

namespace tg::simulator {
namespace {

Fiber& mine() {
  const Thread& t = this_thread();
  return t.block->fibers[t.number];
}

bool lands_early() { return settings().seed % 2 == 1; }

void land(const AsyncCopy& c) {
  if (c.from_source) std::memcpy(c.to, c.from, static_cast<size_t>(c.from_source));
  std::memset(c.to + c.from_source, 0, static_cast<size_t>(c.bytes - c.from_source));
}

}  // namespace

void copy_async(void* shared, const void* global, int bytes, int from_source, Site site) {
  const auto bits = reinterpret_cast<uintptr_t>(shared) | (from_source ? reinterpret_cast<uintptr_t>(global) : 0);
  if (bits % static_cast<uintptr_t>(bytes)) {
    set_failure("misaligned cp.async of " + std::to_string(bytes) + " bytes: " + describe_thread(site));
    report("misaligned", to_text(site), [] { return failure(); });
    abandon_block();
  }
  if (from_source) note_access(global, static_cast<size_t>(from_source), Access::read, {site, nullptr});
  note_access(shared, static_cast<size_t>(bytes), Access::copy_issued, {site, nullptr});
  const AsyncCopy copy{static_cast<char*>(shared), static_cast<const char*>(global), bytes, from_source, site};
  if (lands_early()) land(copy);
  mine().copies.push_back(copy);
  ++mine().copies_uncommitted;
}

void commit_copies() {
  Fiber& f = mine();
  f.copies_in_group.push_back(f.copies_uncommitted);
  f.copies_uncommitted = 0;
}

void wait_for_copies(int groups_in_flight) {
  Fiber& f = mine();
  const auto groups = static_cast<int>(f.copies_in_group.size());
  if (groups <= groups_in_flight) return;
  const auto last_group = f.copies_in_group.begin() + (groups - groups_in_flight);
  int landed = 0;
  for (auto group = f.copies_in_group.begin(); group != last_group; ++group) landed += *group;
  for (int i = 0; i < landed; ++i) {
    const AsyncCopy& c = f.copies[static_cast<size_t>(i)];
    if (!lands_early()) land(c);
    note_access(c.to, static_cast<size_t>(c.bytes), Access::copy_landed, {c.site, nullptr});
  }
  f.copies_in_group.erase(f.copies_in_group.begin(), last_group);
  f.copies.erase(f.copies.begin(), f.copies.begin() + landed);
}

}  // namespace tg::simulator
