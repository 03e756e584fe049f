// Recurrent layers over a sequence. What can be said for all steps at once are matrix products over the whole sequence: x's part
// of the gates, and the gradients of x and of the weights. The kernels do the rest, step by step.
#include "ops/rnn.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

// The columns [begin, end) of a matrix.
Array columns(const Array& x, int64_t begin, int64_t end) {
  Array part(x);
  part.offset += begin * part.strides[1];
  part.shape[1] = end - begin;
  return part;
}
Array rows(const Array& x, int64_t begin, int64_t end) {
  Array part(x);
  part.offset += begin * part.strides[0];
  part.shape[0] = end - begin;
  return part;
}
Array transposed(const Array& x) { return transpose(x, 0, 1); }

// c = or += a b (+ bias), c with contiguous rows, possibly columns of something wider
void multiply(const char* op, const Array& a, const Array& b, Array& c, const Array* bias, bool accumulate) {
  if (c.numel() == 0) return;
  auto matrix = [](const Array& x) { return Matrix{x.data(), x.dtype, x.shape[0], x.shape[1], x.strides[0], x.strides[1]}; };
  Matmul product;
  product.a = matrix(a), product.b = matrix(b), product.c = matrix(c);
  product.c.col_stride = 1;
  product.bias = bias ? bias->data() : nullptr;
  product.accumulate = accumulate;
  run_matmul(op, product, c.device());
}

// One layer in one direction with its arguments checked and contiguous.
struct Layer {
  const char* op;
  int gates;
  int64_t steps, batch, total, features, hidden;  // T, B, N, I, H
  Array x, h0, c0, weight_ih, weight_hh, batch_sizes;
  std::optional<Array> bias_ih, bias_hh;
  Dims y_shape;
  Recurrent view;
};

void check_batch_sizes(const Layer& l) {
  const int64_t* const sizes = l.batch_sizes.as<int64_t>();
  int64_t sum = 0;
  for (int64_t t = 0; t < l.steps; ++t) {
    check(sizes[t] > 0 && sizes[t] <= (t ? sizes[t - 1] : l.total), ErrorKind::runtime,
          "{}: batch_sizes must be positive and must not rise, got {} at step {}", l.op, sizes[t], t);
    sum += sizes[t];
  }
  check(sum == l.total, ErrorKind::runtime, "{}: batch_sizes add up to {}, the packed input has {} rows", l.op, sum, l.total);
}

Layer layer_of(const char* op, int gates, const Array& x, const Array& h0, const Array* c0, const Array& weight_ih,
               const Array& weight_hh, const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes,
               bool reverse) {
  check_floating(op, x);
  check(x.ndim() == (batch_sizes ? 2 : 3), ErrorKind::runtime, "{}: expected an input of shape {}, got {}", op,
        batch_sizes ? "(N, I), packed," : "(T, B, I)", x.shape);
  check(h0.ndim() == 2, ErrorKind::runtime, "{}: expected a first h of shape (B, H), got {}", op, h0.shape);
  Layer l{op, gates, 0, 0, 0, x.shape[x.ndim() - 1], h0.shape[1], {}, {}, {}, {}, {}, {}, {}, {}, x.shape, {}};
  if (batch_sizes) {
    check(batch_sizes->dtype == DType::i64 && batch_sizes->ndim() == 1 && batch_sizes->shape[0] > 0, ErrorKind::runtime,
          "{}: expected batch_sizes of shape (T,) and dtype int64, got {} {}", op, batch_sizes->shape, batch_sizes->dtype);
    l.batch_sizes = contiguous(*batch_sizes);
    l.steps = batch_sizes->shape[0];
    l.total = x.shape[0];
    check_batch_sizes(l);
    l.batch = l.batch_sizes.as<int64_t>()[0];
  } else {
    l.steps = x.shape[0], l.batch = x.shape[1];
    l.total = l.steps * l.batch;
  }
  auto expect = [&](const char* what, const Array& given, const Dims& shape) {
    check(given.dtype == x.dtype, ErrorKind::runtime, "{}: expected {} of the input's dtype {}, got {}", op, what, x.dtype,
          given.dtype);
    check(given.shape == shape, ErrorKind::runtime, "{}: expected {} of shape {}, got {}", op, what, shape, given.shape);
  };
  check(l.hidden > 0 && l.hidden < (int64_t{1} << 40), ErrorKind::runtime, "{}: expected at least one hidden unit, got {}", op,
        l.hidden);
  expect("a first h", h0, {l.batch, l.hidden});
  if (c0) expect("a first c", *c0, {l.batch, l.hidden});
  expect("weight_ih", weight_ih, {gates * l.hidden, l.features});
  expect("weight_hh", weight_hh, {gates * l.hidden, l.hidden});
  if (bias_ih) expect("bias_ih", *bias_ih, {gates * l.hidden});
  if (bias_hh) expect("bias_hh", *bias_hh, {gates * l.hidden});
  l.x = reshape(contiguous(x), {l.total, l.features});
  l.h0 = contiguous(h0);
  if (c0) l.c0 = contiguous(*c0);
  l.weight_ih = weight_ih;
  l.weight_hh = contiguous(weight_hh);
  if (bias_ih) l.bias_ih = contiguous(*bias_ih);
  if (bias_hh) l.bias_hh = contiguous(*bias_hh);
  l.y_shape[x.ndim() - 1] = l.hidden;

  Recurrent& r = l.view;
  r.dtype = x.dtype;
  r.steps = l.steps, r.batch = l.batch, r.rows = l.total, r.hidden = l.hidden;
  r.batch_sizes = batch_sizes ? l.batch_sizes.as<int64_t>() : nullptr;
  r.reverse = reverse;
  // One step does not pay for packing the weights: its product is one of the matrix products.
  r.weight_hh = l.steps > 1 ? l.weight_hh.data() : nullptr;
  r.h0 = l.h0.data();
  r.c0 = c0 ? l.c0.data() : nullptr;
  return l;
}

// bias_ih + bias_hh, or the one there is.
std::optional<Array> summed_bias(const Layer& l) {
  if (!l.bias_ih || !l.bias_hh) return l.bias_ih ? l.bias_ih : l.bias_hh;
  return binary(BinaryOp::add, operand(*l.bias_ih), operand(*l.bias_hh));
}

// One step of several sequences: the kernel makes both products itself. (Of one sequence they are two streams of weights, which
// the matrix product does best.)
bool takes_one_step(Layer& l, const std::optional<Array>& bias, Array& no_bias) {
  if (l.steps != 1 || l.batch < 2) return false;
  l.weight_ih = contiguous(l.weight_ih);
  if (!bias) no_bias = zeros({l.gates * l.hidden}, l.x.dtype);
  Recurrent& r = l.view;
  r.x = l.x.data();
  r.features = l.features;
  r.weight_ih = l.weight_ih.data(), r.weight_hh = l.weight_hh.data();
  r.bias = bias ? bias->data() : no_bias.data();
  return true;
}

using Kernel = Status (*)(const Launch&, const Recurrent&);
using BackwardKernel = Status (*)(const Launch&, const RecurrentBackward&);

bool has_kernel(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

void run(Layer& l, Kernel kernel) {
  const KernelTable& table = table_of(l.x.device());
  if (!l.total) return;
  Launch launch = launch_on(l.x.device());
  const Array scratch = scratch_for(launch, table.rnn_workspace(l.view, l.gates, false));
  raise_unless_ok(l.op, kernel(launch, l.view));
}

// A matrix whose rows do not all fall into the same sets of a cache: 64 bytes more than a multiple of 2 KB.
Array spread_rows(int64_t count, int64_t cols, DType dtype) {
  const int64_t line = 64 / size_of(dtype), page = 2048 / size_of(dtype);
  return columns(empty({count, cols % page ? cols : cols + line}, dtype), 0, cols);
}

// Which gradients a backward op is asked for.
struct Wants {
  bool dx, dh, dw;  // dw: of the weights and biases
  explicit Wants(int64_t bits) : dx(bits & 1), dh(bits & 2), dw(bits & 4) {}
};

struct Gradients { Array dz, h_before, dh0, dc0; };

Gradients run_backward(Layer& l, BackwardKernel kernel, const MaybeArray& dy, const MaybeArray& dhn, const MaybeArray& dcn,
                       const Array& y, const Array* saved, int64_t dz_columns, bool wants_dh) {
  auto expect = [&](const char* what, const MaybeArray& given, const Dims& shape) {
    check(!given || (given->shape == shape && given->dtype == l.x.dtype), ErrorKind::runtime,
          "{}: expected {} of shape {} and dtype {}, got {} {}", l.op, what, shape, l.x.dtype, given ? given->shape : shape,
          given ? given->dtype : l.x.dtype);
  };
  expect("dy", dy, l.y_shape);
  expect("y", y, l.y_shape);
  expect("dhn", dhn, {l.batch, l.hidden});
  expect("dcn", dcn, {l.batch, l.hidden});
  const Array rows_of_y = contiguous(y), dy_rows = dy ? contiguous(*dy) : Array(), dhn_rows = dhn ? contiguous(*dhn) : Array(),
              dcn_rows = dcn ? contiguous(*dcn) : Array(), kept = saved ? contiguous(*saved) : rows_of_y;
  const bool began_at_once = l.steps == 1;  // all rows: what they started from is there
  Gradients g{spread_rows(l.total, dz_columns, l.x.dtype), began_at_once ? l.h0 : empty({l.total, l.hidden}, l.x.dtype),
              empty({l.batch, l.hidden}, l.x.dtype), empty({l.batch, l.hidden}, l.x.dtype)};
  RecurrentBackward b;
  b.forward = l.view;
  b.forward.z = kept.data();
  b.forward.y = rows_of_y.data();
  b.dy = dy ? dy_rows.data() : nullptr;
  b.dhn = dhn ? dhn_rows.data() : nullptr;
  b.dcn = dcn ? dcn_rows.data() : nullptr;
  b.dz = g.dz.data();
  b.dz_stride = g.dz.strides[0];
  b.h_before = began_at_once ? nullptr : g.h_before.data();
  b.wants_dh0 = wants_dh;
  b.dh0 = g.dh0.data();
  b.dc0 = g.dc0.data();
  const KernelTable& table = table_of(l.x.device());
  Launch launch = launch_on(l.x.device());
  const Array scratch = scratch_for(launch, table.rnn_workspace(l.view, l.gates, true));
  raise_unless_ok(l.op, kernel(launch, b));
  return g;
}

Array sum_rows(const Array& x) { return reduce(ReduceOp::sum, x, Dims{0}, false); }

// What dz gives the weights and x: dweight = dz^T with what it was multiplied by; dx = dz weight.
Array weight_gradient(const Layer& l, const Array& dz, const Array& seen) {
  Array out = empty({dz.shape[1], seen.shape[1]}, l.x.dtype);
  multiply(l.op, transposed(dz), seen, out, nullptr, false);
  return out;
}

Array none(const Layer& l) { return empty({0}, l.x.dtype); }
Array x_shaped(const Layer& l, Array dx) {
  Dims shape = l.y_shape;
  shape[shape.size - 1] = l.features;
  return reshape(dx, shape);
}

// The gradients of a layer whose dz is what x and h both see (lstm and rnn), behind dh0 (and dc0).
std::vector<Array> shared_gradients(const Layer& l, Gradients& g, const Wants& wants) {
  if (!wants.dh) g.dh0 = none(l);
  else if (!l.view.weight_hh) multiply(l.op, g.dz, l.weight_hh, g.dh0, nullptr, false);
  Array dx = none(l);
  if (wants.dx) {
    dx = empty({l.total, l.features}, l.x.dtype);
    multiply(l.op, g.dz, l.weight_ih, dx, nullptr, false);
    dx = x_shaped(l, dx);
  }
  if (!wants.dw) return {dx, none(l), none(l), none(l), none(l)};
  const bool biased = l.bias_ih || l.bias_hh;
  const Array db = biased ? sum_rows(g.dz) : none(l);
  return {dx, weight_gradient(l, g.dz, l.x), weight_gradient(l, g.dz, g.h_before), db, db};
}

}  // namespace

// --- lstm -------------------------------------------------------------------------------------------------------------
std::vector<Array> lstm(const Array& x, const Array& h0, const Array& c0, const Array& weight_ih, const Array& weight_hh,
                        const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse) {
  Layer l = layer_of("lstm", 4, x, h0, &c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse);
  const KernelTable& table = table_of(x.device());
  if (!table.lstm || !has_kernel(x.dtype)) missing_kernel("lstm", x.dtype);
  const Array saved = empty({l.total, 5 * l.hidden}, x.dtype);
  Array z = columns(saved, 0, 4 * l.hidden), y = empty(l.y_shape, x.dtype), hn = clone(l.h0), cn = clone(l.c0);
  const std::optional<Array> bias = summed_bias(l);
  Array no_bias;
  if (!takes_one_step(l, bias, no_bias)) {
    multiply("lstm", l.x, transposed(l.weight_ih), z, bias ? &*bias : nullptr, false);
    if (!l.view.weight_hh) multiply("lstm", l.h0, transposed(l.weight_hh), z, nullptr, true);
  }
  l.view.z = saved.data(), l.view.y = y.data(), l.view.hn = hn.data(), l.view.cn = cn.data();
  run(l, table.lstm);
  return {y, hn, cn, saved};
}

std::vector<Array> lstm_backward(const MaybeArray& dy, const MaybeArray& dhn, const MaybeArray& dcn, const Array& x,
                                 const Array& h0, const Array& c0, const Array& weight_ih, const Array& weight_hh,
                                 const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes,
                                 bool reverse, const Array& y, const Array& saved, int64_t wanted) {
  const Wants wants(wanted);
  Layer l = layer_of("lstm_backward", 4, x, h0, &c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse);
  const KernelTable& table = table_of(x.device());
  if (!table.lstm_backward || !has_kernel(x.dtype)) missing_kernel("lstm_backward", x.dtype);
  check(saved.dtype == x.dtype && saved.shape == Dims{l.total, 5 * l.hidden}, ErrorKind::runtime,
        "lstm_backward: expected saved gates of shape {}, got {}", Dims{l.total, 5 * l.hidden}, saved.shape);
  Gradients g = run_backward(l, table.lstm_backward, dy, dhn, dcn, y, &saved, 4 * l.hidden, wants.dh);
  std::vector<Array> out = shared_gradients(l, g, wants);
  return {out[0], g.dh0, g.dc0, out[1], out[2], out[3], out[4]};
}

// --- gru --------------------------------------------------------------------------------------------------------------
std::vector<Array> gru(const Array& x, const Array& h0, const Array& weight_ih, const Array& weight_hh,
                       const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse) {
  Layer l = layer_of("gru", 3, x, h0, nullptr, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse);
  const KernelTable& table = table_of(x.device());
  if (!table.gru || !has_kernel(x.dtype)) missing_kernel("gru", x.dtype);
  const int64_t H = l.hidden;
  const Array saved = empty({l.total, 4 * H}, x.dtype);
  Array z = columns(saved, 0, 3 * H), y = empty(l.y_shape, x.dtype), hn = clone(l.h0);
  // r multiplies h's part of n with its bias, so that bias is not x's to bring
  std::optional<Array> bias = l.bias_ih;
  if (l.bias_hh) {
    Array shared = clone(*l.bias_hh);
    std::memset(shared.data() + 2 * H * size_of(x.dtype), 0, static_cast<size_t>(H) * size_of(x.dtype));
    bias = l.bias_ih ? binary(BinaryOp::add, operand(*l.bias_ih), operand(shared)) : shared;
    l.view.bias_hn = l.bias_hh->data() + 2 * H * size_of(x.dtype);
  }
  Array no_bias;
  const bool one_step = takes_one_step(l, bias, no_bias);
  if (!one_step) multiply("gru", l.x, transposed(l.weight_ih), z, bias ? &*bias : nullptr, false);
  if (!l.view.weight_hh) {
    Array reset_and_update = columns(saved, 0, 2 * H), p = columns(saved, 3 * H, 4 * H);
    multiply("gru", l.h0, transposed(rows(l.weight_hh, 0, 2 * H)), reset_and_update, nullptr, true);
    multiply("gru", l.h0, transposed(rows(l.weight_hh, 2 * H, 3 * H)), p, nullptr, false);
  }
  l.view.z = saved.data(), l.view.y = y.data(), l.view.hn = hn.data();
  run(l, table.gru);
  return {y, hn, saved};
}

std::vector<Array> gru_backward(const MaybeArray& dy, const MaybeArray& dhn, const Array& x, const Array& h0,
                                const Array& weight_ih, const Array& weight_hh, const MaybeArray& bias_ih,
                                const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse, const Array& y,
                                const Array& saved, int64_t wanted) {
  const Wants wants(wanted);
  Layer l = layer_of("gru_backward", 3, x, h0, nullptr, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse);
  const KernelTable& table = table_of(x.device());
  if (!table.gru_backward || !has_kernel(x.dtype)) missing_kernel("gru_backward", x.dtype);
  const int64_t H = l.hidden;
  check(saved.dtype == x.dtype && saved.shape == Dims{l.total, 4 * H}, ErrorKind::runtime,
        "gru_backward: expected saved gates of shape {}, got {}", Dims{l.total, 4 * H}, saved.shape);
  Gradients g = run_backward(l, table.gru_backward, dy, dhn, std::nullopt, y, &saved, 4 * H, wants.dh);
  // columns: n for x, then r z n for h
  const Array dn = columns(g.dz, 0, H), dgates = columns(g.dz, H, 3 * H), dh_side = columns(g.dz, H, 4 * H);
  if (!wants.dh) g.dh0 = none(l);
  else if (!l.view.weight_hh) multiply(l.op, dh_side, l.weight_hh, g.dh0, nullptr, true);
  Array dx = none(l);
  if (wants.dx) {
    dx = empty({l.total, l.features}, x.dtype);
    multiply(l.op, dgates, rows(l.weight_ih, 0, 2 * H), dx, nullptr, false);
    multiply(l.op, dn, rows(l.weight_ih, 2 * H, 3 * H), dx, nullptr, true);
    dx = x_shaped(l, dx);
  }
  if (!wants.dw) return {dx, g.dh0, none(l), none(l), none(l), none(l)};
  Array dw_ih = empty({3 * H, l.features}, x.dtype);
  Array gate_rows = rows(dw_ih, 0, 2 * H), n_rows = rows(dw_ih, 2 * H, 3 * H);
  multiply(l.op, transposed(dgates), l.x, gate_rows, nullptr, false);
  multiply(l.op, transposed(dn), l.x, n_rows, nullptr, false);
  Array db_ih = none(l), db_hh = none(l);
  if (l.bias_ih || l.bias_hh) {
    const Array sums = reshape(sum_rows(g.dz), {1, 4 * H});
    db_ih = reshape(cat({columns(sums, H, 3 * H), columns(sums, 0, H)}, 1), {3 * H});
    db_hh = reshape(contiguous(columns(sums, H, 4 * H)), {3 * H});
  }
  return {dx, g.dh0, dw_ih, weight_gradient(l, dh_side, g.h_before), db_ih, db_hh};
}

// --- rnn --------------------------------------------------------------------------------------------------------------
std::vector<Array> rnn(const Array& x, const Array& h0, const Array& weight_ih, const Array& weight_hh,
                       const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse,
                       bool relu) {
  Layer l = layer_of("rnn", 1, x, h0, nullptr, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse);
  const KernelTable& table = table_of(x.device());
  if (!table.rnn || !has_kernel(x.dtype)) missing_kernel("rnn", x.dtype);
  Array y = empty(l.y_shape, x.dtype), hn = clone(l.h0), z = reshape(y, {l.total, l.hidden});
  const std::optional<Array> bias = summed_bias(l);
  Array no_bias;
  if (!takes_one_step(l, bias, no_bias)) {
    multiply("rnn", l.x, transposed(l.weight_ih), z, bias ? &*bias : nullptr, false);
    if (!l.view.weight_hh) multiply("rnn", l.h0, transposed(l.weight_hh), z, nullptr, true);
  }
  l.view.z = l.view.y = y.data(), l.view.hn = hn.data(), l.view.relu = relu;
  run(l, table.rnn);
  return {y, hn};
}

std::vector<Array> rnn_backward(const MaybeArray& dy, const MaybeArray& dhn, const Array& x, const Array& h0,
                                const Array& weight_ih, const Array& weight_hh, const MaybeArray& bias_ih,
                                const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse, bool relu,
                                const Array& y, int64_t wanted) {
  const Wants wants(wanted);
  Layer l = layer_of("rnn_backward", 1, x, h0, nullptr, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse);
  const KernelTable& table = table_of(x.device());
  if (!table.rnn_backward || !has_kernel(x.dtype)) missing_kernel("rnn_backward", x.dtype);
  l.view.relu = relu;
  Gradients g = run_backward(l, table.rnn_backward, dy, dhn, std::nullopt, y, nullptr, l.hidden, wants.dh);
  std::vector<Array> out = shared_gradients(l, g, wants);
  return {out[0], g.dh0, out[1], out[2], out[3], out[4]};
}

}  // namespace tg::ops
