// Layers whose weights are int8: checks and views.
#include "ops/quantized.h"

#include "kernels/kernel_table.h"
#include "ops/copy.h"

namespace tg::ops {

Array quantized_linear(const Array& x0, const Array& weight, const Array& scale, const Array& sums,
                       const std::optional<Array>& bias, int64_t outputs, Activation activation) {
  const char* const op = "quantized_linear";
  check(x0.dtype == DType::f32, ErrorKind::runtime, "{}: expected a float32 input, got {}", op, x0.dtype);
  check(x0.ndim() >= 1, ErrorKind::runtime, "{}: expected an input of at least 1 dim, got a 0-d tensor", op);
  QuantizedLinear p;
  p.inputs = x0.shape[x0.ndim() - 1];
  p.outputs = outputs;
  p.activation = activation;
  check(p.inputs <= QuantizedLinear::most_inputs, ErrorKind::runtime, "{}: at most {} inputs, got {}", op,
        QuantizedLinear::most_inputs, p.inputs);
  check(outputs >= 0, ErrorKind::value, "{}: a negative number of outputs: {}", op, outputs);
  const Dims packed{p.panels(), p.steps(), QuantizedLinear::panel, QuantizedLinear::terms};
  check(weight.dtype == DType::i8 && weight.shape == packed, ErrorKind::runtime,
        "{}: for an input of shape {} and {} outputs expected packed int8 weights of shape {}, got {} {}", op, x0.shape,
        outputs, packed, weight.shape, weight.dtype);
  const Dims columns{p.panels() * QuantizedLinear::panel};
  check(scale.dtype == DType::f32 && scale.shape == columns, ErrorKind::runtime,
        "{}: expected float32 scales of shape {}, got {} {}", op, columns, scale.shape, scale.dtype);
  check(sums.dtype == DType::i32 && sums.shape == columns, ErrorKind::runtime, "{}: expected int32 sums of shape {}, got {} {}",
        op, columns, sums.shape, sums.dtype);
  if (bias)
    check(bias->dtype == DType::f32 && bias->shape == Dims{outputs}, ErrorKind::runtime,
          "{}: expected a float32 bias of shape ({},), got {} {}", op, outputs, bias->shape, bias->dtype);
  const Array x = contiguous(x0), w = contiguous(weight), s = contiguous(scale), v = contiguous(sums);
  const std::optional<Array> b = bias ? std::optional<Array>(contiguous(*bias)) : std::nullopt;
  Dims shape = x.shape;
  shape[x.ndim() - 1] = outputs;
  Array y = empty(shape, DType::f32);
  if (y.numel() == 0) return y;
  p.rows = y.numel() / outputs;
  p.x = reinterpret_cast<const float*>(x.data());
  p.weight = reinterpret_cast<const int8_t*>(w.data());
  p.scale = reinterpret_cast<const float*>(s.data());
  p.sums = reinterpret_cast<const int32_t*>(v.data());
  p.bias = b ? reinterpret_cast<const float*>(b->data()) : nullptr;
  p.y = reinterpret_cast<float*>(y.data());
  const KernelTable& table = table_of(y.device());
  if (!table.quantized_linear) missing_kernel(op, DType::i8);
  Launch launch = launch_on(y.device());
  const Array scratch = scratch_for(launch, table.quantized_linear_workspace(p));
  raise_unless_ok(op, table.quantized_linear(launch, p));
  return y;
}

}  // namespace tg::ops
