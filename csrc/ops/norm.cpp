// Normalisation: checks, shapes, and the views of the kernels.
#include "ops/norm.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

Dims last_dims(const Array& x, int64_t dims) {
  Dims shape;
  for (int i = x.ndim() - static_cast<int>(dims); i < x.ndim(); ++i) shape.push(x.shape[i]);
  return shape;
}

Dims first_dims(const Array& x, int64_t dims) {
  Dims shape;
  for (int i = 0; i < x.ndim() - dims; ++i) shape.push(x.shape[i]);
  return shape;
}

// A weight or bias in the compute dtype of x, contiguous. It may be stored in that or in x's own dtype.
OptionalArray vector_for(const char* op, const char* what, const OptionalArray& v, const Array& x, const Dims& shape) {
  if (!v) return std::nullopt;
  const DType wanted = compute_type(x.dtype);
  check(v->shape == shape, ErrorKind::runtime, "{}: expected a {} of shape {}, got {}", op, what, shape, v->shape);
  check(v->dtype == wanted || v->dtype == x.dtype, ErrorKind::runtime, "{}: expected a {} of dtype {}, got {}", op, what,
        x.dtype, v->dtype);
  return v->dtype == wanted ? contiguous(*v) : cast(*v, wanted);
}
const void* data_of(const OptionalArray& v) { return v ? v->data() : nullptr; }

// The gradient of a weight, in the weight's dtype (x's where there is none: then nobody looks at it).
Array like(const OptionalArray& v, const Array& x, Array gradient) {
  const DType wanted = v ? v->dtype : x.dtype;
  return gradient.dtype == wanted ? gradient : cast(gradient, wanted);
}

void check_gradient(const char* op, const Array& dy, const Array& x) {
  check(dy.shape == x.shape && dy.dtype == x.dtype, ErrorKind::runtime, "{}: dy {} {} and x {} {} differ", op, dy.shape,
        dy.dtype, x.shape, x.dtype);
}
Array statistics_for(const char* op, const char* what, const Array& v, const Array& x, const Dims& shape) {
  check(v.shape == shape && v.dtype == compute_type(x.dtype), ErrorKind::runtime,
        "{}: expected {} of shape {} and dtype {}, got {} {}", op, what, shape, compute_type(x.dtype), v.shape, v.dtype);
  return contiguous(v);
}

template <class Kernel, class Workspace, class Arguments>
void run(const char* op, const Array& x, Kernel kernel, Workspace workspace, const Arguments& arguments) {
  if (!kernel) missing_kernel(op, x.dtype);
  Launch launch = launch_on(x.device());
  const Array scratch = scratch_for(launch, workspace ? workspace(arguments) : 0);
  const Status status = kernel(launch, arguments);
  if (status.code == Status::missing) missing_kernel(op, x.dtype);
  raise_unless_ok(op, status);
}
template <class Arguments> size_t (*no_workspace())(const Arguments&) { return nullptr; }

void check_rows(const char* op, const Array& x, int64_t dims) {
  check_floating(op, x);
  check(dims >= 1 && dims <= x.ndim(), ErrorKind::runtime, "{}: cannot normalise the last {} dims of shape {}", op, dims,
        x.shape);
}

struct RowResult { Array y, mean, rstd; };

RowResult row_norm(const char* op, const Array& x0, const OptionalArray& weight, const OptionalArray& bias, int64_t dims,
                   double eps, Status (*KernelTable::*row)(const Launch&, const RowNorm&)) {
  check_rows(op, x0, dims);
  const Array x = contiguous(x0);
  const Dims shape = last_dims(x, dims), lead = first_dims(x, dims);
  const OptionalArray w = vector_for(op, "weight", weight, x, shape), b = vector_for(op, "bias", bias, x, shape);
  const DType compute = compute_type(x.dtype);
  RowResult out{empty(x.shape, x.dtype), zeros(lead, compute), zeros(lead, compute)};
  if (x.numel() == 0) return out;
  RowNorm a;
  a.x = rows_of(x, element_count(shape));
  a.y = out.y.data();
  a.weight = data_of(w), a.bias = data_of(b);
  a.mean = out.mean.data(), a.rstd = out.rstd.data();
  a.eps = eps;
  run(op, x, table_of(x.device()).*row, no_workspace<RowNorm>(), a);
  return out;
}

struct Gradients { Array dx, dweight, dbias; };

Gradients row_norm_backward(const char* op, const Array& dy0, const Array& x0, const OptionalArray& weight, const Array* mean,
                            const Array& rstd, int64_t dims, Status (*KernelTable::*row)(const Launch&, const RowNormBackward&),
                            size_t (*KernelTable::*workspace)(const RowNormBackward&)) {
  check_rows(op, x0, dims);
  check_gradient(op, dy0, x0);
  const Array x = contiguous(x0), dy = contiguous(dy0);
  const Dims shape = last_dims(x, dims), lead = first_dims(x, dims);
  const OptionalArray w = vector_for(op, "weight", weight, x, shape);
  const Array centre = mean ? statistics_for(op, "mean", *mean, x, lead) : Array();
  const Array spread = statistics_for(op, "rstd", rstd, x, lead);
  const DType compute = compute_type(x.dtype);
  Gradients out{empty(x.shape, x.dtype), zeros(shape, compute), zeros(shape, compute)};
  if (x.numel()) {
    RowNormBackward a;
    a.x = rows_of(x, element_count(shape));
    a.dy = rows_of(dy, element_count(shape));
    a.dx = out.dx.data();
    a.weight = data_of(w);
    a.mean = mean ? centre.data() : nullptr;
    a.rstd = spread.data();
    a.dweight = out.dweight.data(), a.dbias = out.dbias.data();
    const KernelTable& table = table_of(x.device());
    run(op, x, table.*row, table.*workspace, a);
  }
  out.dweight = like(weight, x, out.dweight);
  out.dbias = like(weight, x, out.dbias);
  return out;
}

// (N, C, ...) as batch, channels, length.
template <class View> void set_geometry(const char* op, View& view, const Array& x) {
  view.dtype = x.dtype;
  view.batch = x.shape[0];
  view.channels = x.shape[1];
  view.length = 1;
  for (int i = 2; i < x.ndim(); ++i) view.length *= x.shape[i];
  (void)op;
}
void check_channels(const char* op, const Array& x) {
  check_floating(op, x);
  check(x.ndim() >= 2, ErrorKind::runtime, "{}: expected an input of shape (N, C, ...), got {}", op, x.shape);
}
void check_groups(const char* op, const Array& x, int64_t groups) {
  check(groups > 0 && x.shape[1] % groups == 0, ErrorKind::runtime, "{}: {} channels cannot be cut into {} groups", op,
        x.shape[1], groups);
}

using ChannelWorkspace = size_t (*KernelTable::*)(const ChannelNormBackward&);

Gradients channel_norm_backward(const char* op, const Array& dy0, const Array& x0, const OptionalArray& weight,
                                const Array& mean, const Array& rstd, const Dims& statistics, int64_t groups,
                                Status (*KernelTable::*row)(const Launch&, const ChannelNormBackward&),
                                ChannelWorkspace workspace) {
  check_gradient(op, dy0, x0);
  const Array x = contiguous(x0), dy = contiguous(dy0);
  const Dims vector{x.shape[1]};
  const OptionalArray w = vector_for(op, "weight", weight, x, vector);
  const Array centre = statistics_for(op, "mean", mean, x, statistics);
  const Array spread = statistics_for(op, "rstd", rstd, x, statistics);
  const DType compute = compute_type(x.dtype);
  Gradients out{empty(x.shape, x.dtype), zeros(vector, compute), zeros(vector, compute)};
  if (x.numel()) {
    ChannelNormBackward a;
    set_geometry(op, a, x);
    a.groups = groups;
    a.x = x.data(), a.dy = dy.data(), a.dx = out.dx.data();
    a.weight = data_of(w), a.mean = centre.data(), a.rstd = spread.data();
    a.dweight = out.dweight.data(), a.dbias = out.dbias.data();
    const KernelTable& table = table_of(x.device());
    run(op, x, table.*row, table.*workspace, a);
  }
  out.dweight = like(weight, x, out.dweight);
  out.dbias = like(weight, x, out.dbias);
  return out;
}

}  // namespace

std::tuple<Array, Array, Array> layer_norm(const Array& x, const OptionalArray& weight, const OptionalArray& bias, int64_t dims,
                                           double eps) {
  RowResult r = row_norm("layer_norm", x, weight, bias, dims, eps, &KernelTable::layer_norm);
  return {std::move(r.y), std::move(r.mean), std::move(r.rstd)};
}

std::tuple<Array, Array, Array> layer_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight,
                                                    const Array& mean, const Array& rstd, int64_t dims, double) {
  Gradients g = row_norm_backward("layer_norm_backward", dy, x, weight, &mean, rstd, dims, &KernelTable::layer_norm_backward,
                                  &KernelTable::layer_norm_backward_workspace);
  return {std::move(g.dx), std::move(g.dweight), std::move(g.dbias)};
}

std::tuple<Array, Array> rms_norm(const Array& x, const OptionalArray& weight, int64_t dims, double eps) {
  RowResult r = row_norm("rms_norm", x, weight, std::nullopt, dims, eps, &KernelTable::rms_norm);
  return {std::move(r.y), std::move(r.rstd)};
}

std::tuple<Array, Array> rms_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight, const Array& rstd,
                                           int64_t dims, double) {
  Gradients g = row_norm_backward("rms_norm_backward", dy, x, weight, nullptr, rstd, dims, &KernelTable::rms_norm_backward,
                                  &KernelTable::rms_norm_backward_workspace);
  return {std::move(g.dx), std::move(g.dweight)};
}

std::tuple<Array, Array, Array, Array> batch_norm(const Array& x0, const OptionalArray& weight, const OptionalArray& bias,
                                                  double eps) {
  check_channels("batch_norm", x0);
  const Array x = contiguous(x0);
  const Dims vector{x.shape[1]};
  const OptionalArray w = vector_for("batch_norm", "weight", weight, x, vector);
  const OptionalArray b = vector_for("batch_norm", "bias", bias, x, vector);
  const DType compute = compute_type(x.dtype);
  Array y = empty(x.shape, x.dtype), mean = zeros(vector, compute), rstd = zeros(vector, compute);
  Array variance = zeros(vector, compute);
  if (x.numel()) {
    ChannelNorm a;
    set_geometry("batch_norm", a, x);
    a.x = x.data(), a.y = y.data();
    a.weight = data_of(w), a.bias = data_of(b);
    a.mean = mean.data(), a.rstd = rstd.data(), a.variance = variance.data();
    a.eps = eps;
    const KernelTable& table = table_of(x.device());
    run("batch_norm", x, table.batch_norm, table.batch_norm_workspace, a);
  }
  return {std::move(y), std::move(mean), std::move(rstd), std::move(variance)};
}

std::tuple<Array, Array, Array> batch_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight,
                                                    const Array& mean, const Array& rstd, double) {
  check_channels("batch_norm_backward", x);
  Gradients g = channel_norm_backward("batch_norm_backward", dy, x, weight, mean, rstd, {x.shape[1]}, 1,
                                      &KernelTable::batch_norm_backward, &KernelTable::batch_norm_backward_workspace);
  return {std::move(g.dx), std::move(g.dweight), std::move(g.dbias)};
}

std::tuple<Array, Array, Array> group_norm(const Array& x0, const OptionalArray& weight, const OptionalArray& bias,
                                           int64_t groups, double eps) {
  check_channels("group_norm", x0);
  check_groups("group_norm", x0, groups);
  const Array x = contiguous(x0);
  const Dims vector{x.shape[1]}, statistics{x.shape[0], groups};
  const OptionalArray w = vector_for("group_norm", "weight", weight, x, vector);
  const OptionalArray b = vector_for("group_norm", "bias", bias, x, vector);
  const DType compute = compute_type(x.dtype);
  Array y = empty(x.shape, x.dtype), mean = zeros(statistics, compute), rstd = zeros(statistics, compute);
  if (x.numel()) {
    ChannelNorm a;
    set_geometry("group_norm", a, x);
    a.groups = groups;
    a.x = x.data(), a.y = y.data();
    a.weight = data_of(w), a.bias = data_of(b);
    a.mean = mean.data(), a.rstd = rstd.data();
    a.eps = eps;
    run("group_norm", x, table_of(x.device()).group_norm, no_workspace<ChannelNorm>(), a);
  }
  return {std::move(y), std::move(mean), std::move(rstd)};
}

std::tuple<Array, Array, Array> group_norm_backward(const Array& dy, const Array& x, const OptionalArray& weight,
                                                    const Array& mean, const Array& rstd, int64_t groups, double) {
  check_channels("group_norm_backward", x);
  check_groups("group_norm_backward", x, groups);
  Gradients g = channel_norm_backward("group_norm_backward", dy, x, weight, mean, rstd, {x.shape[0], groups}, groups,
                                      &KernelTable::group_norm_backward, &KernelTable::group_norm_backward_workspace);
  return {std::move(g.dx), std::move(g.dweight), std::move(g.dbias)};
}

Array channel_affine(const Array& x0, const Array& scale, const Array& shift) {
  check_channels("channel_affine", x0);
  const Array x = contiguous(x0);
  const Dims vector{x.shape[1]};
  const OptionalArray a = vector_for("channel_affine", "scale", scale, x, vector);
  const OptionalArray b = vector_for("channel_affine", "shift", shift, x, vector);
  Array y = empty(x.shape, x.dtype);
  if (x.numel() == 0) return y;
  ChannelAffine view;
  set_geometry("channel_affine", view, x);
  view.x = x.data(), view.y = y.data();
  view.scale = a->data(), view.shift = b->data();
  run("channel_affine", x, table_of(x.device()).channel_affine, no_workspace<ChannelAffine>(), view);
  return y;
}

std::tuple<Array, Array, Array> channel_affine_backward(const Array& dy0, const Array& x0, const Array& scale) {
  check_channels("channel_affine_backward", x0);
  check_gradient("channel_affine_backward", dy0, x0);
  const Array x = contiguous(x0), dy = contiguous(dy0);
  const Dims vector{x.shape[1]};
  const OptionalArray w = vector_for("channel_affine_backward", "scale", scale, x, vector);
  const DType compute = compute_type(x.dtype);
  Gradients out{empty(x.shape, x.dtype), zeros(vector, compute), zeros(vector, compute)};
  if (x.numel()) {
    ChannelNormBackward a;  // mean and rstd stay null: they are given, and part of the scale
    set_geometry("channel_affine_backward", a, x);
    a.x = x.data(), a.dy = dy.data(), a.dx = out.dx.data();
    a.weight = w->data();
    a.dweight = out.dweight.data(), a.dbias = out.dbias.data();
    const KernelTable& table = table_of(x.device());
    run("channel_affine_backward", x, table.batch_norm_backward, table.batch_norm_backward_workspace, a);
  }
  return {std::move(out.dx), like(scale, x, out.dweight), like(scale, x, out.dbias)};
}

}  // namespace tg::ops
