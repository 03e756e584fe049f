// What the library of a device sim lets others call, by name: settings, reports, device memory. The texts stay valid until the
// next call of the same function.
#include "kernels/sim/check.h"
#include "kernels/sim/memory.h"
#include "kernels/sim/report.h"
#include "kernels/sim/settings.h"

#define TG_EXPORT extern "C" [[gnu::visibility("default")]]

namespace sim = tg::simulator;

TG_EXPORT int tilegrad_sim_checks() { return sim::checking; }
TG_EXPORT void tilegrad_sim_set_seed(uint64_t seed) { sim::settings().seed = seed; }
TG_EXPORT int64_t tilegrad_sim_report_count() { return static_cast<int64_t>(sim::reports().size()); }
TG_EXPORT const char* tilegrad_sim_report_kind(int64_t i) { return sim::reports()[static_cast<size_t>(i)].kind.c_str(); }
TG_EXPORT const char* tilegrad_sim_report_text(int64_t i) { return sim::reports()[static_cast<size_t>(i)].text.c_str(); }
TG_EXPORT int64_t tilegrad_sim_report_repeats(int64_t i) { return sim::reports()[static_cast<size_t>(i)].count; }
TG_EXPORT void tilegrad_sim_clear_reports() { sim::clear_reports(); }
TG_EXPORT const char* tilegrad_sim_failure() { return sim::failure().c_str(); }

TG_EXPORT void* tilegrad_sim_allocate(size_t bytes) { return sim::allocate_device(bytes); }
TG_EXPORT void tilegrad_sim_free(void* data) { sim::free_device(data); }
TG_EXPORT void tilegrad_sim_host_write(const void* data, size_t bytes) {
#ifdef TILEGRAD_SIM_CHECK
  sim::note_host_write(data, bytes);
#else
  (void)data, (void)bytes;
#endif
}
