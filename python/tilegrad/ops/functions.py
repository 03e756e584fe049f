"""Further elementwise functions: trigonometry, statistics, activations, and functions of two and three operands.

As in ``ops.elementwise``: operands broadcast, integers become float32 where the function is one of floats, and numbers take
part in promotion by their kind only.
"""

from __future__ import annotations

import math

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor, need_tensors
from .elementwise import (
    abs,
    cos,
    exp,
    expm1,
    log,
    reciprocal,
    sign,
    sin,
    square,
    trunc,
    where,
    zero,
)

# --- trigonometry and hyperbolic functions
tan = op(_core.tan).backward(x=lambda dy, out: dy * (square(out) + 1.0))
asin = op(_core.asin).backward(x=lambda dy, x: dy / ((1.0 - x) * (x + 1.0)).sqrt())
acos = op(_core.acos).backward(x=lambda dy, x: -dy / ((1.0 - x) * (x + 1.0)).sqrt())
atan = op(_core.atan).backward(x=lambda dy, x: dy / (square(x) + 1.0))
sinh = op(_core.sinh).backward(x=lambda dy, x: dy * cosh(x))
cosh = op(_core.cosh).backward(x=lambda dy, x: dy * sinh(x))
asinh = op(_core.asinh).backward(x=lambda dy, x: dy / (square(x) + 1.0).sqrt())
acosh = op(_core.acosh).backward(x=lambda dy, x: dy / ((x - 1.0) * (x + 1.0)).sqrt())
atanh = op(_core.atanh).backward(x=lambda dy, x: dy / ((1.0 - x) * (x + 1.0)))

# --- powers and logarithms of other bases
_LN2, _LN10 = math.log(2), math.log(10)
exp2 = op(_core.exp2).backward(x=lambda dy, out: dy * out * _LN2)
log10 = op(_core.log10).backward(x=lambda dy, x: dy / (x * _LN10))

# --- functions of statistics
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
erfc = op(_core.erfc).backward(x=lambda dy, x: dy * exp(-square(x)) * -_TWO_OVER_ROOT_PI)
erfinv = op(_core.erfinv).backward(x=lambda dy, out: dy * exp(square(out)) * (1 / _TWO_OVER_ROOT_PI))
lgamma = op(_core.lgamma).backward(x=lambda dy, x: dy * digamma(x))
digamma = op(_core.digamma).backward(x=lambda dy, x: dy * trigamma(x))


def trigamma(x):
    """The derivative of digamma, in plain ops: psi'(x) = psi'(x + 1) + 1/x^2 up to 10, then the asymptotic series; below 0 by
    reflection."""
    below = x < 0
    y = where(below, 1.0 - x, x)
    shift = 0.0
    for _ in range(10):
        small = y < 10.0
        safe = where(small, y, 1.0)
        shift = shift + where(small, reciprocal(square(safe)), 0.0)
        y = where(small, y + 1.0, y)
    r = reciprocal(y)
    z = square(r)
    series = z * (1 / 6 - z * (1 / 30 - z * (1 / 42 - z * (1 / 30 - z * (5 / 66 - z * (691 / 2730 - z * (7 / 6)))))))
    value = shift + r + z * 0.5 + r * series
    reflected = square(math.pi / sin(where(below, x, 0.5) * math.pi)) - value
    return where(below, reflected, value)


# --- pieces of numbers
frac = op(_core.frac).backward(x=lambda dy: dy)
sgn = sign
positive = op(_core.clone, name="positive").backward(x=lambda dy: dy)


def deg2rad(x):
    """Degrees to radians."""
    need_tensor("deg2rad", "x", x)
    return x * (math.pi / 180)


def rad2deg(x):
    """Radians to degrees."""
    need_tensor("rad2deg", "x", x)
    return x * (180 / math.pi)


def sinc(x):
    """sin(pi x) / (pi x), 1 at 0."""
    need_tensor("sinc", "x", x)
    at_zero = x == 0
    angle = where(at_zero, 1.0, x * math.pi)
    # near 0 the derivatives come from the series: the plain quotient would have none at 0 itself
    return where(at_zero, 1.0 - square(x * math.pi) * (1 / 6), sin(angle) / angle)


def logit(x, eps=None):
    """log(x / (1 - x)); with eps x is first limited to [eps, 1 - eps]."""
    need_tensor("logit", "x", x)
    if eps is not None:
        x = x.clamp(eps, 1 - eps)
    return log(x / (1.0 - x))


def nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    """x with NaN, inf and -inf replaced: by nan, and by the largest and the smallest number of the dtype if not given."""
    need_tensor("nan_to_num", "x", x)
    from ..dtypes import finfo

    if not x.dtype.is_floating_point:
        return x.clone()
    limits = finfo(x.dtype)
    high, low = limits.max if posinf is None else posinf, limits.min if neginf is None else neginf
    x = where(x != x, float(nan), x)
    x = where(x == float("inf"), float(high), x)
    return where(x == float("-inf"), float(low), x)


def signbit(x):
    """True where the sign is minus, also of -0."""
    need_tensor("signbit", "x", x)
    if not x.dtype.is_floating_point:
        return x < 0
    return _core.lt(_core.copysign(1.0, x), 0.0)


def isposinf(x):
    """True where x is inf."""
    need_tensor("isposinf", "x", x)
    return x == float("inf") if x.dtype.is_floating_point else x != x


def isneginf(x):
    """True where x is -inf."""
    need_tensor("isneginf", "x", x)
    return x == float("-inf") if x.dtype.is_floating_point else x != x


def isreal(x):
    """True everywhere: there are no complex tensors."""
    need_tensor("isreal", "x", x)
    return x.new_ones(x.shape, dtype=_bool())


def _bool():
    from ..dtypes import bool as bool_

    return bool_


# --- functions of two operands
fmod = op(_core.fmod).backward(x=lambda dy: dy, y=lambda dy, x, y: -dy * trunc(x / y))
hypot = op(_core.hypot).backward(x=lambda dy, x, out: dy * (x / out), y=lambda dy, y, out: dy * (y / out))
copysign = op(_core.copysign).backward(
    x=lambda dy, x, y, out: dy * where(x == 0, 0.0, sign(x) * sign(out)), y=lambda dy: zero(dy)
)
logaddexp = op(_core.logaddexp).backward(
    x=lambda dy, x, out: dy * exp(where(x == out, 0.0, x - out)), y=lambda dy, y, out: dy * exp(where(y == out, 0.0, y - out))
)
xlogy = op(_core.xlogy).backward(
    x=lambda dy, x, y: dy * where((x == 0) & (y <= 0), 0.0, log(y)), y=lambda dy, x, y: dy * (x / y)
)
bitwise_left_shift, bitwise_right_shift = op(_core.bitwise_left_shift), op(_core.bitwise_right_shift)


def logaddexp2(x, y):
    """log2(2^x + 2^y)."""
    need_tensors("logaddexp2", x=x, y=y)
    return logaddexp(x * _LN2, y * _LN2) * (1 / _LN2)


def fmax(x, y):
    """The larger, elementwise; where one is NaN the other."""
    need_tensor("fmax", "x", x)
    return where(y != y, x, where(x != x, y, x.maximum(y)))


def fmin(x, y):
    """The smaller, elementwise; where one is NaN the other."""
    need_tensor("fmin", "x", x)
    return where(y != y, x, where(x != x, y, x.minimum(y)))


def float_power(x, y):
    """x to the power y, computed in float64."""
    from ..dtypes import float64

    x, y = (v.to(float64) if isinstance(v, _core.TensorBase) else float(v) for v in (x, y))
    return x**y


def rsub(x, y, *, alpha=1):
    """y - alpha * x."""
    need_tensor("rsub", "x", x)
    return y - (x if alpha == 1 else x * alpha)


# --- functions of three operands
lerp_op = op(_core.lerp, params="x, end, weight").backward(
    x=lambda dy, weight: dy * (1.0 - weight),
    end=lambda dy, weight: dy * weight,
    weight=lambda dy, x, end: dy * (end - x),
)
lerp_op_ = lerp_op.in_place(_core.lerp_, name="lerp_")
addcmul_op = op(_core.addcmul, params="x, tensor1, tensor2").backward(
    x=lambda dy: dy, tensor1=lambda dy, tensor2: dy * tensor2, tensor2=lambda dy, tensor1: dy * tensor1
)
addcmul_op_ = addcmul_op.in_place(_core.addcmul_, name="addcmul_")
addcdiv_op = op(_core.addcdiv, params="x, tensor1, tensor2").backward(
    x=lambda dy: dy,
    tensor1=lambda dy, tensor2: dy / tensor2,
    tensor2=lambda dy, tensor1, tensor2: -dy * (tensor1 / square(tensor2)),
)
addcdiv_op_ = addcdiv_op.in_place(_core.addcdiv_, name="addcdiv_")


def lerp(x, end, weight):
    """x + weight * (end - x); weight is a number or a tensor."""
    return lerp_op(x, end, weight)


def lerp_(x, end, weight):
    """`lerp` in place."""
    return lerp_op_(x, end, weight)


def addcmul(x, tensor1, tensor2, *, value=1):
    """x + value * tensor1 * tensor2."""
    return addcmul_op(x, tensor1 if value == 1 else tensor1 * value, tensor2)


def addcmul_(x, tensor1, tensor2, *, value=1):
    """`addcmul` in place."""
    return addcmul_op_(x, tensor1 if value == 1 else tensor1 * value, tensor2)


def addcdiv(x, tensor1, tensor2, *, value=1):
    """x + value * tensor1 / tensor2."""
    return addcdiv_op(x, tensor1 if value == 1 else tensor1 * value, tensor2)


def addcdiv_(x, tensor1, tensor2, *, value=1):
    """`addcdiv` in place."""
    return addcdiv_op_(x, tensor1 if value == 1 else tensor1 * value, tensor2)


# --- activations; their fused gradients take (x, dy) or (x, dy, parameter)
selu_backward = op(_core.selu_backward, params="x, dy")
mish_backward = op(_core.mish_backward, params="x, dy")
softsign_backward = op(_core.softsign_backward, params="x, dy")
hardsigmoid_backward = op(_core.hardsigmoid_backward, params="x, dy")
hardswish_backward = op(_core.hardswish_backward, params="x, dy")
logsigmoid_backward = op(_core.logsigmoid_backward, params="x, dy")
leaky_relu_backward = op(_core.leaky_relu_backward, params="x, dy, slope")
elu_backward = op(_core.elu_backward, params="x, dy, alpha")
celu_backward = op(_core.celu_backward, params="x, dy, alpha")

selu = op(_core.selu).backward(x=lambda dy, x: selu_backward(x, dy))
mish = op(_core.mish).backward(x=lambda dy, x: mish_backward(x, dy))
softsign = op(_core.softsign).backward(x=lambda dy, x: softsign_backward(x, dy))
hardsigmoid = op(_core.hardsigmoid).backward(x=lambda dy, x: hardsigmoid_backward(x, dy))
hardswish = op(_core.hardswish).backward(x=lambda dy, x: hardswish_backward(x, dy))
logsigmoid = op(_core.logsigmoid).backward(x=lambda dy, x: logsigmoid_backward(x, dy))
leaky_relu = op(_core.leaky_relu, params="x, slope").backward(x=lambda dy, x, slope: leaky_relu_backward(x, dy, slope))
# for slopes that are not negative: written over its input, nothing of it is needed
leaky_relu_from_output = op(_core.leaky_relu, params="x, slope", name="leaky_relu").backward(
    x=lambda dy, out, slope: leaky_relu_backward(out, dy, slope)
)
elu = op(_core.elu, params="x, alpha").backward(x=lambda dy, x, alpha: elu_backward(x, dy, alpha))
celu = op(_core.celu, params="x, alpha").backward(x=lambda dy, x, alpha: celu_backward(x, dy, alpha))

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@selu_backward.composite
def _(x, dy):
    return dy * where(x > 0, _SELU_SCALE, exp(x.clamp(max=0.0)) * (_SELU_SCALE * _SELU_ALPHA))


@mish_backward.composite
def _(x, dy):
    from .elementwise import sigmoid, softplus, tanh

    t = tanh(softplus(x))
    return dy * (t + x * (1.0 - square(t)) * sigmoid(x))


@softsign_backward.composite
def _(x, dy):
    return dy / square(abs(x) + 1.0)


@hardsigmoid_backward.composite
def _(x, dy):
    return where(abs(x) < 3.0, dy * (1 / 6), 0.0)


@hardswish_backward.composite
def _(x, dy):
    return dy * where(x <= -3.0, 0.0, where(x < 3.0, x * (1 / 3) + 0.5, 1.0))


@logsigmoid_backward.composite
def _(x, dy):
    from .elementwise import sigmoid

    return dy * sigmoid(-x)


@leaky_relu_backward.composite
def _(x, dy, slope):
    return where(x > 0, dy, dy * slope)


@elu_backward.composite
def _(x, dy, alpha):
    return where(x > 0, dy, dy * alpha * exp(x.clamp(max=0.0)))


@celu_backward.composite
def _(x, dy, alpha):
    return where(x > 0, dy, dy * exp(x.clamp(max=0.0) / alpha))


# --- in-place forms
_IN_PLACE = (
    tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, exp2, log10, erfc, erfinv, lgamma, digamma, frac, fmod, hypot,
    copysign, xlogy, bitwise_left_shift, bitwise_right_shift, selu, mish, softsign, hardsigmoid, hardswish, logsigmoid,
    leaky_relu, elu, celu,
)  # fmt: skip
for _op in _IN_PLACE:
    globals()[f"{_op.name}_"] = _op.in_place(getattr(_core, f"{_op.name}_"))
_MORE = {"expm1": expm1, "sin": sin, "cos": cos}
for _name, _op in _MORE.items():
    globals()[f"{_name}_"] = _op.in_place(getattr(_core, f"{_name}_"))
