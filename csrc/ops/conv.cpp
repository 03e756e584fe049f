// Convolutions: argument checks with PyTorch's wording, shapes, storage types. One and two dims are images (kernels conv2d...),
// three are volumes (conv3d...).
#include "ops/conv.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

// Sizes beyond this would overflow a product of two somewhere.
constexpr int64_t largest = int64_t{1} << 31;

// How the windows lie. Index 2 is the last dim; dims that are not there have size 1.
struct Windows {
  std::string op;
  int dims;
  int64_t stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, before[3] = {0, 0, 0}, after[3] = {0, 0, 0};
  int64_t groups;
  int at(int d) const { return 3 - dims + d; }  // where dim d of the tensor stands in a triple
};

void take_numbers(const Windows& w, const char* what, const Dims& given, int64_t (&triple)[3]) {
  check(
      given.size == 1 || given.size == w.dims, ErrorKind::runtime,
      "{}: expected {} to be a single integer value or a list of {} values to match the convolution dimensions, but got {}={}",
      w.op, what, w.dims, what, given);
  for (int d = 0; d < w.dims; ++d) {
    const int64_t v = given[given.size == 1 ? 0 : d];
    check(v < largest && v > -largest, ErrorKind::runtime, "{}: {} {} is too large", w.op, what, given);
    triple[w.at(d)] = v;
  }
}

void check_ndim(const char* op, const char* what, const Array& x) {
  check_floating(op, x);
  check(x.ndim() >= 3 && x.ndim() <= 5, ErrorKind::runtime,
        "{}: expected {} of 3 to 5 dims (N, C, and one to three more), but got size {}", op, what, x.shape);
}

Windows windows_of(const char* suffix, int dims, const Dims& stride, const Dims& padding, const Dims& dilation,
                   int64_t groups) {
  Windows w;
  w.op = format("conv{}d{}", dims, suffix);
  w.dims = dims;
  w.groups = groups;
  take_numbers(w, "stride", stride, w.stride);
  take_numbers(w, "dilation", dilation, w.dilation);
  if (padding.size == 2 * dims) {  // (before, after) of every dim
    Dims before, after;
    for (int d = 0; d < dims; ++d) before.push(padding[2 * d]), after.push(padding[2 * d + 1]);
    take_numbers(w, "padding", before, w.before);
    take_numbers(w, "padding", after, w.after);
  } else {
    take_numbers(w, "padding", padding, w.before);
    take_numbers(w, "padding", padding, w.after);
  }
  for (int d = 0; d < 3; ++d) {
    check(w.before[d] >= 0 && w.after[d] >= 0, ErrorKind::runtime, "{}: negative padding is not supported, got {}", w.op,
          padding);
    check(w.stride[d] > 0, ErrorKind::runtime, "{}: non-positive stride is not supported, got {}", w.op, stride);
    check(w.dilation[d] > 0, ErrorKind::runtime, "{}: dilation should be greater than zero, got {}", w.op, dilation);
  }
  check(groups > 0, ErrorKind::runtime, "{}: non-positive groups is not supported, got {}", w.op, groups);
  return w;
}

void check_same_dims(const Windows& w, const char* what, const Array& x) {
  check(x.ndim() == w.dims + 2, ErrorKind::runtime, "{}: expected {} with {} dims, but got size {}", w.op, what, w.dims + 2,
        x.shape);
}

void check_weight(const Windows& w, const Array& weight) {
  check_same_dims(w, "a weight", weight);
  check(weight.shape[0] >= w.groups, ErrorKind::runtime,
        "{}: Given groups={}, expected weight to be at least {} at dimension 0, but got weight of size {} instead", w.op,
        w.groups, w.groups, weight.shape);
  check(weight.shape[0] % w.groups == 0, ErrorKind::runtime,
        "{}: Given groups={}, expected weight to be divisible by {} at dimension 0, but got weight of size {} instead", w.op,
        w.groups, w.groups, weight.shape);
  for (int d = 2; d < weight.ndim(); ++d)
    check(weight.shape[d] > 0, ErrorKind::runtime, "{}: Kernel size should be non-zero, got weight of size {}", w.op,
          weight.shape);
}

void check_dtypes(const Windows& w, const char* first, const Array& a, const char* second, const Array& b) {
  check(a.dtype == b.dtype, ErrorKind::runtime, "{}: {} type ({}) and {} type ({}) should be the same", w.op, first, a.dtype,
        second, b.dtype);
}

void check_sizes(const Windows& w, const char* what, const Dims& size) {
  check(size.size == w.dims, ErrorKind::runtime, "{}: expected {} of {} sizes, got {}", w.op, what, w.dims, size);
  for (int64_t v : size)
    check(v >= 0 && v < largest, ErrorKind::runtime, "{}: expected {} of sizes from 0 to 2^31, got {}", w.op, what, size);
}

Dims shape_of(int64_t batch, int64_t channels, const Dims& sizes) {
  Dims shape{batch, channels};
  for (int64_t v : sizes) shape.push(v);
  return shape;
}

std::string by_x(const Dims& sizes) {  // "2 x 3"
  std::string text;
  for (int64_t v : sizes) text += (text.empty() ? "" : " x ") + std::to_string(v);
  return text;
}

// As many windows as fit.
Dims windows_that_fit(const Windows& w, const Array& x, const Array& weight) {
  Dims padded, kernel, out;
  bool fit = true;
  for (int d = 0; d < w.dims; ++d) {
    const int i = w.at(d);
    padded.push(x.shape[2 + d] + w.before[i] + w.after[i]);
    kernel.push(weight.shape[2 + d]);
    const int64_t reach = w.dilation[i] * (kernel[d] - 1) + 1;
    fit = fit && padded[d] >= reach;
    out.push((padded[d] - reach) / w.stride[i] + 1);
  }
  check(fit, ErrorKind::runtime,
        "{}: Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't be greater than actual input "
        "size (dilation {}, input {})",
        w.op, by_x(padded), by_x(kernel), w.dilation[2], x.shape);
  return out;
}

// As kernels read it: the last dim's elements side by side.
Array lines(const Array& x) {
  const int last = x.ndim() - 1;
  return x.shape[last] > 1 && x.strides[last] != 1 ? contiguous(x) : x;
}

Volumes volumes_of(const Windows& w, const Array& x) {
  Volumes v;
  v.data = x.data();
  v.dtype = x.dtype;
  v.batch = x.shape[0], v.channels = x.shape[1];
  v.batch_stride = x.strides[0], v.channel_stride = x.strides[1];
  for (int d = 0; d < w.dims; ++d) v.size[w.at(d)] = x.shape[2 + d], v.stride[w.at(d)] = x.strides[2 + d];
  v.stride[2] = 1;
  return v;
}
Images images_of(const Windows& w, const Array& x) {
  const Volumes v = volumes_of(w, x);
  const int64_t row = w.dims == 1 ? v.size[2] : v.stride[1];
  return {v.data, v.dtype, v.batch, v.channels, v.size[1], v.size[2], v.batch_stride, v.channel_stride, row};
}

// A kernel holds the lines that one output line reads: far apart taps may ask for more than any memory has.
void check_reach(const Windows& w, const Conv3d& c) {
  double elements = double(c.x.channels) + double(c.y.channels);
  for (int i = 0; i < 3; ++i)
    elements *= double(c.x.size[i]) + double(c.y.size[i]) * double(c.stride[i]) + double(c.kernel[i]) * double(c.dilation[i]);
  check(elements < 1e17, ErrorKind::memory,
        "{}: windows of kernel {} with dilation {} over {} by {} pixels reach further than memory holds", w.op,
        Dims(w.dims, c.kernel + w.at(0)), Dims(w.dims, c.dilation + w.at(0)), c.x.size[1], c.x.size[2]);
}

struct Operands {
  const Array &x, &y, &weight;
  const void* bias = nullptr;
  Activation activation = Activation::none;
};

Conv3d volume_view(const Windows& w, const Operands& o) {
  Conv3d c;
  c.x = volumes_of(w, o.x), c.y = volumes_of(w, o.y);
  c.weight = o.weight.data(), c.bias = o.bias, c.groups = w.groups, c.activation = o.activation;
  c.algorithm = context().conv_algorithm;
  for (int d = 0; d < w.dims; ++d) c.kernel[w.at(d)] = o.weight.shape[2 + d];
  for (int i = 0; i < 3; ++i) c.stride[i] = w.stride[i], c.dilation[i] = w.dilation[i], c.padding[i] = w.before[i];
  check_reach(w, c);
  return c;
}
Conv2d image_view(const Windows& w, const Operands& o) {
  const Conv3d v = volume_view(w, o);
  Conv2d c;
  c.x = images_of(w, o.x), c.y = images_of(w, o.y);
  c.weight = v.weight, c.bias = v.bias, c.groups = v.groups, c.activation = v.activation;
  for (int i = 0; i < 2; ++i) {
    c.kernel[i] = v.kernel[i + 1], c.stride[i] = v.stride[i + 1];
    c.dilation[i] = v.dilation[i + 1], c.padding[i] = v.padding[i + 1];
  }
  c.algorithm = v.algorithm;
  return c;
}

template <class View>
void run(const Windows& w, Status (*kernel)(const Launch&, const View&), size_t (*workspace)(const View&, int),
         const View& view, const Array& out) {
  if (!kernel) missing_kernel(w.op.c_str(), out.dtype);
  Launch launch = launch_on(out.device());
  const Array scratch = scratch_for(launch, workspace ? workspace(view, launch.threads) : 0);
  const Status status = kernel(launch, view);
  if (status.code == Status::missing) missing_kernel(w.op.c_str(), out.dtype);
  raise_unless_ok(w.op.c_str(), status);
}

bool is_16_bit(const Array& x) { return x.dtype == DType::bf16 || x.dtype == DType::f16; }
Array widen(const Array& x) { return cast(x, DType::f32); }

}  // namespace

Array conv(const Array& x, const Array& weight, const std::optional<Array>& bias, const std::optional<Dims>& output_size,
           const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups, Activation activation) {
  check_ndim("conv", "an input", x);
  const Windows w = windows_of("", x.ndim() - 2, stride, padding, dilation, groups);
  check_weight(w, weight);
  check_dtypes(w, "Input", x, "weight", weight);
  check(x.shape[1] == weight.shape[1] * groups, ErrorKind::runtime,
        "{}: Given groups={}, weight of size {}, expected input{} to have {} channels, but got {} channels instead", w.op,
        groups, weight.shape, x.shape, weight.shape[1] * groups, x.shape[1]);
  if (bias) {
    check_dtypes(w, "Input", x, "bias", *bias);
    check(bias->ndim() == 1 && bias->shape[0] == weight.shape[0], ErrorKind::runtime,
          "{}: Given weight of size {}, expected bias to be 1-dimensional with {} elements, but got bias of size {} instead",
          w.op, weight.shape, weight.shape[0], bias->shape);
  }
  const Dims size = output_size ? *output_size : windows_that_fit(w, x, weight);
  check_sizes(w, "output_size", size);
  if (is_16_bit(x)) {
    const std::optional<Array> wide_bias = bias ? std::optional<Array>(widen(*bias)) : std::nullopt;
    return cast(conv(widen(x), widen(weight), wide_bias, size, stride, padding, dilation, groups, activation), x.dtype);
  }
  Array y = empty(shape_of(x.shape[0], weight.shape[0], size), x.dtype);
  if (y.numel() == 0) return y;
  const Array images = lines(x), kernel = contiguous(weight);
  const Array bias_row = bias ? contiguous(*bias) : Array();
  const Operands operands{images, y, kernel, bias ? bias_row.data() : nullptr, activation};
  const KernelTable& table = table_of(x.device());
  if (w.dims == 3) run(w, table.conv3d, table.conv3d_workspace, volume_view(w, operands), y);
  else run(w, table.conv2d, table.conv2d_workspace, image_view(w, operands), y);
  return y;
}

Array conv_backward_input(const Array& dy, const Array& weight, const Dims& input_size, const Dims& stride, const Dims& padding,
                          const Dims& dilation, int64_t groups) {
  check_ndim("conv_backward_input", "dy", dy);
  const Windows w = windows_of("_backward_input", dy.ndim() - 2, stride, padding, dilation, groups);
  check_weight(w, weight);
  check_dtypes(w, "dy", dy, "weight", weight);
  check(dy.shape[1] == weight.shape[0], ErrorKind::runtime,
        "{}: Given weight of size {}, expected dy{} to have {} channels, but got {} channels instead", w.op, weight.shape,
        dy.shape, weight.shape[0], dy.shape[1]);
  check_sizes(w, "input_size", input_size);
  if (is_16_bit(dy))
    return cast(conv_backward_input(widen(dy), widen(weight), input_size, stride, padding, dilation, groups), dy.dtype);
  const Dims shape = shape_of(dy.shape[0], weight.shape[1] * groups, input_size);
  if (dy.numel() == 0) return zeros(shape, dy.dtype);
  Array dx = empty(shape, dy.dtype);
  if (dx.numel() == 0) return dx;
  const Array images = lines(dy), kernel = contiguous(weight);
  const Operands operands{dx, images, kernel};
  const KernelTable& t = table_of(dy.device());
  if (w.dims == 3) run(w, t.conv3d_backward_input, t.conv3d_backward_input_workspace, volume_view(w, operands), dx);
  else run(w, t.conv2d_backward_input, t.conv2d_backward_input_workspace, image_view(w, operands), dx);
  return dx;
}

Array conv_backward_weight(const Array& dy, const Array& x, const Dims& kernel_size, const Dims& stride, const Dims& padding,
                           const Dims& dilation, int64_t groups) {
  check_ndim("conv_backward_weight", "dy", dy);
  const Windows w = windows_of("_backward_weight", dy.ndim() - 2, stride, padding, dilation, groups);
  check_same_dims(w, "an input", x);
  check_dtypes(w, "dy", dy, "input", x);
  check(dy.shape[0] == x.shape[0], ErrorKind::runtime, "{}: expected dy{} and input{} to have the same batch size", w.op,
        dy.shape, x.shape);
  check(dy.shape[1] % groups == 0 && x.shape[1] % groups == 0, ErrorKind::runtime,
        "{}: expected channels divisible by groups={}, got dy{} and input{}", w.op, groups, dy.shape, x.shape);
  check_sizes(w, "kernel_size", kernel_size);
  if (is_16_bit(dy))
    return cast(conv_backward_weight(widen(dy), widen(x), kernel_size, stride, padding, dilation, groups), dy.dtype);
  const Dims shape = shape_of(dy.shape[1], x.shape[1] / groups, kernel_size);
  if (dy.numel() == 0 || x.numel() == 0) return zeros(shape, dy.dtype);
  Array dw = empty(shape, dy.dtype);
  if (dw.numel() == 0) return dw;
  const Array dy_images = lines(dy), x_images = lines(x);
  const Operands operands{x_images, dy_images, dw};
  const KernelTable& t = table_of(dy.device());
  if (w.dims == 3) run(w, t.conv3d_backward_weight, t.conv3d_backward_weight_workspace, volume_view(w, operands), dw);
  else run(w, t.conv2d_backward_weight, t.conv2d_backward_weight_workspace, image_view(w, operands), dw);
  return dw;
}

std::string conv2d_algorithm(const Dims& input_size, const Dims& weight_size, const Dims& stride, const Dims& padding,
                             const Dims& dilation, int64_t groups, const std::string& pass, DType dtype) {
  const Windows w = windows_of("_algorithm", 2, stride, padding, dilation, groups);
  check(input_size.size == 4 && weight_size.size == 4, ErrorKind::value,
        "{}: expected sizes (N, C, H, W) and (O, C / groups, KH, KW), got {} and {}", w.op, input_size, weight_size);
  const char* const names[] = {"forward", "backward_input", "backward_weight"};
  int chosen = 0;
  while (chosen < 3 && pass != names[chosen]) ++chosen;
  check(chosen < 3, ErrorKind::value, "{}: expected 'forward', 'backward_input' or 'backward_weight', got '{}'", w.op, pass);
  Array x, weight;  // sizes alone
  x.shape = input_size, weight.shape = weight_size;
  check_weight(w, weight);
  check(element_count(input_size) >= 0 && input_size[1] == weight_size[1] * groups, ErrorKind::value,
        "{}: a weight of size {} and groups={} do not fit an input of size {}", w.op, weight_size, groups, input_size);
  const Dims size = windows_that_fit(w, x, weight);
  auto images = [dtype](int64_t batch, int64_t channels, int64_t height, int64_t width) {
    const int64_t plane = height * width;
    return Images{nullptr, dtype, batch, channels, height, width, channels * plane, plane, width};
  };
  Conv2d c;
  c.x = images(input_size[0], input_size[1], input_size[2], input_size[3]);
  c.y = images(input_size[0], weight_size[0], size[0], size[1]);
  c.groups = groups;
  for (int d = 0; d < 2; ++d) {
    c.kernel[d] = weight_size[2 + d];
    c.stride[d] = w.stride[d + 1], c.dilation[d] = w.dilation[d + 1], c.padding[d] = w.before[d + 1];
  }
  c.algorithm = context().conv_algorithm;
  return table_of(Device{}).conv2d_algorithm(c, static_cast<ConvPass>(chosen));
}

}  // namespace tg::ops
