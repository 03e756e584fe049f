// What the user sets: by environment variables before the library is loaded, or by tilegrad.sim.
#pragma once
#include <cstdint>

namespace tg::simulator {

struct Settings {
  uint64_t seed =
      0;  // TILEGRAD_SIM_SEED: 0 runs threads in order; others draw who goes on. Odd: asynchronous copies land at once
  bool counting = false;  // count memory accesses (the checked build only)
};

Settings& settings();

}  // namespace tg::simulator
