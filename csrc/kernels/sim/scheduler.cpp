// Who runs next, and what threads wait for: block barriers and warp operations.
#include "kernels/sim/scheduler.h"

#include <cstring>
#include <map>

#include "kernels/sim/check.h"
#include "kernels/sim/report.h"
#include "kernels/sim/settings.h"

namespace tg::simulator {
namespace {

uint32_t draw(Block& b) {  // xorshift
  b.random ^= b.random << 13;
  b.random ^= b.random >> 7;
  b.random ^= b.random << 17;
  return static_cast<uint32_t>(b.random >> 16);
}

int pick_lane(Block& b, uint32_t ready) {
  if (settings().seed == 0) return __builtin_ctz(ready);
  const unsigned by = draw(b) % warp_size;
  const uint32_t rotated = by ? ready >> by | ready << (warp_size - by) : ready;
  return static_cast<int>((static_cast<unsigned>(__builtin_ctz(rotated)) + by) % warp_size);
}

}  // namespace

// Mostly of the warp that ran last; now and then, with a seed, of another.
int next_thread(Block& b) {
  const auto warps = static_cast<int>(b.warps.size());
  if (settings().seed != 0 && draw(b) % 16 == 0) b.current_warp = static_cast<int>(draw(b) % b.warps.size());
  for (int tried = 0; tried < warps; ++tried) {
    const Warp& w = b.warps[static_cast<size_t>(b.current_warp)];
    if (w.ready) return w.first + pick_lane(b, w.ready);
    b.current_warp = b.current_warp + 1 == warps ? 0 : b.current_warp + 1;
  }
  return -1;
}

namespace {

[[noreturn]] void report_deadlock(Block& b) {
  std::map<std::string, int> groups;
  for (const Fiber& f : b.fibers) {
    const char* const what[] = {"ready", "at a warp operation", "at __syncthreads", "finished"};
    std::string text = what[static_cast<int>(f.state)];
    if (f.state == State::at_warp_operation || f.state == State::at_barrier) text += ", " + to_text(f.waits_at);
    ++groups[text];
  }
  const uint3 at = b.thread(0).block_index;
  std::string text = "deadlock in " + kernel_name(b.kernel->name) + ", block (" + std::to_string(at.x) + ", " +
                     std::to_string(at.y) + ", " + std::to_string(at.z) + "):";
  for (const auto& [where, count] : groups) text += "\n  " + std::to_string(count) + " threads " + where;
  report("deadlock", text, [&] { return text; });
  set_failure(text);
  abandon_block();
}

// Runs others until this thread is ready again.
void wait_for_others(Block& b, int me) {
  const int to = next_thread(b);
  if (to < 0) report_deadlock(b);
  if (to != me) {
    tilegrad_switch_fiber(&b.fibers[static_cast<size_t>(me)].stack_pointer, b.fibers[static_cast<size_t>(to)].stack_pointer);
  }
}

void open_barrier(Block& b) {
  b.vote_result = b.vote == Vote::all ? b.votes == b.arrived : b.vote == Vote::any ? b.votes > 0 : b.votes;
  b.arrived = b.votes = 0;
  ++b.epoch;
  for (Warp& w : b.warps) w.ready = w.alive;
  for (Fiber& f : b.fibers)
    if (f.state == State::at_barrier) f.state = State::ready;
}

void finish_rendezvous(Warp& w, Rendezvous& r) {
  Block& b = *this_thread().block;
  const uint32_t lanes = r.arrived;
  r.arrived = 0;
  r.operation(w, lanes);
  if (r.operation == only_meet) note_warp_barrier(w, lanes);
  w.ready |= lanes;
  for (uint32_t left = lanes; left; left &= left - 1)
    b.fibers[static_cast<size_t>(w.first + __builtin_ctz(left))].state = State::ready;
}

}  // namespace

void fiber_main() {
  Block& b = *this_thread().block;
  b.kernel->call(b.kernel->arguments);

  const auto me = static_cast<int>(this_thread().number);
  Fiber& f = b.fibers[static_cast<size_t>(me)];
  if (!f.copies.empty()) {
    const Site site = f.copies.front().site;
    report("unfinished copy", to_text(site),
           [&] { return "an asynchronous copy is still under way when its thread ends: " + describe_thread(site); });
  }
  f.state = State::finished;
  Warp& w = b.warps[static_cast<size_t>(me / warp_size)];
  const uint32_t bit = 1u << (me % warp_size);
  w.ready &= ~bit, w.alive &= ~bit;
  --b.alive;
  if (b.alive > 0 && b.arrived == b.alive) open_barrier(b);  // a barrier waits for living threads only
  for (Rendezvous& r : w.rendezvous)                         // who waited for this lane alone waits no more
    if (r.arrived && r.arrived == (r.mask & w.alive)) finish_rendezvous(w, r);

  void* abandoned;
  if (b.alive == 0) tilegrad_switch_fiber(&abandoned, b.host_stack);
  const int to = next_thread(b);
  if (to < 0) report_deadlock(b);
  tilegrad_switch_fiber(&abandoned, b.fibers[static_cast<size_t>(to)].stack_pointer);
  __builtin_unreachable();
}

void abandon_block() {
  Block& b = *this_thread().block;
  b.failed = true;
  void* abandoned;
  tilegrad_switch_fiber(&abandoned, b.host_stack);
  __builtin_unreachable();
}

void* dynamic_shared() { return this_thread().block->shared; }

int block_barrier(Vote vote, int value, Site site) {
  const Thread& t = this_thread();
  Block& b = *t.block;
  Fiber& f = b.fibers[t.number];
  if (b.arrived == 0) {
    b.barrier_site = site;
    b.vote = vote;
  } else if (b.barrier_site.line != site.line || std::strcmp(b.barrier_site.file, site.file) != 0) {
    report("divergent barrier", to_text(b.barrier_site) + to_text(site), [&] {
      return "threads of one block meet at different __syncthreads, " + to_text(b.barrier_site) + " and " + to_text(site) +
             ", in " + kernel_name(b.kernel->name);
    });
  }
  b.votes += vote != Vote::none && value != 0;
  if (++b.arrived == b.alive) {
    open_barrier(b);
  } else {
    f.state = State::at_barrier;
    f.waits_at = site;
    b.warps[t.warp].ready &= ~(1u << t.lane);
    wait_for_others(b, static_cast<int>(t.number));
  }
  return b.vote_result;
}

void meet(uint32_t lanes, Operation operation, const char* name, Site site) {
  const Thread& t = this_thread();
  Block& b = *t.block;
  Warp& w = b.warps[t.warp];
  const uint32_t bit = 1u << t.lane;
  if (!(lanes & bit)) {
    report("warp mask", to_text(site),
           [&] { return std::string(name) + " with a mask that does not name the calling lane: " + describe_thread(site); });
    lanes |= bit;
  }
  Rendezvous* r = nullptr;
  for (Rendezvous& other : w.rendezvous) {
    if (other.arrived && other.mask == lanes) r = &other;
    else if (other.arrived && (other.mask & bit))
      report("warp mask", to_text(other.site) + to_text(site), [&] {
        return std::string("lanes of one warp wait for each other with different masks, at ") + to_text(other.site) +
               " and at " + to_text(site) + ", in " + kernel_name(b.kernel->name);
      });
  }
  if (!r) {
    for (r = w.rendezvous; r->arrived; ++r) {}
    *r = {lanes, 0, operation, site};
  } else if (r->operation != operation) {
    report("warp divergence", to_text(r->site) + to_text(site), [&] {
      return "lanes of one mask are in different warp operations, at " + to_text(r->site) + " and at " + to_text(site) +
             ", in " + kernel_name(b.kernel->name);
    });
  }
  r->arrived |= bit;
  if (r->arrived == (lanes & w.alive)) {
    finish_rendezvous(w, *r);
  } else {
    b.fibers[t.number].state = State::at_warp_operation;
    b.fibers[t.number].waits_at = site;
    w.ready &= ~bit;
    wait_for_others(b, static_cast<int>(t.number));
  }
}

}  // namespace tg::simulator
