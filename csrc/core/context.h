// The state of the process, in one struct: threads, the chosen instruction set, the tables of the devices.
#pragma once
#include <string>

#include "core/device.h"
#include "kernels/arguments/conv.h"
#include "kernels/views.h"

namespace tg {

struct KernelTable;

struct Context {
  int threads = 1;
  bool forked = false;  // this process was forked from one that ran kernels: it stays on one thread
  ConvAlgorithm conv_algorithm = ConvAlgorithm::automatic;
  const KernelTable* cpu = nullptr;  // the table of the chosen instruction set
};

// Set up on first use from TILEGRAD_ISA and TILEGRAD_NUM_THREADS; a bad value raises Error(value).
Context& context();

// How many threads the machine lets this process run: min(CPU affinity, cgroup quota), at least 1.
int available_threads();
struct ThreadLimits {
  int affinity = 1;  // CPUs in the affinity mask
  double quota = 0;  // CPUs the cgroup grants; 0 = no quota
};
ThreadLimits thread_limits();

inline const KernelTable& table_of(Device device) {
  (void)device;  // the CPU is the only backend so far; sim and cuda get their table here
  return *context().cpu;
}
inline Launch launch_on(Device) { return Launch{nullptr, nullptr, context().threads}; }

}  // namespace tg
