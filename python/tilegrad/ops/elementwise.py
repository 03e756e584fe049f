"""Elementwise ops and their gradient rules.

Operands broadcast; a rule may give a gradient in the broadcast shape, the engine sums it back. Numbers take part in
promotion by their kind only, as in PyTorch.
"""

from __future__ import annotations

from .. import _core, dtypes
from ..autograd.op import op
from .arguments import need_tensor

# --- arithmetic
add = op(_core.add).backward(x=lambda dy: dy, y=lambda dy: dy)
sub = op(_core.sub).backward(x=lambda dy: dy, y=lambda dy: -dy)
mul = op(_core.mul).backward(x=lambda dy, y: dy * y, y=lambda dy, x: dy * x)
div = op(_core.div).backward(x=lambda dy, y: dy / y, y=lambda dy, y, out: -dy * out / y)
neg = op(_core.neg).backward(x=lambda dy: -dy)
floor_divide = op(_core.floor_divide).backward(x=lambda dy: zero(dy), y=lambda dy: zero(dy))
remainder = op(_core.remainder).backward(x=lambda dy: dy, y=lambda dy, x, y: -dy * floor_divide(x, y))

add_ = add.in_place(_core.add_)
sub_ = sub.in_place(_core.sub_)
mul_ = mul.in_place(_core.mul_)
div_ = div.in_place(_core.div_)
neg_ = neg.in_place(_core.neg_)
floor_divide_ = floor_divide.in_place(_core.floor_divide_)
remainder_ = remainder.in_place(_core.remainder_)


def divide(x, y, *, rounding_mode=None):
    """x / y; rounding_mode 'floor' or 'trunc' rounds the quotient (integers then stay integers)."""
    if rounding_mode is None:
        return div(x, y)
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode != "trunc":
        raise RuntimeError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    quotient = trunc(div(x, y))
    integers = not any(v.dtype.is_floating_point if isinstance(v, _core.TensorBase) else isinstance(v, float) for v in (x, y))
    return cast(quotient, dtypes.int64 if not isinstance(x, _core.TensorBase) else x.dtype) if integers else quotient


def zero(x):
    """Zeros like x: the gradient of functions that are flat almost everywhere (inf * 0 would be NaN)."""
    return _core.full(x.shape, 0, x.dtype)


def _power_kernel(x, y):
    """x to the power y, elementwise. The exponents 2, 1 and 0.5 have kernels of their own."""
    if type(y) is int or type(y) is float:
        if y == 2:
            return _core.square(x)
        if y == 0.5 and x.dtype.is_floating_point:
            return _core.sqrt(x)
    return _core.pow(x, y)


def _power_dx(dy, x, y):
    if isinstance(y, _core.TensorBase):
        return where(y == 0, 0.0, dy * y * pow(x, y - 1))
    if y == 0:
        return zero(dy)
    return dy * x * 2.0 if y == 2 else dy * (pow(x, y - 1) * y)


def _power_dy(dy, x, y, out):
    safe = where(x == 0, 1.0, x) if isinstance(x, _core.TensorBase) else x
    if not isinstance(x, _core.TensorBase):
        import math

        return dy * out * math.log(x) if x != 0 else zero(dy)
    return where(x == 0, 0.0, dy * out * log(safe))


pow = op(_power_kernel, name="pow").backward(x=_power_dx, y=_power_dy)
pow_ = pow.in_place(_core.pow_)

# --- minimum, maximum, clamp: where the operands are equal, each gets half of the gradient (as in PyTorch)
maximum = op(_core.maximum).backward(x=lambda dy, x, y: dy * _share(x, y), y=lambda dy, x, y: dy * _share(y, x))
minimum = op(_core.minimum).backward(x=lambda dy, x, y: dy * _share(y, x), y=lambda dy, x, y: dy * _share(x, y))


def _share(winner, other):
    """1 where winner > other, 0.5 where equal, else 0. For minimum the arguments are exchanged: x wins where y > x."""
    return where(winner > other, 1.0, where(winner == other, 0.5, 0.0))


def _clamp_kernel(x, min=None, max=None):
    """x limited to [min, max]; either limit may be left out, and may be a tensor."""
    if min is None:
        if max is None:
            raise RuntimeError("clamp: at least one of min and max must be given")
        return _core.minimum(x, max)
    return _core.maximum(x, min) if max is None else _core.clamp(x, min, max)


def _clamp_in_place(x, min=None, max=None):
    """`clamp` in place."""
    if min is None:
        if max is None:
            raise RuntimeError("clamp_: at least one of min and max must be given")
        _core.minimum_(x, max)
    elif max is None:
        _core.maximum_(x, min)
    else:
        _core.clamp_(x, min, max)


def _clamp_dx(dy, x, min, max):
    inside = x >= min if min is not None else x <= max
    if min is not None and max is not None:
        inside = inside & (x <= max)
    return where(inside, dy, 0.0)


clamp = op(_clamp_kernel, name="clamp").backward(
    x=_clamp_dx,
    min=lambda dy, x, min, max: where(x < min if max is None else (x < min) & (min < max), dy, 0.0),
    max=lambda dy, x, min, max: where(x > max if min is None else (x > max) | (min > max), dy, 0.0),
)


# --- functions of one argument
def _flat(kernel):
    return op(kernel).backward(x=lambda dy: zero(dy))


sign, floor, ceil, trunc, round = map(_flat, (_core.sign, _core.floor, _core.ceil, _core.trunc, _core.round))
abs = op(_core.abs).backward(x=lambda dy, x: dy * sign(x))
square = op(_core.square).backward(x=lambda dy, x: dy * x * 2.0)
sqrt = op(_core.sqrt).backward(x=lambda dy, out: dy / (out * 2.0))
rsqrt = op(_core.rsqrt).backward(x=lambda dy, out: dy * out * out * out * -0.5)
reciprocal = op(_core.reciprocal).backward(x=lambda dy, out: -dy * out * out)
exp = op(_core.exp).backward(x=lambda dy, out: dy * out)
expm1 = op(_core.expm1).backward(x=lambda dy, out: dy * (out + 1.0))
log = op(_core.log).backward(x=lambda dy, x: dy / x)
log1p = op(_core.log1p).backward(x=lambda dy, x: dy / (x + 1.0))
log2 = op(_core.log2).backward(x=lambda dy, x: dy / (x * 0.6931471805599453))
sin = op(_core.sin).backward(x=lambda dy, x: dy * cos(x))
cos = op(_core.cos).backward(x=lambda dy, x: -dy * sin(x))
erf = op(_core.erf).backward(x=lambda dy, x: dy * exp(-square(x)) * 1.1283791670955126)  # 2 / sqrt(pi)


def _two(kernel, params):
    """A fused gradient kernel of (saved value, dy); its own gradient comes from its composite."""
    return op(kernel, params=params)


relu_backward = _two(_core.relu_backward, "y, dy")
tanh_backward = _two(_core.tanh_backward, "y, dy")
sigmoid_backward = _two(_core.sigmoid_backward, "y, dy")
gelu_backward = _two(_core.gelu_backward, "x, dy")
gelu_tanh_backward = _two(_core.gelu_tanh_backward, "x, dy")
silu_backward = _two(_core.silu_backward, "x, dy")

relu = op(_core.relu).backward(x=lambda dy, out: relu_backward(out, dy))
tanh = op(_core.tanh).backward(x=lambda dy, out: tanh_backward(out, dy))
sigmoid = op(_core.sigmoid).backward(x=lambda dy, out: sigmoid_backward(out, dy))
silu = op(_core.silu).backward(x=lambda dy, x: silu_backward(x, dy))
softplus = op(_core.softplus).backward(x=lambda dy, x: dy * sigmoid(x))
gelu_exact = op(_core.gelu).backward(x=lambda dy, x: gelu_backward(x, dy))
gelu_tanh = op(_core.gelu_tanh).backward(x=lambda dy, x: gelu_tanh_backward(x, dy))


@relu_backward.composite
def _(y, dy):
    return where(y > 0, dy, 0.0)


@tanh_backward.composite
def _(y, dy):
    return dy * (1.0 - y * y)


@sigmoid_backward.composite
def _(y, dy):
    return dy * y * (1.0 - y)


@silu_backward.composite
def _(x, dy):
    s = sigmoid(x)
    return dy * s * (x * (1.0 - s) + 1.0)


@gelu_backward.composite
def _(x, dy):
    # d/dx x*Phi(x) = Phi(x) + x*phi(x) with the normal distribution's Phi and its density phi
    cumulative = (erf(x * 0.7071067811865476) + 1.0) * 0.5
    density = exp(square(x) * -0.5) * 0.3989422804014327
    return dy * (cumulative + x * density)


@gelu_tanh_backward.composite
def _(x, dy):
    # x * sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3)
    inner = x * 1.5957691216057308 * (square(x) * 0.044715 + 1.0)
    slope = (square(x) * 0.134145 + 1.0) * 1.5957691216057308
    s = sigmoid(inner)
    return dy * (s + x * s * (1.0 - s) * slope)


def gelu(x, approximate="none"):
    """x * Phi(x) (Hendrycks and Gimpel, 2016); ``approximate="tanh"`` takes the tanh form."""
    if approximate == "none":
        return gelu_exact(x)
    if approximate == "tanh":
        return gelu_tanh(x)
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


atan2 = op(_core.atan2).backward(x=lambda dy, x, y: dy * y / (x * x + y * y), y=lambda dy, x, y: -dy * x / (x * x + y * y))

# --- in-place forms
relu_ = relu.in_place(_core.relu_)
tanh_ = tanh.in_place(_core.tanh_)
sigmoid_ = sigmoid.in_place(_core.sigmoid_)
exp_ = exp.in_place(_core.exp_)
log_ = log.in_place(_core.log_)
sqrt_ = sqrt.in_place(_core.sqrt_)
abs_ = abs.in_place(_core.abs_)
square_ = square.in_place(_core.square_)
reciprocal_ = reciprocal.in_place(_core.reciprocal_)
rsqrt_ = rsqrt.in_place(_core.rsqrt_)
floor_ = floor.in_place(_core.floor_)
ceil_ = ceil.in_place(_core.ceil_)
round_ = round.in_place(_core.round_)
trunc_ = trunc.in_place(_core.trunc_)
sign_ = sign.in_place(_core.sign_)
clamp_ = clamp.in_place(_clamp_in_place, name="clamp_")

# --- comparisons and logic: bool results, no gradient
eq, ne, lt, le, gt, ge = (op(k) for k in (_core.eq, _core.ne, _core.lt, _core.le, _core.gt, _core.ge))
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = (
    op(k) for k in (_core.bitwise_and, _core.bitwise_or, _core.bitwise_xor, _core.bitwise_not)
)
bitwise_and_ = bitwise_and.in_place(_core.bitwise_and_)
bitwise_or_ = bitwise_or.in_place(_core.bitwise_or_)
bitwise_xor_ = bitwise_xor.in_place(_core.bitwise_xor_)


def logical_and(x, y):
    """True where both are non-zero."""
    return (x != 0) & (y != 0)


def logical_or(x, y):
    """True where one is non-zero."""
    return (x != 0) | (y != 0)


def logical_xor(x, y):
    """True where exactly one is non-zero."""
    return (x != 0) ^ (y != 0)


def logical_not(x):
    """True where x is zero."""
    return x == 0


def isnan(x):
    """True where x is not a number."""
    return x != x


def isinf(x):
    """True where x is inf or -inf."""
    need_tensor("isinf", "x", x)
    return abs(x) == float("inf") if x.dtype.is_floating_point else x != x


def isfinite(x):
    """True where x is neither NaN nor infinite."""
    need_tensor("isfinite", "x", x)
    return abs(x) < float("inf") if x.dtype.is_floating_point else x == x


# --- choice
where = op(_core.where).backward(
    x=lambda dy, condition: where(condition, dy, 0.0),
    y=lambda dy, condition: where(condition, 0.0, dy),
)


def _masked_fill_kernel(x, mask, value):
    """x with `value` where the mask holds."""
    if isinstance(value, _core.TensorBase) and value.ndim:
        raise RuntimeError(f"masked_fill: expected a number or a 0-d tensor as value, got shape {value.shape}")
    if not isinstance(value, _core.TensorBase) or value.dtype is not x.dtype:
        value = _core.full((), value, x.dtype) if not isinstance(value, _core.TensorBase) else _core.cast(value, x.dtype)
    return _core.where(mask, value, x)


masked_fill = op(_masked_fill_kernel, name="masked_fill").backward(
    x=lambda dy, mask: where(mask, 0.0, dy), value=lambda dy, mask: where(mask, dy, 0.0)
)


def _masked_fill_in_place(x, mask, value):
    """In place: value where the mask holds."""
    return _core.copy_(x, _masked_fill_kernel(x, mask, value))


masked_fill_ = masked_fill.in_place(_masked_fill_in_place, name="masked_fill_")

# --- conversion and copies
cast = op(_core.cast).backward(x=lambda dy: dy)
clone = op(_core.clone).backward(x=lambda dy: dy)
copy_ = (
    op(_core.copy_, params="x, value").backward(x=lambda dy: zero(dy), value=lambda dy: dy).in_place(_core.copy_, name="copy_")
)
fill_ = (
    op(_core.fill_, params="x, value").backward(x=lambda dy: zero(dy), value=lambda dy: dy).in_place(_core.fill_, name="fill_")
)

_OPERATORS = {
    "add": add, "sub": sub, "mul": mul, "div": div, "floor_divide": floor_divide, "remainder": remainder, "pow": pow,
    "and": bitwise_and, "or": bitwise_or, "xor": bitwise_xor,
    "add_": add_, "sub_": sub_, "mul_": mul_, "div_": div_, "floor_divide_": floor_divide_, "remainder_": remainder_,
    "pow_": pow_, "and_": bitwise_and_, "or_": bitwise_or_, "xor_": bitwise_xor_,
    "neg": neg, "abs": abs, "invert": bitwise_not,
    "eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge,
}  # fmt: skip
for _name, _op in _OPERATORS.items():
    _core.set_operator(_name, _op)
