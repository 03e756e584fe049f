// The matrix instructions. In PTX's layout for mma.sync, lane l = 4 g + t holds, with two 16-bit elements a register,
//
//   a (16, 16)   (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), each with its right neighbour
//   b (16, 8)    (2t, g), (2t + 8, g), each with the element below
//   d (16, 8)    (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
//
// and for tf32, one element a register, a (16, 8): (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4), b (8, 8): (t, g), (t + 4, g).
// Products are added in float32, in the order of k; the hardware's order and rounding are not documented.
// Source: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "mma.m16n8k8", "ldmatrix".
#include <cstring>

#include "kernels/sim/check.h"
#include "kernels/sim/half.h"
#include "kernels/sim/report.h"
#include "kernels/sim/scheduler.h"

namespace tg::simulator {
namespace {

float element(MmaType type, uint32_t bits) {
  if (type == MmaType::bf16_k16) return to_float(bf16{static_cast<uint16_t>(bits)});
  if (type == MmaType::f16_k16) return to_float(f16{static_cast<uint16_t>(bits)});
  return __builtin_bit_cast(float, bits & 0xffffe000u);  // tf32 has ten bits of mantissa: the hardware ignores the rest
}

// Lanes that have finished cannot bring their part. The last lane to arrive, or to finish, finds out.
void need_full_warp(const Warp& w, uint32_t lanes, const char* name) {
  if (lanes == all_lanes) return;
  Site site;
  for (const Rendezvous& r : w.rendezvous)
    if (r.mask == all_lanes) site = r.site;
  set_failure(std::string(name) + " needs all 32 lanes of a warp, of " + kernel_name(this_thread().block->kernel->name) +
              " at " + to_text(site));
  report("warp mask", to_text(site), [] { return failure(); });
  abandon_block();
}

template <MmaType type> void multiply(Warp& w, uint32_t lanes) {
  need_full_warp(w, lanes, "mma.sync");
  constexpr int K = type == MmaType::tf32_k8 ? 8 : 16;
  float a[16][16], b[16][8], d[16][8];
  for (int lane = 0; lane < warp_size; ++lane) {
    const int g = lane / 4, t = lane % 4;
    const uint32_t* const in = w.exchange[lane].in;  // a (4 registers), b (2), d (4)
    if constexpr (K == 16) {
      for (int i = 0; i < 4; ++i) {
        const int row = g + i % 2 * 8, k = 2 * t + i / 2 * 8;
        a[row][k] = element(type, in[i] & 0xffff), a[row][k + 1] = element(type, in[i] >> 16);
      }
      for (int i = 0; i < 2; ++i) {
        const int k = 2 * t + i * 8;
        b[k][g] = element(type, in[4 + i] & 0xffff), b[k + 1][g] = element(type, in[4 + i] >> 16);
      }
    } else {
      for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = element(type, in[i]);
      for (int i = 0; i < 2; ++i) b[t + i * 4][g] = element(type, in[4 + i]);
    }
    for (int i = 0; i < 4; ++i) d[g + i / 2 * 8][2 * t + i % 2] = __builtin_bit_cast(float, in[6 + i]);
  }
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < K; ++k)
      for (int col = 0; col < 8; ++col) d[row][col] += a[row][k] * b[k][col];
  for (int lane = 0; lane < warp_size; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) w.exchange[lane].out[i] = __builtin_bit_cast(uint32_t, d[g + i / 2 * 8][2 * t + i % 2]);
  }
}

// Register i of lane l holds the elements (l / 4, 2 (l % 4)) and its right neighbour of matrix i; transposed: of its transpose.
template <int count, bool transposed> void gather_matrices(Warp& w, uint32_t lanes) {
  need_full_warp(w, lanes, "ldmatrix");
  for (int i = 0; i < count; ++i) {
    uint16_t m[8][8];
    for (int row = 0; row < 8; ++row) std::memcpy(m[row], w.exchange[8 * i + row].address, 16);
    for (int lane = 0; lane < warp_size; ++lane) {
      const int row = lane / 4, col = 2 * (lane % 4);
      const uint32_t low = transposed ? m[col][row] : m[row][col], high = transposed ? m[col + 1][row] : m[row][col + 1];
      w.exchange[lane].out[i] = low | high << 16;
    }
  }
}

}  // namespace

void mma(MmaType type, float* d, const uint32_t* a, const uint32_t* b, Site site) {
  const Thread& t = this_thread();
  Exchange& e = t.block->warps[t.warp].exchange[t.lane];
  std::memcpy(e.in, a, 16);
  std::memcpy(e.in + 4, b, 8);
  std::memcpy(e.in + 6, d, 16);
  const Operation operation = type == MmaType::bf16_k16  ? multiply<MmaType::bf16_k16>
                              : type == MmaType::f16_k16 ? multiply<MmaType::f16_k16>
                                                         : multiply<MmaType::tf32_k8>;
  meet(all_lanes, operation, "mma.sync", site);
  std::memcpy(d, e.out, 16);
}

void load_matrices(uint32_t* registers, const void* row, int count, bool transposed, Site site) {
  const Thread& t = this_thread();
  Exchange& e = t.block->warps[t.warp].exchange[t.lane];
  e.address = row;
  if (static_cast<int>(t.lane) < 8 * count) {
    if (reinterpret_cast<uintptr_t>(row) % 16) {
      set_failure("ldmatrix: the address of a row must be a multiple of 16: " + describe_thread(site));
      report("misaligned", to_text(site), [] { return failure(); });
      abandon_block();
    }
    note_access(row, 16, Access::read, {site, nullptr});
  }
  const Operation operations[3][2] = {{gather_matrices<1, false>, gather_matrices<1, true>},
                                      {gather_matrices<2, false>, gather_matrices<2, true>},
                                      {gather_matrices<4, false>, gather_matrices<4, true>}};
  meet(all_lanes, operations[count / 2][transposed], "ldmatrix", site);
  std::memcpy(registers, e.out, static_cast<size_t>(count) * 4);
}

}  // namespace tg::simulator
