// Attention over 4-d tensors in any layout: heads may lie inside rows, as projections make them, and come out the same way.
#include "ops/attention.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

// The kernels want features side by side; any other layout they take as it is.
Array features_last(const Array& x) { return x.shape[3] <= 1 || x.strides[3] == 1 ? x : contiguous(x); }

Heads heads_of(const Array& x) { return {x.data(), x.strides[0], x.strides[1], x.strides[2]}; }

// Memory for (batch, heads, rows, features) whose first three dims lie in the same order as those of `like`.
Array empty_in_order_of(const Array& like, const Dims& shape) {
  int order[3] = {0, 1, 2};
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2 - i; ++j)
      if (like.shape[order[j]] > 1 && like.shape[order[j + 1]] > 1 && like.strides[order[j]] < like.strides[order[j + 1]])
        std::swap(order[j], order[j + 1]);
  Dims strides = contiguous_strides(shape);
  int64_t step = shape[3];
  for (int i = 3; i--;) {
    strides[order[i]] = step;
    step *= shape[order[i]];
  }
  return empty_strided(shape, strides, like.dtype);
}

void check_shapes(const char* op, const Array& q, const Array& k, const Array& v) {
  check_floating(op, q);
  check(q.dtype == k.dtype && q.dtype == v.dtype, ErrorKind::runtime,
        "{}: expected query, key and value of one dtype, got {}, {} and {}", op, q.dtype, k.dtype, v.dtype);
  check(q.ndim() == 4 && k.ndim() == 4 && v.ndim() == 4, ErrorKind::runtime,
        "{}: expected query (B, H, L, D), key (B, G, S, D) and value (B, G, S, Dv), got {}, {} and {}", op, q.shape, k.shape,
        v.shape);
  const bool fit = q.shape[0] == k.shape[0] && k.shape[0] == v.shape[0] && k.shape[1] == v.shape[1] &&
                   k.shape[2] == v.shape[2] && q.shape[3] == k.shape[3];
  check(fit, ErrorKind::runtime,
        "{}: query {}, key {} and value {} do not fit: expected (B, H, L, D), (B, G, S, D), (B, G, S, Dv)", op, q.shape,
        k.shape, v.shape);
  const bool shared = k.shape[1] > 0 ? q.shape[1] % k.shape[1] == 0 : q.shape[1] == 0;
  check(shared, ErrorKind::runtime, "{}: the {} heads of query must be a multiple of the {} of key and value", op, q.shape[1],
        k.shape[1]);
}

struct Arguments {
  Array q, k, v, mask;
  Attention a;

  Arguments(const char* op, const Array& query, const Array& key, const Array& value, const std::optional<Array>& m,
            double scale, bool is_causal, double dropout_p, int64_t seed, int64_t offset) {
    check_shapes(op, query, key, value);
    check(dropout_p >= 0 && dropout_p <= 1, ErrorKind::value, "{}: dropout_p must lie in [0, 1], got {}", op, dropout_p);
    q = features_last(query), k = features_last(key), v = features_last(value);
    a.dtype = q.dtype;
    a.batch = q.shape[0], a.heads = q.shape[1], a.groups = k.shape[1];
    a.rows = q.shape[2], a.cols = k.shape[2];
    a.size = q.shape[3], a.value_size = v.shape[3];
    a.q = heads_of(q), a.k = heads_of(k), a.v = heads_of(v);
    a.scale = scale;
    a.causal = is_causal;
    a.dropout = dropout_p;
    a.random = Random{static_cast<uint64_t>(seed), static_cast<uint64_t>(offset)};
    if (!m) return;
    mask = *m;
    const DType wanted = compute_type(q.dtype);
    check(mask.dtype == DType::b8 || mask.dtype == wanted, ErrorKind::runtime, "{}: expected a mask of bool or {}, got {}", op,
          wanted, mask.dtype);
    check(mask.ndim() == 4, ErrorKind::runtime, "{}: expected a 4-d mask, got shape {}", op, mask.shape);
    const int64_t full[4] = {a.batch, a.heads, a.rows, a.cols};
    for (int d = 0; d < 4; ++d) {
      check(mask.shape[d] == 1 || mask.shape[d] == full[d], ErrorKind::runtime,
            "{}: a mask of shape {} does not broadcast to ({}, {}, {}, {})", op, mask.shape, full[0], full[1], full[2],
            full[3]);
      a.mask_strides[d] = mask.shape[d] == 1 ? 0 : mask.strides[d];
    }
    a.mask = mask.data();
    a.mask_dtype = mask.dtype;
  }
};

// Calls the kernel with the workspace that its twin asks for.
template <class Kernel> void run(const char* op, size_t (*workspace)(const Attention&, int), const Attention& a, Device device,
                                 const Kernel& kernel) {
  Launch launch = launch_on(device);
  const Array scratch = scratch_for(launch, workspace(a, launch.threads));
  const Status status = kernel(launch);
  if (status.code == Status::missing) missing_kernel(op, a.dtype);
  raise_unless_ok(op, status);
}

}  // namespace

std::tuple<Array, Array> attention(const Array& query, const Array& key, const Array& value, const std::optional<Array>& mask,
                                   double scale, bool is_causal, double dropout_p, int64_t seed, int64_t offset) {
  Arguments arguments("attention", query, key, value, mask, scale, is_causal, dropout_p, seed, offset);
  Attention& a = arguments.a;
  Array out = empty_in_order_of(query, {a.batch, a.heads, a.rows, a.value_size});
  Array lse = empty({a.batch, a.heads, a.rows}, compute_type(a.dtype));
  a.out = heads_of(out);
  a.lse = lse.data();
  const KernelTable& table = table_of(query.device());
  if (!table.attention) missing_kernel("attention", a.dtype);
  if (lse.numel())
    run("attention", table.attention_workspace, a, query.device(), [&](const Launch& l) { return table.attention(l, a); });
  return {std::move(out), std::move(lse)};
}

std::tuple<Array, Array, Array> attention_backward(const Array& dy, const Array& query, const Array& key, const Array& value,
                                                   const std::optional<Array>& mask, const Array& out, const Array& lse,
                                                   double scale, bool is_causal, double dropout_p, int64_t seed,
                                                   int64_t offset) {
  Arguments arguments("attention_backward", query, key, value, mask, scale, is_causal, dropout_p, seed, offset);
  Attention& a = arguments.a;
  const Dims shape{a.batch, a.heads, a.rows, a.value_size};
  check(dy.shape == shape && out.shape == shape && dy.dtype == a.dtype && out.dtype == a.dtype, ErrorKind::runtime,
        "attention_backward: expected dy and out of shape {} and dtype {}, got {} {} and {} {}", shape, a.dtype, dy.shape,
        dy.dtype, out.shape, out.dtype);
  check(lse.shape == Dims{a.batch, a.heads, a.rows} && lse.dtype == compute_type(a.dtype), ErrorKind::runtime,
        "attention_backward: expected lse of dtype {} and one entry a row, got {} {}", compute_type(a.dtype), lse.shape,
        lse.dtype);
  const Array dout = features_last(dy), y = features_last(out), sums = contiguous(lse);
  Array dq = empty_in_order_of(query, query.shape), dk = empty_in_order_of(key, key.shape),
        dv = empty_in_order_of(value, value.shape);
  a.out = heads_of(y);
  a.lse = sums.data();
  const AttentionGradients grads{heads_of(dout), heads_of(dq), heads_of(dk), heads_of(dv)};
  const KernelTable& table = table_of(query.device());
  if (!table.attention_backward) missing_kernel("attention_backward", a.dtype);
  if (a.batch * a.groups > 0)
    run("attention_backward", table.attention_backward_workspace, a, query.device(),
        [&](const Launch& l) { return table.attention_backward(l, a, grads); });
  return {std::move(dq), std::move(dk), std::move(dv)};
}

}  // namespace tg::ops
