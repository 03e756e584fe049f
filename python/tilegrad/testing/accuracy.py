"""How far each kernel may be from the exact result: one table for the tests, the documentation and `measure()`.

Elementwise functions: the largest error in units in the last place of the result, over dense samples of the range (every
magnitude, and evenly between -20 and 20) and special values. The yardstick computes in extended precision where NumPy has it.
A result below the smallest normal number has that number's unit. Where a result is a difference of larger numbers, its unit is
that of the larger numbers (`scale`).

Kernels that sum: the largest error relative to the largest element of the result, against the same call in float64.

The bounds hold for every instruction set. They are meant to be tight: a test fails if one is more than four times what is
measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import tilegrad as tg

Long = np.longdouble
EXTENDED = np.finfo(Long).nmant > 52  # without it there is nothing to hold float64 against
INF = math.inf
ArrayFunction = Callable[..., Any]


@dataclass(frozen=True)
class Function:
    """An elementwise kernel: `exact` on long double arrays, its range, bounds in units in the last place. `operands`: how many;
    the first goes over the range densely, the others are random in `others`."""

    name: str
    exact: ArrayFunction
    float32: float
    float64: float | None = None  # None: C's library does it, or there is no yardstick
    low: float = -INF
    high: float = INF
    operands: int = 1
    others: tuple[float, float] = (-3.0, 3.0)
    scale: ArrayFunction | None = None

    def bound(self, dtype: str) -> float | None:
        return self.float32 if dtype == "float32" else self.float64


# --- exact functions -----------------------------------------------------------------------------------------------------


def normal_tail(x: Any) -> Any:
    """erfc in extended precision: a series of positive terms up to 2, a continued fraction beyond."""
    a = np.abs(x)
    small, large = np.minimum(a, Long(2)), np.maximum(a, Long(2))
    term = total = small
    for n in range(1, 80):
        term = term * 2 * small * small / (2 * n + 1)
        total = total + term
    near = 1 - 2 / np.sqrt(PI) * np.exp(-small * small) * total
    tail = Long(0)
    for n in range(160, 0, -1):
        tail = Long(n) / 2 / (large + tail)
    far = np.exp(-large * large) / ((large + tail) * np.sqrt(PI))
    positive = np.where(a < 2, near, far)
    return np.where(x < 0, 2 - positive, positive)


PI = Long("3.14159265358979323846264338327950288") if EXTENDED else Long(math.pi)


def erf(x: Any) -> Any:
    a = np.minimum(np.abs(x), Long(2))
    term = total = a
    for n in range(1, 80):
        term = term * 2 * a * a / (2 * n + 1)
        total = total + term
    series = 2 / np.sqrt(PI) * np.exp(-a * a) * total
    return np.copysign(np.where(np.abs(x) < 2, series, 1 - normal_tail(np.abs(x))), x)


def sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def normal_cdf(x: Any) -> Any:
    return normal_tail(-x / np.sqrt(Long(2))) / 2


def gelu_backward(x: Any, dy: Any) -> Any:
    return dy * (normal_cdf(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * PI))


def tanh_gelu_argument(x: Any) -> Any:
    return 2 * np.sqrt(2 / PI) * (x + Long(0.044715) * x**3)


def gelu_tanh_backward(x: Any, dy: Any) -> Any:
    s = sigmoid(tanh_gelu_argument(x))
    return dy * (s + x * s * (1 - s) * 2 * np.sqrt(2 / PI) * (1 + 3 * Long(0.044715) * x * x))


def mish_factor(x: Any) -> Any:
    return np.tanh(softplus(x))


def mish_backward(x: Any, dy: Any) -> Any:
    t = mish_factor(x)
    return dy * (t + x * (1 - t) * (1 + t) * sigmoid(x))


SELU_SCALE, SELU_ALPHA = Long(1.0507009873554804934), Long(1.6732632423543772848)


def selu(x: Any) -> Any:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def selu_backward(x: Any, dy: Any) -> Any:
    return dy * SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(np.minimum(x, 0)))


def hard_sigmoid(x: Any) -> Any:
    return np.clip(x + 3, 0, 6) / 6


def logaddexp(a: Any, b: Any) -> Any:
    return np.maximum(a, b) + np.log1p(np.exp(-np.abs(a - b)))


def through_float64(name: str) -> ArrayFunction:
    """A function of `tilegrad.reference.functions` that exists in float64 only: good for float32."""

    def call(x: Any) -> Any:
        from tilegrad.reference import functions

        return getattr(functions, name)(x.astype(np.float64)).astype(Long)

    return call


# --- the table -----------------------------------------------------------------------------------------------------------


def one(
    name: str, exact: ArrayFunction, float32: float, float64: float | None, low: float = -INF, high: float = INF, **options: Any
) -> Function:
    return Function(name, exact, float32, float64, low, high, **options)


def two(*arguments: Any, **options: Any) -> Function:
    return replace(one(*arguments, **options), operands=2)


def three(*arguments: Any, **options: Any) -> Function:
    return replace(one(*arguments, **options), operands=3)


FUNCTIONS = [
    one("neg", np.negative, 0, 0),
    one("abs", np.abs, 0, 0),
    one("sign", lambda x: np.where(np.isnan(x), 0, np.sign(x)), 0, 0),
    one("square", np.square, 0.5, 0.5),
    one("relu", lambda x: np.maximum(x, 0), 0, 0),
    one("floor", np.floor, 0, 0),
    one("ceil", np.ceil, 0, 0),
    one("trunc", np.trunc, 0, 0),
    one("round", np.rint, 0, 0),
    one("frac", lambda x: x - np.trunc(x), 0, 0),
    one("sqrt", np.sqrt, 0.5, 0.5, 0),
    one("rsqrt", lambda x: 1 / np.sqrt(x), 1.7, 1.7, 0),
    one("reciprocal", lambda x: 1 / x, 0.5, 0.5),
    one("exp", np.exp, 1.2, 1.1),
    one("exp2", np.exp2, 1.2, 1.1),
    one("expm1", np.expm1, 1.7, 2.1),
    one("log", np.log, 0.9, 0.9, 0),
    one("log2", np.log2, 1.7, 1.5, 0),
    one("log10", np.log10, 2, 1.7, 0),
    one("log1p", np.log1p, 0.9, 0.9, -1),
    one("sin", np.sin, 1.6, 1.7, -1e4, 1e4),
    one("cos", np.cos, 1.6, 1.6, -1e4, 1e4),
    one("tan", np.tan, 3.1, 3.4, -1e4, 1e4),
    one("asin", np.arcsin, 2.9, 2.6, -1, 1),
    one("acos", np.arccos, 2.5, 2.4, -1, 1),
    one("atan", np.arctan, 2.1, 1.4),
    one("sinh", np.sinh, 1.8, 2),
    one("cosh", np.cosh, 1.6, 1.4),
    one("tanh", np.tanh, 2.2, 2.3),
    one("asinh", np.arcsinh, 1.6, 1.5),
    one("acosh", np.arccosh, 2.2, 1.6, 1),
    one("atanh", np.arctanh, 1.9, 1.7, -1, 1),
    one("sigmoid", sigmoid, 2.4, 2.2),
    one("silu", lambda x: x * sigmoid(x), 3.2, 3.4, -87),
    one("softplus", lambda x: np.where(x > 20, x, softplus(x)), 1.7, 1.5),
    one("logsigmoid", lambda x: -softplus(-x), 1.7, 1.5),
    one("softsign", lambda x: x / (1 + np.abs(x)), 1.6, 1.6),
    one("hardsigmoid", hard_sigmoid, 1.2, 1.2),
    one("hardswish", lambda x: x * hard_sigmoid(x), 1.9, 1.9),
    one("selu", selu, 2.2, 1.9),
    one("mish", lambda x: x * mish_factor(x), 4.2, 4.1, -87),
    one("erf", erf, 1, 1),
    one("erfc", normal_tail, 1.3, None, -INF, 9),
    one("gelu", lambda x: x * normal_cdf(x), 7.9, 13, -2, INF),
    one("gelu_tanh", lambda x: x * sigmoid(tanh_gelu_argument(x)), 6.3, 6.8, -2, INF),
    one("erfinv", through_float64("erfinv"), 3.9, None, -1, 1),
    one("lgamma", through_float64("lgamma"), 0.5, None, 0, 1e30),
    one("digamma", through_float64("digamma"), 0.5, None, 2, 1e30),
    two("add", np.add, 0.5, 0.5),
    two("sub", np.subtract, 0.5, 0.5),
    two("mul", np.multiply, 0.5, 0.5),
    two("div", np.divide, 0.5, 0.5),
    two("maximum", np.maximum, 0, 0),
    two("minimum", np.minimum, 0, 0),
    two("copysign", np.copysign, 0, 0),
    two("fmod", np.fmod, 0, 0),
    two("remainder", np.mod, 0.5, 0.5, scale=lambda x, y, r: np.abs(y)),
    two("floor_divide", np.floor_divide, 0.5, 0, -1e5, 1e5),
    two("pow", np.power, 0.5, 0.51, 0),
    two("atan2", np.arctan2, 1.9, 1.7),
    two("hypot", np.hypot, 1.4, 1.3),
    two("logaddexp", logaddexp, 3.5, 3.9, scale=lambda a, b, r: np.maximum(np.abs(np.maximum(a, b)), np.abs(r))),
    two("xlogy", lambda x, y: x * np.log(y), 1.9, 1.8, others=(0.0, 9.0)),
    two("leaky_relu", lambda x, s: np.where(x > 0, x, x * s), 0.5, 0.5),
    two("elu", lambda x, s: np.where(x > 0, x, s * np.expm1(np.minimum(x, 0))), 1.6, 1.8),
    two("celu", lambda x, s: np.where(x > 0, x, s * np.expm1(np.minimum(x, 0) / s)), 2.4, 2.2, others=(0.5, 3.0)),
    two("relu_backward", lambda y, dy: np.where(y > 0, dy, 0), 0, 0),
    two("tanh_backward", lambda y, dy: dy * (1 - y) * (1 + y), 2.2, 2.2, -1, 1),
    two("sigmoid_backward", lambda y, dy: dy * y * (1 - y), 2, 2, 0, 1),
    two(
        "silu_backward",
        lambda x, dy: dy * sigmoid(x) * (1 + x * (1 - sigmoid(x))),
        4,
        5.2,
        -87,
        scale=lambda x, dy, r: dy * sigmoid(x) * (1 + np.abs(x) * (1 - sigmoid(x))),
    ),
    two("gelu_backward", gelu_backward, 3.1, 2.4, scale=lambda x, dy, r: dy),
    two("gelu_tanh_backward", gelu_tanh_backward, 3.6, 3.2, -1e12, 1e12, scale=lambda x, dy, r: dy),
    two("selu_backward", selu_backward, 2.7, 2.7),
    two("mish_backward", mish_backward, 3.5, 2.6, -1e30, 1e30, scale=lambda x, dy, r: dy),
    two("softsign_backward", lambda x, dy: dy / (1 + np.abs(x)) ** 2, 3.6, 3.2, -1e15, 1e15),
    two("hardsigmoid_backward", lambda x, dy: np.where(np.abs(x) < 3, dy / 6, 0), 0.5, 0.5),
    two(
        "hardswish_backward",
        lambda x, dy: dy * np.where(x <= -3, 0, np.where(x < 3, (2 * x + 3) / 6, 1)),
        2.4,
        2.6,
        scale=lambda x, dy, r: dy,
    ),
    two("logsigmoid_backward", lambda x, dy: dy * sigmoid(-x), 3.1, 3.2),
    three("clamp", lambda x, a, b: np.minimum(np.maximum(x, a), b), 0, 0),
    three(
        "lerp",
        lambda a, b, w: a + w * (b - a),
        5.2,
        3.4,
        low=-1e30,
        high=1e30,
        scale=lambda a, b, w, r: np.abs(a) + np.abs(w) * np.abs(b - a),
    ),
    three("addcmul", lambda a, b, c: a + b * c, 1.2, 1.1, scale=lambda a, b, c, r: np.abs(a) + np.abs(b * c)),
    three("addcdiv", lambda a, b, c: a + b / c, 1.2, 1.2, scale=lambda a, b, c, r: np.abs(a) + np.abs(b / c)),
    three("leaky_relu_backward", lambda x, dy, s: np.where(x > 0, dy, dy * s), 0.5, 0.5),
    three("elu_backward", lambda x, dy, s: dy * np.where(x > 0, 1, s * np.exp(np.minimum(x, 0))), 3.7, 2.4),
    three(
        "celu_backward",
        lambda x, dy, s: dy * np.where(x > 0, 1, np.exp(np.minimum(x, 0) / s)),
        30,
        28,
        low=-20,
        others=(0.5, 3.0),
    ),
]
EXACT = ("bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift")


def unit(function: Function, dtype: str) -> str:
    bound = function.bound(dtype)
    return "" if bound is None else "exact" if bound == 0 else f"{bound:g}"


def as_table() -> str:
    """The bounds of the elementwise functions, for the documentation."""
    lines = ["| function | range | float32 | float64 |", "|---|---|---|---|"]
    for f in FUNCTIONS:
        ends = ["" if math.isinf(e) else f"{e:g}" for e in (f.low, f.high)]
        where = (
            "all"
            if not any(ends)
            else f"{ends[0]} to {ends[1]}".strip()
            if all(ends)
            else f"from {ends[0]}"
            if ends[0]
            else f"to {ends[1]}"
        )
        relative = ", unit of the terms" if f.scale is not None else ""
        lines.append(f"| `{f.name}` | {where}{relative} | {unit(f, 'float32')} | {unit(f, 'float64')} |")
    return "\n".join(lines)


# --- measure -------------------------------------------------------------------------------------------------------------


def grid(dtype: str, low: float, high: float, count: int = 30_000) -> np.ndarray:
    """Values of the dtype in [low, high]: every magnitude, finely around zero, and the special ones."""
    kind, bits = np.dtype(dtype), np.uint32 if dtype == "float32" else np.uint64
    largest = np.finfo(kind).max
    steps = np.linspace(0, float(largest.view(bits)), count).astype(bits)
    everything = np.minimum(steps, largest.view(bits)).view(kind)
    fine = np.linspace(max(low, -20.0), min(high, 20.0), 20_001).astype(kind)
    special = np.array([0.0, -0.0, 1.0, -1.0, np.finfo(kind).tiny, largest, -largest, INF, -INF, math.nan], kind)
    x = np.concatenate([-everything[::-1], everything, fine, special])
    return x[~((x < low) | (x > high))]


def error_in_units(function: Function, dtype: str) -> tuple[float, tuple]:
    """The largest error of the kernel in units in the last place, and the operands it happens at. Infinite if a NaN, an
    infinity or an overflow is not where the exact result has it."""
    x = grid(dtype, function.low, function.high)
    rng = np.random.default_rng(0)
    others = [rng.uniform(*function.others, x.size).astype(dtype) for _ in range(function.operands - 1)]
    actual = getattr(tg._core, function.name)(*(tg.from_numpy(a) for a in (x, *others))).numpy()
    with np.errstate(all="ignore"):
        wide = [a.astype(Long) for a in (x, *others)]
        exact = np.asarray(function.exact(*wide), Long)
        scale = np.abs(exact if function.scale is None else function.scale(*wide, exact))
        info = np.finfo(dtype)
        exponent = np.floor(np.log2(np.maximum(scale, Long(info.tiny))))
        unit = np.exp2(np.maximum(exponent, Long(info.minexp)) - info.nmant)
        error = np.abs(actual.astype(Long) - exact) / unit
        # results beyond the largest number may round to it or to infinity
        border = np.abs(exact) > Long(info.max) * (1 - 8 * Long(info.eps))
        error = np.where(border & (np.isinf(actual) | (np.abs(actual) > 0.999 * info.max)), 0, error)
        error = np.where(np.isnan(actual) & np.isnan(exact), 0, error)
        error = np.where(np.isnan(error), INF, error)
        error = np.where(~np.isfinite(scale) & np.isfinite(exact), 0, error)
    worst = int(np.argmax(error))
    return float(error[worst]), tuple(float(a[worst]) for a in (x, *others))
