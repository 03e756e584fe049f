// The instruction sets the CPU kernels are compiled for, and which of them this machine can run.
#pragma once
#include <string>

namespace tg {

struct KernelTable;

enum class Isa { baseline, avx2, avx512, avx512_bf16, neon };
inline constexpr int isa_count = 5;

struct IsaInfo {
  const char* name;
  bool compiled;   // there is a table for it in this build
  bool supported;  // the processor and the operating system can run it
};

// All of them, those of a processor worst first; detected once.
const IsaInfo (&isa_list())[isa_count];

// The best one that is compiled and supported.
Isa best_isa();

// Its kernels. The caller has made sure that it is compiled and supported.
const KernelTable& cpu_table(Isa isa);

// Reads a value of TILEGRAD_ISA: null or empty means the best. Returns an error text, empty if all is well.
std::string parse_isa(const char* value, Isa& isa);

}  // namespace tg
