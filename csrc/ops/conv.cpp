// Convolutions: argument checks with PyTorch's wording, shapes, storage types.
#include "ops/conv.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

// Sizes beyond this would overflow a product of two somewhere.
constexpr int64_t largest = int64_t{1} << 31;

// How the windows lie.
struct Windows {
  const char* op;
  int64_t stride[2], dilation[2], before[2], after[2];
  int64_t groups;
};

void take_pair(const char* op, const char* what, const Dims& given, int64_t (&pair)[2]) {
  check(given.size == 1 || given.size == 2, ErrorKind::runtime,
        "{}: expected {} to be a single integer value or a list of 2 values to match the convolution dimensions, but got {}={}",
        op, what, what, given);
  pair[0] = given[0];
  pair[1] = given[given.size - 1];
  for (int64_t v : pair) check(v < largest && v > -largest, ErrorKind::runtime, "{}: {} {} is too large", op, what, given);
}

Windows windows_of(const char* op, const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups) {
  Windows w;
  w.op = op;
  take_pair(op, "stride", stride, w.stride);
  take_pair(op, "dilation", dilation, w.dilation);
  if (padding.size == 4) {  // (top, bottom, left, right)
    take_pair(op, "padding", {padding[0], padding[2]}, w.before);
    take_pair(op, "padding", {padding[1], padding[3]}, w.after);
  } else {
    take_pair(op, "padding", padding, w.before);
    take_pair(op, "padding", padding, w.after);
  }
  for (int d = 0; d < 2; ++d) {
    check(w.before[d] >= 0 && w.after[d] >= 0, ErrorKind::runtime, "{}: negative padding is not supported, got {}", op,
          padding);
    check(w.stride[d] > 0, ErrorKind::runtime, "{}: non-positive stride is not supported, got {}", op, stride);
    check(w.dilation[d] > 0, ErrorKind::runtime, "{}: dilation should be greater than zero, got {}", op, dilation);
  }
  check(groups > 0, ErrorKind::runtime, "{}: non-positive groups is not supported, got {}", op, groups);
  w.groups = groups;
  return w;
}

void check_images(const char* op, const char* what, const Array& x) {
  check_floating(op, x);
  check(x.ndim() == 4, ErrorKind::runtime, "{}: expected 4D {} (N, C, H, W), but got {} of size: {}", op, what, what, x.shape);
}

void check_weight(const Windows& w, const Array& weight) {
  check(weight.ndim() == 4, ErrorKind::runtime, "{}: expected a 4D weight (out_channels, in_channels / groups, KH, KW), got {}",
        w.op, weight.shape);
  check(weight.shape[0] >= w.groups, ErrorKind::runtime,
        "{}: Given groups={}, expected weight to be at least {} at dimension 0, but got weight of size {} instead", w.op,
        w.groups, w.groups, weight.shape);
  check(weight.shape[0] % w.groups == 0, ErrorKind::runtime,
        "{}: Given groups={}, expected weight to be divisible by {} at dimension 0, but got weight of size {} instead", w.op,
        w.groups, w.groups, weight.shape);
  check(weight.shape[2] > 0 && weight.shape[3] > 0, ErrorKind::runtime,
        "{}: Kernel size should be non-zero, got weight of size {}", w.op, weight.shape);
}

void check_dtypes(const char* op, const char* first, const Array& a, const char* second, const Array& b) {
  check(a.dtype == b.dtype, ErrorKind::runtime, "{}: {} type ({}) and {} type ({}) should be the same", op, first, a.dtype,
        second, b.dtype);
}

Dims spatial(const char* op, const char* what, const Dims& size) {
  check(size.size == 2, ErrorKind::runtime, "{}: expected {} to be (height, width), got {}", op, what, size);
  for (int64_t v : size)
    check(v >= 0 && v < largest, ErrorKind::runtime, "{}: expected {} of sizes from 0 to 2^31, got {}", op, what, size);
  return size;
}

// As many windows as fit.
Dims windows_that_fit(const Windows& w, const Array& x, const Dims& kernel) {
  int64_t padded[2];
  bool fit = true;
  for (int d = 0; d < 2; ++d) {
    padded[d] = x.shape[2 + d] + w.before[d] + w.after[d];
    fit = fit && padded[d] >= w.dilation[d] * (kernel[d] - 1) + 1;
  }
  check(fit, ErrorKind::runtime,
        "{}: Calculated padded input size per channel: ({} x {}). Kernel size: ({} x {}). Kernel size can't be greater than "
        "actual input size (dilation {})",
        w.op, padded[0], padded[1], kernel[0], kernel[1], Dims{w.dilation[0], w.dilation[1]});
  Dims out;
  for (int d = 0; d < 2; ++d) out.push((padded[d] - w.dilation[d] * (kernel[d] - 1) - 1) / w.stride[d] + 1);
  return out;
}

// Images as kernels read them: pixels of a line side by side.
Array lines(const Array& x) { return x.shape[3] > 1 && x.strides[3] != 1 ? contiguous(x) : x; }

Images images_of(const Array& x) {
  return {x.data(), x.dtype, x.shape[0], x.shape[1], x.shape[2], x.shape[3], x.strides[0], x.strides[1], x.strides[2]};
}

// A view without data.
Conv2d windows_view(const Windows& w, const Dims& weight_size) {
  Conv2d c;
  c.groups = w.groups;
  for (int d = 0; d < 2; ++d) {
    c.kernel[d] = weight_size[2 + d];
    c.stride[d] = w.stride[d];
    c.dilation[d] = w.dilation[d];
    c.padding[d] = w.before[d];
  }
  c.algorithm = context().conv_algorithm;
  return c;
}

Conv2d view_of(const Windows& w, const Array& x, const Array& y, const Array& weight) {
  Conv2d c = windows_view(w, weight.shape);
  c.x = images_of(x);
  c.y = images_of(y);
  c.weight = weight.data();
  return c;
}

using Kernel = Status (*)(const Launch&, const Conv2d&);
using Workspace = size_t (*)(const Conv2d&, int);

void run(const char* op, Kernel kernel, Workspace workspace, const Conv2d& c, const Array& out) {
  if (!kernel) missing_kernel(op, out.dtype);
  Launch launch = launch_on(out.device());
  Array scratch;
  const size_t bytes = workspace ? workspace(c, launch.threads) : 0;
  if (bytes) {
    scratch = empty({static_cast<int64_t>(bytes)}, DType::u8);
    launch.workspace = scratch.data();
  }
  const Status status = kernel(launch, c);
  if (status.code == Status::missing) missing_kernel(op, out.dtype);
  raise_unless_ok(op, status);
}

Array zeros(const Dims& shape, DType dtype) {
  Operand zero;
  zero.kind = Operand::real;
  return full(shape, zero, dtype);
}

bool is_16_bit(const Array& x) { return x.dtype == DType::bf16 || x.dtype == DType::f16; }
Array widen(const Array& x) { return cast(x, DType::f32); }

}  // namespace

Array conv2d(const Array& x, const Array& weight, const std::optional<Array>& bias, const std::optional<Dims>& output_size,
             const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups, Activation activation) {
  const Windows w = windows_of("conv2d", stride, padding, dilation, groups);
  check_images(w.op, "input", x);
  check_weight(w, weight);
  check_dtypes(w.op, "Input", x, "weight", weight);
  check(x.shape[1] == weight.shape[1] * groups, ErrorKind::runtime,
        "{}: Given groups={}, weight of size {}, expected input{} to have {} channels, but got {} channels instead", w.op,
        groups, weight.shape, x.shape, weight.shape[1] * groups, x.shape[1]);
  if (bias) {
    check_dtypes(w.op, "Input", x, "bias", *bias);
    check(bias->ndim() == 1 && bias->shape[0] == weight.shape[0], ErrorKind::runtime,
          "{}: Given weight of size {}, expected bias to be 1-dimensional with {} elements, but got bias of size {} instead",
          w.op, weight.shape, weight.shape[0], bias->shape);
  }
  const Dims size =
      output_size ? spatial(w.op, "output_size", *output_size) : windows_that_fit(w, x, {weight.shape[2], weight.shape[3]});
  if (is_16_bit(x)) {
    const std::optional<Array> wide_bias = bias ? std::optional<Array>(widen(*bias)) : std::nullopt;
    return cast(conv2d(widen(x), widen(weight), wide_bias, size, stride, padding, dilation, groups, activation), x.dtype);
  }
  Array y = empty({x.shape[0], weight.shape[0], size[0], size[1]}, x.dtype);
  if (y.numel() == 0) return y;
  const Array images = lines(x), kernel = contiguous(weight);
  Conv2d c = view_of(w, images, y, kernel);
  Array bias_row;
  if (bias) {
    bias_row = contiguous(*bias);
    c.bias = bias_row.data();
  }
  c.activation = activation;
  const KernelTable& table = table_of(x.device());
  run(w.op, table.conv2d, table.conv2d_workspace, c, y);
  return y;
}

Array conv2d_backward_input(const Array& dy, const Array& weight, const Dims& input_size, const Dims& stride,
                            const Dims& padding, const Dims& dilation, int64_t groups) {
  const Windows w = windows_of("conv2d_backward_input", stride, padding, dilation, groups);
  check_images(w.op, "dy", dy);
  check_weight(w, weight);
  check_dtypes(w.op, "dy", dy, "weight", weight);
  check(dy.shape[1] == weight.shape[0], ErrorKind::runtime,
        "{}: Given weight of size {}, expected dy{} to have {} channels, but got {} channels instead", w.op, weight.shape,
        dy.shape, weight.shape[0], dy.shape[1]);
  const Dims size = spatial(w.op, "input_size", input_size);
  if (is_16_bit(dy))
    return cast(conv2d_backward_input(widen(dy), widen(weight), size, stride, padding, dilation, groups), dy.dtype);
  const Dims shape{dy.shape[0], weight.shape[1] * groups, size[0], size[1]};
  if (dy.numel() == 0) return zeros(shape, dy.dtype);
  Array dx = empty(shape, dy.dtype);
  if (dx.numel() == 0) return dx;
  const Array images = lines(dy), kernel = contiguous(weight);
  const KernelTable& table = table_of(dy.device());
  run(w.op, table.conv2d_backward_input, table.conv2d_backward_input_workspace, view_of(w, dx, images, kernel), dx);
  return dx;
}

Array conv2d_backward_weight(const Array& dy, const Array& x, const Dims& kernel_size, const Dims& stride, const Dims& padding,
                             const Dims& dilation, int64_t groups) {
  const Windows w = windows_of("conv2d_backward_weight", stride, padding, dilation, groups);
  check_images(w.op, "dy", dy);
  check_images(w.op, "input", x);
  check_dtypes(w.op, "dy", dy, "input", x);
  check(dy.shape[0] == x.shape[0], ErrorKind::runtime, "{}: expected dy{} and input{} to have the same batch size", w.op,
        dy.shape, x.shape);
  check(dy.shape[1] % groups == 0 && x.shape[1] % groups == 0, ErrorKind::runtime,
        "{}: expected channels divisible by groups={}, got dy{} and input{}", w.op, groups, dy.shape, x.shape);
  const Dims size = spatial(w.op, "kernel_size", kernel_size);
  if (is_16_bit(dy))
    return cast(conv2d_backward_weight(widen(dy), widen(x), size, stride, padding, dilation, groups), dy.dtype);
  const Dims shape{dy.shape[1], x.shape[1] / groups, size[0], size[1]};
  if (dy.numel() == 0 || x.numel() == 0) return zeros(shape, dy.dtype);
  Array dw = empty(shape, dy.dtype);
  if (dw.numel() == 0) return dw;
  const Array dy_images = lines(dy), x_images = lines(x);
  const KernelTable& table = table_of(dy.device());
  run(w.op, table.conv2d_backward_weight, table.conv2d_backward_weight_workspace, view_of(w, x_images, dy_images, dw), dw);
  return dw;
}

std::string conv2d_algorithm(const Dims& input_size, const Dims& weight_size, const Dims& stride, const Dims& padding,
                             const Dims& dilation, int64_t groups, const std::string& pass, DType dtype) {
  const Windows w = windows_of("conv2d_algorithm", stride, padding, dilation, groups);
  check(input_size.size == 4 && weight_size.size == 4, ErrorKind::value,
        "conv2d_algorithm: expected sizes (N, C, H, W) and (O, C / groups, KH, KW), got {} and {}", input_size, weight_size);
  const char* const names[] = {"forward", "backward_input", "backward_weight"};
  int chosen = 0;
  while (chosen < 3 && pass != names[chosen]) ++chosen;
  check(chosen < 3, ErrorKind::value, "conv2d_algorithm: expected 'forward', 'backward_input' or 'backward_weight', got '{}'", pass);
  Array x, weight;
  x.shape = input_size, weight.shape = weight_size;
  check_weight(w, weight);
  check(element_count(input_size) >= 0 && input_size[1] == weight_size[1] * groups, ErrorKind::value,
        "conv2d_algorithm: a weight of size {} and groups={} do not fit an input of size {}", weight_size, groups, input_size);
  const Dims size = windows_that_fit(w, x, {weight_size[2], weight_size[3]});
  auto images = [dtype](const Dims& shape) {
    return Images{nullptr,  dtype,    shape[0], shape[1], shape[2], shape[3], shape[1] * shape[2] * shape[3], shape[2] * shape[3],
                  shape[3]};
  };
  Conv2d c = windows_view(w, weight_size);
  c.x = images(input_size);
  c.y = images({input_size[0], weight_size[0], size[0], size[1]});
  return table_of(Device{}).conv2d_algorithm(c, static_cast<ConvPass>(chosen));
}

}  // namespace tg::ops
