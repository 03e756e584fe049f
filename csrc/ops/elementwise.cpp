// Elementwise ops: promotion, broadcasting, and one kernel call.
#include "ops/elementwise.h"
#include "kernels/kernel_table.h"
#include "ops/copy.h"
#include "ops/reduce.h"
#include "ops/strided.h"
#include "ops/view.h"

namespace tg::ops {

#define TG_NAME(name) #name,
const char* name_of(UnaryOp op) {
  static constexpr const char* names[] = {TG_UNARY_OPS(TG_NAME)};
  return names[static_cast<int>(op)];
}
const char* name_of(BinaryOp op) {
  static constexpr const char* names[] = {TG_BINARY_OPS(TG_NAME)};
  return names[static_cast<int>(op)];
}
const char* name_of(TernaryOp op) {
  static constexpr const char* names[] = {TG_TERNARY_OPS(TG_NAME)};
  return names[static_cast<int>(op)];
}
const char* name_of(CompareOp op) {
  static constexpr const char* names[] = {TG_COMPARE_OPS(TG_NAME)};
  return names[static_cast<int>(op)];
}
const char* name_of(ReduceOp op) {
  static constexpr const char* names[] = {TG_REDUCE_OPS(TG_NAME)};
  return names[static_cast<int>(op)];
}
#undef TG_NAME

namespace {

// PyTorch's three priorities: tensors with dims, 0-d tensors, Python numbers. A lower one decides only by a higher kind
// (bool < integer < floating), and a number brings the default dtype of its kind.
struct Priorities {
  std::optional<DType> dims, zero_dim, number;
  void add(const Operand& x) {
    auto merge = [](std::optional<DType>& into, DType d) { into = into ? promote(*into, d) : d; };
    if (x.kind == Operand::tensor) merge(x.array->ndim() ? dims : zero_dim, x.array->dtype);
    else merge(number, x.kind == Operand::real ? DType::f32 : x.kind == Operand::integer ? DType::i64 : DType::b8);
  }
  static std::optional<DType> combine(std::optional<DType> higher, std::optional<DType> lower) {
    if (!higher) return lower;
    if (!lower || is_floating(*higher)) return higher;
    if (*higher == DType::b8 || is_floating(*lower)) return promote(*higher, *lower);
    return higher;
  }
};

// Functions of floating types only: integers become float32 first, as in PyTorch.
bool needs_float(UnaryOp op) { return op >= UnaryOp::sqrt; }
bool needs_float(BinaryOp op) { return op == BinaryOp::div || op == BinaryOp::atan2 || op >= BinaryOp::relu_backward; }
bool is_bitwise(BinaryOp op) { return op >= BinaryOp::bitwise_and && op <= BinaryOp::bitwise_right_shift; }

// x as a tensor of `dtype`: x itself, or a converted copy kept alive in `converted`.
Operand in_dtype(const Operand& x, DType dtype, Array& converted) {
  if (x.kind != Operand::tensor || x.array->dtype == dtype) return x;
  converted = cast(*x.array, dtype);
  return operand(converted);
}

bool has_zero(const Operand& x) {
  if (x.kind != Operand::tensor) return x.number.integer == 0;
  return !*reduce(ReduceOp::all, *x.array, std::nullopt, false).as<bool>();
}

DType binary_dtype(BinaryOp op, const Operand& x, const Operand& y) {
  DType dtype = result_type(x, y);
  if (needs_float(op) && !is_floating(dtype)) dtype = DType::f32;
  check(!is_bitwise(op) || !is_floating(dtype), ErrorKind::type, "{}: expected integer or bool tensors, got {}", name_of(op),
        dtype);
  if (op == BinaryOp::sub)
    check(dtype != DType::b8, ErrorKind::type,
          "sub: bool tensors cannot be subtracted; use logical_xor (^) or logical_not (~)");
  const bool divides = op == BinaryOp::floor_divide || op == BinaryOp::remainder || op == BinaryOp::fmod;
  if (divides && !is_floating(dtype))
    check(!has_zero(y), ErrorKind::zero_division, "{}: integer division by zero", name_of(op));
  if (op == BinaryOp::pow && y.kind == Operand::integer && !is_floating(dtype))
    check(y.number.integer >= 0, ErrorKind::runtime, "pow: an integer tensor to the negative power {}; use a float tensor",
          y.number.integer);
  return dtype;
}

void run_binary(BinaryOp op, Array& out, const Operand& x, const Operand& y, DType dtype) {
  if (out.numel() == 0) return;
  StridedBuilder<3> builder(out);
  builder.input(1, x, dtype);
  builder.input(2, y, dtype);
  const auto kernel = table_of(out.device()).binary[static_cast<int>(op)];
  if (!kernel) missing_kernel(name_of(op), dtype);
  const Status status = kernel(launch_on(out.device()), builder.build());
  if (status.code != Status::ok) [[unlikely]] {
    if (status.code == Status::missing) missing_kernel(name_of(op), dtype);
    raise_unless_ok(name_of(op), status);
  }
}

// The result of an elementwise op: the common shape, and the layout of an input that is dense in another order.
Array result_array(const char* op, const Operand& x, const Operand& y, DType dtype) {
  if (x.kind != Operand::tensor) return empty_like(*y.array, dtype);
  if (y.kind != Operand::tensor || x.array->shape == y.array->shape) return empty_like(*x.array, dtype);
  const Dims shape = broadcast_shapes(op, x.array->shape, y.array->shape);
  if (shape == x.array->shape) return empty_like(*x.array, dtype);
  if (shape == y.array->shape) return empty_like(*y.array, dtype);
  return empty(shape, dtype);
}

void check_tensor(const char* op, const Operand& x, const Operand& y) {
  check(x.kind == Operand::tensor || y.kind == Operand::tensor, ErrorKind::type,
        "{}: expected at least one tensor, got two numbers", op);
}

// An in-place op may read memory it writes only element by element; anything else is copied first.
Operand apart_from(const Array& target, const Operand& y, Array& copy) {
  if (y.kind != Operand::tensor || y.array->storage != target.storage) return y;
  if (y.array->offset == target.offset && y.array->shape == target.shape && y.array->strides == target.strides) return y;
  copy = clone(*y.array);
  return operand(copy);
}

void check_in_place(const char* op, const Array& x, const Dims& shape, DType dtype) {
  check(shape == x.shape, ErrorKind::runtime, "{}_: the result has shape {}, which does not fit in place into shape {}", op,
        shape, x.shape);
  const bool fits = is_floating(x.dtype) || (!is_floating(dtype) && (x.dtype != DType::b8 || dtype == DType::b8));
  check(fits, ErrorKind::runtime, "{}_: a result of dtype {} cannot be stored in a tensor of dtype {}", op, dtype, x.dtype);
}

}  // namespace

DType result_type(const Operand& x, const Operand& y) {
  if (x.kind == Operand::tensor && y.kind == Operand::tensor && x.array->dtype == y.array->dtype) return x.array->dtype;
  Priorities p;
  p.add(x);
  p.add(y);
  return *Priorities::combine(p.dims, Priorities::combine(p.zero_dim, p.number));
}

Array unary(UnaryOp op, const Array& x) {
  check(op != UnaryOp::bitwise_not || !is_floating(x.dtype), ErrorKind::type,
        "bitwise_not: expected integer or bool tensors, got {}", x.dtype);
  const DType dtype = needs_float(op) && !is_floating(x.dtype) ? DType::f32 : x.dtype;
  Array converted;
  const Operand in = in_dtype(operand(x), dtype, converted);
  Array out = empty_like(x, dtype);
  if (out.numel() == 0) return out;
  StridedBuilder<2> builder(out);
  builder.input(1, in, dtype);
  const auto kernel = table_of(out.device()).unary[static_cast<int>(op)];
  if (!kernel) missing_kernel(name_of(op), dtype);
  const Status status = kernel(launch_on(out.device()), builder.build());
  if (status.code == Status::missing) missing_kernel(name_of(op), dtype);
  return out;
}

void unary_(UnaryOp op, Array& x) {
  check_writable(name_of(op), x);
  check(!needs_float(op) || is_floating(x.dtype), ErrorKind::runtime,
        "{}_: a floating result cannot be stored in a tensor of dtype {}", name_of(op), x.dtype);
  if (x.numel() == 0) return;
  StridedBuilder<2> builder(x);
  builder.input(1, operand(x), x.dtype);
  const auto kernel = table_of(x.device()).unary[static_cast<int>(op)];
  if (!kernel || kernel(launch_on(x.device()), builder.build()).code == Status::missing) missing_kernel(name_of(op), x.dtype);
  touch(x);
}

Array binary(BinaryOp op, const Operand& x, const Operand& y) {
  check_tensor(name_of(op), x, y);
  const DType dtype = binary_dtype(op, x, y);
  Array converted_x, converted_y;
  const Operand a = in_dtype(x, dtype, converted_x), b = in_dtype(y, dtype, converted_y);
  Array out = result_array(name_of(op), a, b, dtype);
  run_binary(op, out, a, b, dtype);
  return out;
}

void binary_(BinaryOp op, Array& x, const Operand& y) {
  const Operand self{Operand::tensor, &x, {}};
  const DType dtype = binary_dtype(op, self, y);
  const Dims shape = y.kind == Operand::tensor ? broadcast_shapes(name_of(op), x.shape, y.array->shape) : x.shape;
  check_in_place(name_of(op), x, shape, dtype);
  check_writable(name_of(op), x);
  if (dtype != x.dtype) {  // float32 += float64: computed in the wider type, then stored
    Array wide = binary(op, self, y);
    copy_(x, operand(wide));
    return;
  }
  Array converted, copy;
  const Operand other = apart_from(x, in_dtype(y, dtype, converted), copy);
  run_binary(op, x, self, other, dtype);
  touch(x);
}

namespace {

DType ternary_dtype(TernaryOp op, const Operand& x, const Operand& y, const Operand& z) {
  Priorities p;
  for (const Operand* v : {&x, &y, &z}) p.add(*v);
  const DType dtype = *Priorities::combine(p.dims, Priorities::combine(p.zero_dim, p.number));
  const bool takes_integers = op == TernaryOp::clamp || op == TernaryOp::addcmul;
  if (!takes_integers && !is_floating(dtype)) return DType::f32;
  check(dtype != DType::b8, ErrorKind::runtime, "{}: not defined for bool tensors", name_of(op));
  return dtype;
}

void run_ternary(TernaryOp op, Array& out, const Operand& x, const Operand& y, const Operand& z, DType dtype) {
  if (out.numel() == 0) return;
  StridedBuilder<4> builder(out);
  builder.input(1, x, dtype);
  builder.input(2, y, dtype);
  builder.input(3, z, dtype);
  const auto kernel = table_of(out.device()).ternary[static_cast<int>(op)];
  if (!kernel || kernel(launch_on(out.device()), builder.build()).code == Status::missing) missing_kernel(name_of(op), dtype);
}

}  // namespace

Array ternary(TernaryOp op, const Array& x, const Operand& y, const Operand& z) {
  const Operand self{Operand::tensor, &x, {}};
  const DType dtype = ternary_dtype(op, self, y, z);
  Array converted[3];
  const Operand a = in_dtype(self, dtype, converted[0]), b = in_dtype(y, dtype, converted[1]),
                c = in_dtype(z, dtype, converted[2]);
  Dims shape = x.shape;
  for (const Operand& v : {b, c})
    if (v.kind == Operand::tensor) shape = broadcast_shapes(name_of(op), shape, v.array->shape);
  Array out = shape == x.shape ? empty_like(*a.array, dtype) : empty(shape, dtype);
  run_ternary(op, out, a, b, c, dtype);
  return out;
}

void ternary_(TernaryOp op, Array& x, const Operand& y, const Operand& z) {
  const Operand self{Operand::tensor, &x, {}};
  const DType dtype = ternary_dtype(op, self, y, z);
  Dims shape = x.shape;
  for (const Operand& v : {y, z})
    if (v.kind == Operand::tensor) shape = broadcast_shapes(name_of(op), shape, v.array->shape);
  check_in_place(name_of(op), x, shape, dtype);
  check_writable(name_of(op), x);
  if (dtype != x.dtype) {
    Array wide = ternary(op, x, y, z);
    copy_(x, operand(wide));
    return;
  }
  Array converted[2], copies[2];
  const Operand b = apart_from(x, in_dtype(y, dtype, converted[0]), copies[0]);
  const Operand c = apart_from(x, in_dtype(z, dtype, converted[1]), copies[1]);
  run_ternary(op, x, self, b, c, dtype);
  touch(x);
}

Array compare(CompareOp op, const Operand& x, const Operand& y) {
  check_tensor(name_of(op), x, y);
  const DType dtype = result_type(x, y);
  Array converted_x, converted_y;
  const Operand a = in_dtype(x, dtype, converted_x), b = in_dtype(y, dtype, converted_y);
  Array out = result_array(name_of(op), a, b, DType::b8);
  if (out.numel() == 0) return out;
  StridedBuilder<3> builder(out);
  builder.input(1, a, dtype);
  builder.input(2, b, dtype);
  const auto kernel = table_of(out.device()).compare[static_cast<int>(op)];
  if (!kernel || kernel(launch_on(out.device()), builder.build()).code == Status::missing) missing_kernel(name_of(op), dtype);
  return out;
}

Array where(const Array& condition, const Operand& x, const Operand& y) {
  check(condition.dtype == DType::b8, ErrorKind::type, "where: expected a bool condition, got {}", condition.dtype);
  const DType dtype = result_type(x, y);
  Array converted_x, converted_y;
  const Operand a = in_dtype(x, dtype, converted_x), b = in_dtype(y, dtype, converted_y);
  Dims shape = condition.shape;
  for (const Operand& v : {a, b})
    if (v.kind == Operand::tensor) shape = broadcast_shapes("where", shape, v.array->shape);
  Array out = empty(shape, dtype);
  if (out.numel() == 0) return out;
  StridedBuilder<4> builder(out);
  builder.input(1, operand(condition), DType::b8);
  builder.input(2, a, dtype);
  builder.input(3, b, dtype);
  const auto kernel = table_of(out.device()).where;
  if (!kernel || kernel(launch_on(out.device()), builder.build()).code == Status::missing) missing_kernel("where", dtype);
  return out;
}

}  // namespace tg::ops
