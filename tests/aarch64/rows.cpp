// A KernelTable for this machine whose every row hands its arguments to one function, `forward`: that of the emulator, which
// calls the same row of the table inside the emulated processor.
//
// No row need be known by its type. On x86-64 (System V) and on aarch64 alike, integers and pointers are counted apart from
// floating-point arguments, structs of 16 bytes (Status) come back in the first two result registers, and the views have the same
// layout. So the registers of a call are passed on as they are.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/kernel_table.h"

namespace {

struct Result { uint64_t first, second; };  // rax and rdx here, x0 and x1 there

constexpr size_t row_count = (sizeof(tg::KernelTable) - sizeof(const char*)) / sizeof(void*);
constexpr int integers = 7, doubles = 2;  // the most that any row takes; the seventh integer comes on the stack

using Forward = void (*)(int row, const uint64_t* integers, const double* doubles, Result* result);
Forward forward = nullptr;

template <size_t row>
Result call(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, double x, double y, uint64_t g) {
  const uint64_t i[integers] = {a, b, c, d, e, f, g};
  const double r[doubles] = {x, y};
  Result result{};
  forward(static_cast<int>(row), i, r, &result);
  return result;
}

struct Table {
  const char* name;
  void* rows[row_count];
};
static_assert(sizeof(Table) == sizeof(tg::KernelTable));
Table table;

template <size_t... row> void fill(const Table& emulated, std::index_sequence<row...>) {
  ((table.rows[row] = emulated.rows[row] ? reinterpret_cast<void*>(&call<row>) : nullptr), ...);
}

}  // namespace

// The table for this machine; `emulated` is the other one's, which lies in memory that both see.
extern "C" void* make_table(const void* emulated, Forward to) {
  forward = to;
  const Table& other = *static_cast<const Table*>(emulated);
  table.name = other.name;
  fill(other, std::make_index_sequence<row_count>());
  return &table;
}
