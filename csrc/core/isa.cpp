#include "core/isa.h"
#include "kernels/kernel_table.h"

#include <string_view>

namespace tg {

namespace {

struct Detected {
  IsaInfo list[isa_count] = {{"baseline", true, true},
                             {"avx2", false, false},
                             {"avx512", false, false},
                             {"avx512_bf16", false, false},
                             {"neon", false, false}};

  Detected() {
#ifdef TG_X86
    for (int i = 0; i < 4; ++i) list[i].compiled = true;
    // libgcc's detection looks at the processor and at the registers the operating system saves.
    __builtin_cpu_init();
    list[0].supported = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    list[1].supported =
        list[0].supported && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    list[2].supported = list[1].supported && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    list[3].supported = list[2].supported && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
#elif defined(TG_AARCH64)
    list[4].compiled = list[4].supported = true;  // a part of every 64-bit ARM processor
#endif
  }
};

}  // namespace

const IsaInfo (&isa_list()) [isa_count] {
  static const Detected detected;
  return detected.list;
}

Isa best_isa() {
  int best = 0;
  for (int i = 0; i < isa_count; ++i)
    if (isa_list()[i].compiled && isa_list()[i].supported) best = i;
  return static_cast<Isa>(best);
}

const KernelTable& cpu_table(Isa isa) {
#ifdef TG_X86
  switch (isa) {
    case Isa::baseline: break;
    case Isa::avx2: return avx2::table();
    case Isa::avx512: return avx512::table();
    case Isa::avx512_bf16: return avx512_bf16::table();
    case Isa::neon: break;
  }
#elif defined(TG_AARCH64)
  if (isa == Isa::neon) return neon::table();
#else
  (void)isa;
#endif
  return baseline::table();
}

std::string parse_isa(const char* value, Isa& isa) {
  const std::string_view wanted = value ? value : "";
  if (wanted.empty()) {
    isa = best_isa();
    return "";
  }
  std::string usable, reason = "is not an instruction set tilegrad knows";
  for (int i = 0; i < isa_count; ++i) {
    const IsaInfo& info = isa_list()[i];
    if (info.compiled && info.supported) usable += (usable.empty() ? "" : ", ") + std::string(info.name);
    if (wanted != info.name) continue;
    isa = static_cast<Isa>(i);
    if (info.compiled && info.supported) return "";
    reason = info.compiled ? "is not supported by this processor" : "is not compiled into this build";
  }
  return "TILEGRAD_ISA=" + std::string(wanted) + " " + reason + "; this machine can use: " + usable;
}

}  // namespace tg
