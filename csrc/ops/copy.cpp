// Creation, copies and conversion.
#include "ops/copy.h"
#include "kernels/kernel_table.h"
#include "ops/strided.h"

namespace tg::ops {

void raise_unless_ok(const char* op, Status status) {
  switch (status.code) {
    case Status::ok: return;
    case Status::index_out_of_range: fail(ErrorKind::index, "{}: index {} is out of range", op, status.detail);
    case Status::device_error: fail(ErrorKind::runtime, "{}: the device reported error {}", op, status.detail);
    default: fail(ErrorKind::not_implemented, "{}: no kernel on this device", op);
  }
}

void missing_kernel(const char* op, DType dtype) {
  fail(ErrorKind::not_implemented, "{}: no kernel for dtype {} on this device", op, dtype);
}

Array scratch_for(Launch& launch, size_t bytes) {
  if (bytes == 0) return {};
  Array scratch = empty({static_cast<int64_t>(bytes)}, DType::u8);
  launch.workspace = scratch.data();
  return scratch;
}

void check_writable(const char* op, const Array& x, const char* suffix) {
  check(!x.storage->read_only, ErrorKind::value,
        "{}{}: the tensor shares read-only memory and cannot be changed in place; use clone() first", op, suffix);
  check(x.contiguous() || !has_overlap(x), ErrorKind::runtime,
        "{}{}: several elements of the tensor share one place in memory (it was expanded), so it cannot be changed in place; "
        "use clone() first",
        op, suffix);
}

void check_floating(const char* op, const Array& x) {
  check(is_floating(x.dtype), ErrorKind::runtime, "{}: expected a floating tensor, got {}; convert it with .float()", op,
        x.dtype);
}

namespace {
void run_copy(Array& out, const Operand& source) {
  if (out.numel() == 0) return;
  StridedBuilder<2> builder(out);
  builder.input(1, source, source.kind == Operand::real ? DType::f64 : DType::i64);
  const auto kernel = table_of(out.device()).copy;
  if (!kernel) missing_kernel("copy", out.dtype);
  raise_unless_ok("copy", kernel(launch_on(out.device()), builder.build()));
}
}  // namespace

Array full(const Dims& shape, const Operand& value, DType dtype) {
  Array out = empty(shape, dtype);
  run_copy(out, value);
  return out;
}

Array zeros(const Dims& shape, DType dtype) { return full(shape, Operand{Operand::integer, nullptr, {}}, dtype); }

Array clone(const Array& x) {
  Array out = empty_like(x);
  run_copy(out, operand(x));
  return out;
}

Array contiguous(const Array& x) {
  if (x.contiguous()) return x;
  Array out = empty(x.shape, x.dtype);
  run_copy(out, operand(x));
  return out;
}

Array cast(const Array& x, DType dtype) {
  Array out = empty_like(x, dtype);
  run_copy(out, operand(x));
  return out;
}

void copy_(Array& x, const Operand& source) {
  check_writable("copy", x);
  Array apart;
  Operand from = source;
  if (source.kind == Operand::tensor) {
    const Dims shape = broadcast_shapes("copy_", x.shape, source.array->shape);
    check(shape == x.shape, ErrorKind::runtime, "copy_: a source of shape {} cannot be broadcast to shape {}",
          source.array->shape, x.shape);
    if (source.array->storage == x.storage) {
      apart = clone(*source.array);
      from.array = &apart;
    }
  }
  run_copy(x, from);
  touch(x);
}

}  // namespace tg::ops
