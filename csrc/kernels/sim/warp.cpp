// Warp operations: shuffles, votes, matches, reductions. The last lane to arrive works for all.
#include <cstring>

#include "kernels/sim/check.h"
#include "kernels/sim/report.h"
#include "kernels/sim/scheduler.h"

namespace tg::simulator {
namespace {

template <class Body> void each_lane(uint32_t lanes, const Body& body) {
  for (uint32_t left = lanes; left; left &= left - 1) body(__builtin_ctz(left));
}

Exchange& mine() {
  const Thread& t = this_thread();
  return t.block->warps[t.warp].exchange[t.lane];
}

uint64_t value_of(const Exchange& e) { return e.in[0] | uint64_t{e.in[1]} << 32; }

// in: value (2), source, kind, width
int source_lane(const Exchange& e, int lane) {
  const auto by = static_cast<int>(e.in[2]), width = static_cast<int>(e.in[4]);
  const int first = lane & ~(width - 1), end = first + width;
  switch (static_cast<Shuffle>(e.in[3])) {
    case Shuffle::from: return first + (by & (width - 1));
    case Shuffle::up: return lane - by >= first ? lane - by : lane;
    case Shuffle::down: return lane + by < end ? lane + by : lane;
    default: return (lane ^ by) < end ? lane ^ by : lane;
  }
}

void shuffle_lanes(Warp& w, uint32_t lanes) {
  each_lane(lanes, [&](int lane) {
    Exchange& e = w.exchange[lane];
    const int from = source_lane(e, lane);
    const bool there = lanes >> from & 1;
    const uint64_t value = there ? value_of(w.exchange[from]) : 0x7fc0dead7fc0deadu;  // what no lane gave: NaN
    e.out[0] = static_cast<uint32_t>(value);
    e.out[1] = static_cast<uint32_t>(value >> 32);
    e.out[2] = !there;
  });
}

void ballot_lanes(Warp& w, uint32_t lanes) {
  uint32_t result = 0;
  each_lane(lanes, [&](int lane) { result |= w.exchange[lane].in[0] << lane; });
  each_lane(lanes, [&](int lane) { w.exchange[lane].out[0] = result; });
}

void match_lanes(Warp& w, uint32_t lanes) {
  each_lane(lanes, [&](int lane) {
    uint32_t same = 0;
    each_lane(lanes, [&](int other) {
      if (value_of(w.exchange[other]) == value_of(w.exchange[lane])) same |= 1u << other;
    });
    w.exchange[lane].out[0] = same;
  });
}

// in: value, kind, is it signed
void reduce_lanes(Warp& w, uint32_t lanes) {
  const Exchange& first = w.exchange[__builtin_ctz(lanes)];
  const auto kind = static_cast<Reduce>(first.in[1]);
  const bool is_signed = first.in[2];
  uint32_t result = first.in[0];
  each_lane(lanes & (lanes - 1), [&](int lane) {
    const uint32_t x = w.exchange[lane].in[0];
    const bool less = is_signed ? static_cast<int32_t>(x) < static_cast<int32_t>(result) : x < result;
    switch (kind) {
      case Reduce::add: result += x; break;
      case Reduce::min: result = less ? x : result; break;
      case Reduce::max: result = less ? result : x; break;
      case Reduce::bits_and: result &= x; break;
      case Reduce::bits_or: result |= x; break;
      case Reduce::bits_xor: result ^= x; break;
    }
  });
  each_lane(lanes, [&](int lane) { w.exchange[lane].out[0] = result; });
}

}  // namespace

void only_meet(Warp&, uint32_t) {}

void warp_barrier(uint32_t lanes, Site site) { meet(lanes, only_meet, "__syncwarp", site); }

uint64_t shuffle(uint32_t lanes, Shuffle kind, uint64_t value, int lane, int width, Site site) {
  Exchange& e = mine();
  e.in[0] = static_cast<uint32_t>(value);
  e.in[1] = static_cast<uint32_t>(value >> 32);
  e.in[2] = static_cast<uint32_t>(lane);
  e.in[3] = static_cast<uint32_t>(kind);
  e.in[4] = static_cast<uint32_t>(width);
  meet(lanes, shuffle_lanes, "a shuffle", site);
  if (e.out[2]) {
    report("shuffle source", to_text(site),
           [&] { return "a shuffle reads a lane that its mask does not name or that has finished: " + describe_thread(site); });
  }
  return e.out[0] | uint64_t{e.out[1]} << 32;
}

uint32_t ballot(uint32_t lanes, bool value, Site site) {
  Exchange& e = mine();
  e.in[0] = value;
  meet(lanes, ballot_lanes, "a vote", site);
  return e.out[0];
}

uint32_t match_any(uint32_t lanes, uint64_t value, Site site) {
  Exchange& e = mine();
  e.in[0] = static_cast<uint32_t>(value);
  e.in[1] = static_cast<uint32_t>(value >> 32);
  meet(lanes, match_lanes, "__match_any_sync", site);
  return e.out[0];
}

uint32_t warp_reduce(uint32_t lanes, Reduce kind, uint32_t value, bool is_signed, Site site) {
  Exchange& e = mine();
  e.in[0] = value;
  e.in[1] = static_cast<uint32_t>(kind);
  e.in[2] = is_signed;
  meet(lanes, reduce_lanes, "a warp reduction", site);
  return e.out[0];
}

uint32_t active_lanes() {
  const Thread& t = this_thread();
  return t.block->warps[t.warp].alive;
}

}  // namespace tg::simulator
