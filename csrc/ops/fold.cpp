// unfold is a strided copy of the padded images; fold adds one strided copy for each place of the window.
#include "ops/fold.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/pad.h"
#include "ops/strided.h"
#include "ops/view.h"

namespace tg::ops {
namespace {

struct Blocks {
  int64_t rows = 0, cols = 0;  // windows down and across

  Blocks(const char* op, int64_t height, int64_t width, const Dims& kernel, const Dims& dilation, const Dims& padding,
         const Dims& stride) {
    check(kernel.size == 2 && dilation.size == 2 && padding.size == 2 && stride.size == 2, ErrorKind::runtime,
          "{}: expected two kernel sizes, dilations, paddings and strides, got {}, {}, {} and {}", op, kernel, dilation,
          padding, stride);
    for (int d = 0; d < 2; ++d) {
      constexpr int64_t most = (int64_t{1} << 31) - 1;
      check(kernel[d] > 0, ErrorKind::runtime, "{}: kernel size should be greater than zero, but got {}", op, kernel);
      check(stride[d] > 0, ErrorKind::runtime, "{}: stride should be greater than zero, but got {}", op, stride);
      check(dilation[d] > 0, ErrorKind::runtime, "{}: dilation should be greater than zero, but got {}", op, dilation);
      check(padding[d] >= 0, ErrorKind::runtime, "{}: padding should be non-negative, but got {}", op, padding);
      check(kernel[d] <= most && stride[d] <= most && dilation[d] <= most && padding[d] <= most, ErrorKind::runtime,
            "{}: sizes must be less than 2^31", op);
    }
    rows = count(height, kernel[0], dilation[0], padding[0], stride[0]);
    cols = count(width, kernel[1], dilation[1], padding[1], stride[1]);
    check(
        rows > 0 && cols > 0, ErrorKind::runtime,
        "{}: Given spatial size ({}, {}), kernel_size={}, dilation={}, padding={}, stride={}, calculated shape of the array of "
        "sliding blocks as ({}, {}), but its components must be at least one",
        op, height, width, kernel, dilation, padding, stride, rows, cols);
  }

 private:
  static int64_t count(int64_t n, int64_t kernel, int64_t dilation, int64_t padding, int64_t stride) {
    const int64_t room = n + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  }
};

// The windows of padded images (N, C, H, W) as (N, C, kh, kw, rows, cols): a view in which places occur several times.
Array windows(const Array& padded, const Dims& kernel, const Dims& dilation, const Dims& stride, const Blocks& blocks) {
  const int64_t width = padded.shape[3];
  Array view(padded);
  view.shape = {padded.shape[0], padded.shape[1], kernel[0], kernel[1], blocks.rows, blocks.cols};
  view.strides = {padded.strides[0], padded.strides[1], dilation[0] * width, dilation[1], stride[0] * width, stride[1]};
  return view;
}

}  // namespace

Array unfold(const Array& x, const Dims& kernel, const Dims& dilation, const Dims& padding, const Dims& stride) {
  check(x.ndim() == 4, ErrorKind::runtime, "unfold: expected images (N, C, H, W), got shape {}", x.shape);
  const Blocks blocks("unfold", x.shape[2], x.shape[3], kernel, dilation, padding, stride);
  const Dims border{0, 0, padding[0], padding[1]};
  const bool bordered = padding[0] || padding[1];
  const Array padded = contiguous(bordered ? pad(x, border, border, 0, Operand{Operand::integer, nullptr, {}}) : x);
  Array out = clone(windows(padded, kernel, dilation, stride, blocks));
  if (!out.contiguous()) out = contiguous(out);
  return view(out, {x.shape[0], x.shape[1] * kernel[0] * kernel[1], blocks.rows * blocks.cols});
}

Array fold(const Array& columns, const Dims& size, const Dims& kernel, const Dims& dilation, const Dims& padding,
           const Dims& stride) {
  check(columns.ndim() == 3, ErrorKind::runtime, "fold: expected columns (N, C * kernel, windows), got shape {}",
        columns.shape);
  check(size.size == 2 && size[0] > 0 && size[1] > 0, ErrorKind::runtime, "fold: expected two positive output sizes, got {}",
        size);
  const Blocks blocks("fold", size[0], size[1], kernel, dilation, padding, stride);
  const int64_t places = kernel[0] * kernel[1];
  check(
      columns.shape[1] % places == 0, ErrorKind::runtime,
      "fold: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={} and "
      "kernel_size={}",
      columns.shape[1], kernel);
  check(
      columns.shape[2] == blocks.rows * blocks.cols, ErrorKind::runtime,
      "fold: Given output_size={}, kernel_size={}, dilation={}, padding={}, stride={}, expected size of input's dimension 2 to "
      "match the calculated number of sliding blocks {} * {} = {}, but got input.size(2)={}",
      size, kernel, dilation, padding, stride, blocks.rows, blocks.cols, blocks.rows * blocks.cols, columns.shape[2]);
  const int64_t batch = columns.shape[0], channels = columns.shape[1] / places;
  Array images = zeros({batch, channels, size[0] + 2 * padding[0], size[1] + 2 * padding[1]}, columns.dtype);
  if (images.numel()) {
    const Array in = view(contiguous(columns), {batch, channels, kernel[0], kernel[1], blocks.rows, blocks.cols});
    const Array out = windows(images, kernel, dilation, stride, blocks);
    const auto add = table_of(columns.device()).binary[static_cast<int>(BinaryOp::add)];
    if (!add) missing_kernel("fold", columns.dtype);
    for (int64_t k = 0; k < places; ++k) {  // in order: the sums do not depend on the number of threads
      auto place = [&](const Array& a) {
        Array part(a);
        part.offset += k / kernel[1] * a.strides[2] + k % kernel[1] * a.strides[3];
        part.shape = {a.shape[0], a.shape[1], a.shape[4], a.shape[5]};
        part.strides = {a.strides[0], a.strides[1], a.strides[4], a.strides[5]};
        return part;
      };
      const Array to = place(out), from = place(in);
      StridedBuilder<3> builder(to);
      builder.input(1, operand(to), to.dtype);
      builder.input(2, operand(from), to.dtype);
      raise_unless_ok("fold", add(launch_on(to.device()), builder.build()));
    }
  }
  if (padding[0] == 0 && padding[1] == 0) return images;
  const Dims cut{0, 0, -padding[0], -padding[1]};
  return pad(images, cut, cut, 0, Operand{Operand::integer, nullptr, {}});
}

}  // namespace tg::ops
