#include "core/context.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"
#include "core/isa.h"
#include "kernels/kernel_table.h"

namespace tg {
namespace {

// The CPU quota of this process's cgroup in CPUs, 0 for none: cgroup v2 ("max 100000" in cpu.max), then v1.
double cgroup_quota() {
  double quota = 0;
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    long long limit = 0, period = 0;
    if (std::fscanf(f, "%lld %lld", &limit, &period) == 2 && limit > 0 && period > 0) quota = double(limit) / double(period);
    std::fclose(f);
    return quota;
  }
  long long limit = 0, period = 0;
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
    if (std::fscanf(f, "%lld", &limit) != 1) limit = 0;
    std::fclose(f);
  }
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
    if (std::fscanf(f, "%lld", &period) != 1) period = 0;
    std::fclose(f);
  }
  return limit > 0 && period > 0 ? double(limit) / double(period) : 0;
}

int threads_from_environment() {
  const char* text = std::getenv("TILEGRAD_NUM_THREADS");
  if (!text || !*text) return available_threads();
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  check(*end == 0 && value >= 1 && value <= 1024, ErrorKind::value,
        "TILEGRAD_NUM_THREADS={}: expected a whole number from 1 to 1024", text);
  return static_cast<int>(value);
}

}  // namespace

ThreadLimits thread_limits() {
  ThreadLimits limits;
  limits.affinity = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) limits.affinity = CPU_COUNT(&set);
#endif
  if (limits.affinity < 1) limits.affinity = 1;
  limits.quota = cgroup_quota();
  return limits;
}

int available_threads() {
  const ThreadLimits limits = thread_limits();
  if (limits.quota <= 0) return limits.affinity;
  const int granted = static_cast<int>(std::ceil(limits.quota));
  return granted < limits.affinity ? (granted < 1 ? 1 : granted) : limits.affinity;
}

Context& context() {
  static Context* instance = [] {
    auto* c = new Context;
    try {
      Isa isa{};
      const std::string error = parse_isa(std::getenv("TILEGRAD_ISA"), isa);
      check(error.empty(), ErrorKind::value, "{}", error);
      c->cpu = &cpu_table(isa);
      c->threads = threads_from_environment();
    } catch (...) {
      delete c;
      throw;
    }
    // libgomp's threads do not exist in a forked child, and a parallel region there waits for them for ever.
    pthread_atfork(nullptr, nullptr, [] {
      context().forked = true;
      context().threads = 1;
    });
    return c;
  }();
  return *instance;
}

}  // namespace tg
