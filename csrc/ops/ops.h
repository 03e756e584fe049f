// The ops: arrays in, arrays out. An op checks its arguments, works out the result's shape and dtype, allocates it, picks
// the table of the device and calls one kernel. No loops over data here; no Python. This page is what the ops share; each family
// declares its ops in a header of its own.
#pragma once
#include <optional>
#include <tuple>
#include <vector>

#include "core/array.h"
#include "core/context.h"
#include "kernels/op_list.h"

namespace tg::ops {

// An argument that is a tensor or a Python number. Numbers take part in promotion by kind only, as in PyTorch.
struct Operand {
  enum Kind { boolean, integer, real, tensor } kind = tensor;
  const Array* array = nullptr;
  Scalar number;
};
DType result_type(const Operand& x, const Operand& y);
inline Operand operand(const Array& x) { return {Operand::tensor, &x, {}}; }  // x must outlive it

// The answer of a kernel as an exception; `op` is named in it.
void raise_unless_ok(const char* op, Status status);
[[noreturn]] void missing_kernel(const char* op, DType dtype);
void check_writable(const char* op, const Array& x,
                    const char* suffix = "_");  // in-place targets: no read-only memory, no self-overlap
void check_floating(const char* op, const Array& x);

// Gives the launch so many bytes of scratch memory, which live as long as the array that is returned.
[[nodiscard]] Array scratch_for(Launch& launch, size_t bytes);

inline void touch(Array& x) { x.storage->version.fetch_add(1, std::memory_order_relaxed); }  // after every in-place change

// A contiguous array as rows of `cols` elements; without `cols`, of its last dim.
inline Rows rows_of(const Array& x, int64_t cols) { return {x.data(), x.dtype, cols ? x.numel() / cols : 0, cols, cols}; }
inline Rows rows_of(const Array& x) { return rows_of(x, x.shape[x.ndim() - 1]); }

}  // namespace tg::ops
