// Random numbers: Philox streams written in place.
#include "ops/random.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"

namespace tg::ops {
namespace {

// Runs fill(contiguous view) on x, through a temporary where x is not contiguous: element i of the stream is element i in
// row-major order whatever the layout.
template <class Fill> void in_order(const char* op, Array& x, const Fill& fill) {
  check_writable(op, x, "");
  Array target = x.contiguous() ? x : empty(x.shape, x.dtype);
  Strided<1> view;
  view.ndim = 1;
  view.shape[0] = target.numel();
  view.operand[0].data = target.data();
  view.operand[0].dtype = target.dtype;
  view.operand[0].strides[0] = 1;
  if (view.shape[0]) {
    const Status status = fill(launch_on(x.device()), view);
    if (status.code == Status::missing) missing_kernel(op, x.dtype);
    raise_unless_ok(op, status);
  }
  if (target.storage != x.storage) copy_(x, operand(target));
  else touch(x);
}

Random stream(int64_t seed, int64_t offset) { return Random{static_cast<uint64_t>(seed), static_cast<uint64_t>(offset)}; }

}  // namespace

void uniform_(Array& x, double low, double high, int64_t seed, int64_t offset) {
  check_floating("uniform_", x);
  check(low <= high, ErrorKind::runtime, "uniform_: expected from <= to, got from={} and to={}", low, high);
  in_order("uniform_", x, [&](const Launch& l, const Strided<1>& v) {
    return table_of(x.device()).uniform(l, stream(seed, offset), v, low, high);
  });
}

void normal_(Array& x, double mean, double std, int64_t seed, int64_t offset) {
  check_floating("normal_", x);
  check(std >= 0, ErrorKind::runtime, "normal_: expected std >= 0, got {}", std);
  in_order("normal_", x, [&](const Launch& l, const Strided<1>& v) {
    return table_of(x.device()).normal(l, stream(seed, offset), v, mean, std);
  });
}

void randint_(Array& x, int64_t low, int64_t high, int64_t seed, int64_t offset) {
  check(low < high, ErrorKind::runtime, "randint: expected low < high, got low={} and high={}", low, high);
  in_order("randint_", x, [&](const Launch& l, const Strided<1>& v) {
    return table_of(x.device()).randint(l, stream(seed, offset), v, low, high);
  });
}

}  // namespace tg::ops
