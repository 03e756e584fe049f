"""Unary functions."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import compare, elementwise
from tilegrad.testing.layouts import spaced, unary_arrays, unary_samples, uniform
from tilegrad.testing.spec import ALL, FLOATS, INTEGERS, NUMBERS, OpError, OpSpec, functional, op, sample

INF = float("inf")
FLOATS_AND_INTS = FLOATS + INTEGERS + ("bool",)  # functions that turn integers into float32


def away_from(points, gap=0.1):
    """A maker of random arrays that stays `gap` away from the kinks at `points`."""

    def make(rng, shape, low, high):
        x = uniform(rng, shape, low, high)
        for p in points:
            x = np.where(np.abs(x - p) < gap, p + gap * np.where(x < p, -1.5, 1.5), x)
        return np.asarray(x)

    return make


def samples(low=-2.0, high=2.0, kinks=(), special=True):
    return lambda rng: unary_samples(rng, low, high, away_from(kinks), special)


def whole_numbers_and_halves(rng):
    """For rounding: halves in both directions, values beyond 2**31, and no gradient near a step."""
    halves = np.arange(-8, 8) / 2
    large = np.array([2.0**23 + 1, -(2.0**31) - 4, 1e15, -1e15, 0.49999997, -0.49999997])
    return [
        *unary_samples(rng, -4.0, 4.0, away_from(np.arange(-8, 9) / 2)),
        sample(halves, gradient=False, note="halves"),
        sample(large, gradient=False, dtypes=FLOATS, note="large"),
    ]


def unary(name, numpy, dtypes=FLOATS, *, fn=None, low=-2.0, high=2.0, kinks=(), make=None, differentiable=(0,), **options):
    make = make or samples(low, high, kinks)
    return OpSpec(name, fn or op(name), numpy, make, dtypes, differentiable=differentiable, **options)


def floating(name, numpy, **options):
    """A function that is defined on floats and gives float32 for integers."""
    return unary(name, numpy, FLOATS_AND_INTS, result="float", **options)


def clamp_samples(rng):
    make = away_from((-1.0, 1.0))
    arrays = [a for a, _ in unary_arrays(rng, -3.0, 3.0, make)]
    return (
        [sample(a, -1, 1) for a in arrays]
        + [sample(arrays[3], min=-1), sample(arrays[3], max=1), sample(arrays[3], min=1, max=-1, note="min above max")]
        + [sample(np.array([np.nan, INF, -INF, 0.0]), -1, 1, gradient=False, dtypes=FLOATS, note="special values")]
    )


# 1 + erf(x) loses digits for negative x
GELU = {"float32": (4e-6, 4e-7), "float64": (1e-13, 1e-15), "bfloat16": (2.0**-7, 1e-6), "float16": (2.0**-9, 1e-6)}

SPECS = [
    unary("neg", np.negative, NUMBERS),
    unary("abs", np.abs, NUMBERS, kinks=(0.0,)),
    unary("sign", elementwise.sign, NUMBERS, kinks=(0.0,)),
    unary("square", np.square, NUMBERS),
    unary("relu", elementwise.relu, NUMBERS, kinks=(0.0,)),
    floating("sqrt", np.sqrt, low=0.1, high=4.0),
    floating("rsqrt", elementwise.rsqrt, low=0.1, high=4.0),
    floating("reciprocal", elementwise.reciprocal, low=0.3, high=3.0),
    floating("exp", np.exp),
    floating("expm1", np.expm1),
    floating("log", np.log, low=0.1, high=4.0),
    floating("log1p", np.log1p, low=-0.8, high=4.0),
    floating("log2", np.log2, low=0.1, high=4.0),
    floating("sin", np.sin, low=-7.0, high=7.0),
    floating("cos", np.cos, low=-7.0, high=7.0),
    floating("tanh", np.tanh),
    floating("sigmoid", elementwise.sigmoid),
    floating("erf", elementwise.erf),
    unary("silu", elementwise.silu, fn=functional("silu")),
    unary("softplus", elementwise.softplus, fn=functional("softplus")),
    unary("gelu", elementwise.gelu, fn=functional("gelu"), tolerances=GELU),
    unary(
        "gelu_tanh",
        lambda x: elementwise.gelu(x, "tanh"),
        fn=lambda x: tg.nn.functional.gelu(x, approximate="tanh"),
        tolerances=GELU,
    ),
    *[
        unary(name, numpy, NUMBERS, make=whole_numbers_and_halves)
        for name, numpy in (("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc), ("round", elementwise.round))
    ],
    OpSpec(
        "clamp",
        op("clamp"),
        elementwise.clamp,
        clamp_samples,
        FLOATS + INTEGERS[:3],
        differentiable=(0,),
        rows=("maximum", "minimum"),
    ),
    unary("bitwise_not", compare.bitwise_not, (*INTEGERS, "bool"), differentiable=()),
    unary("logical_not", compare.logical_not, ALL, differentiable=(), result="bool"),
    unary("isnan", np.isnan, ALL, differentiable=(), result="bool"),
    unary("isinf", np.isinf, ALL, differentiable=(), result="bool"),
    unary("isfinite", np.isfinite, ALL, differentiable=(), result="bool"),
]

_by_name = {s.name: s for s in SPECS}
_by_name["bitwise_not"].errors = [
    OpError(lambda: tg.bitwise_not(tg.zeros(2)), TypeError, r"bitwise_not: expected integer or bool tensors, got float32"),
]
_by_name["neg"].errors = [
    OpError(lambda: tg.neg(tg.tensor([True])), (RuntimeError, TypeError), r"neg: .*bool"),
    OpError(lambda: tg.neg("text"), TypeError, r"neg\(\): argument 'x' must be Tensor, not str"),
]
_by_name["clamp"].errors = [
    OpError(lambda: tg.clamp(tg.zeros(2)), RuntimeError, r"clamp: at least one of min and max must be given"),
]
_by_name["gelu"].errors = [
    OpError(
        lambda: tg.nn.functional.gelu(tg.zeros(2), approximate="other"),
        ValueError,
        r"gelu: approximate must be 'none' or 'tanh', got 'other'",
    ),
]


def cast_samples(dtype):
    """Values that every dtype can hold, so that casting is exact or rounds once."""

    def make(rng):
        result = [sample(a, note=note) for a, note in unary_arrays(rng, 0.0, 100.0, spaced)]
        floats = np.array([0.0, -0.0, 0.4, 1.0, 3.7, 100.9, 1.5, 2.5])
        return [*result, sample(floats, gradient=False, note="fractions")]

    return make


def cast_spec(dtype):
    return OpSpec(
        f"to_{dtype}",
        fn=lambda x: x.to(getattr(tg, dtype)),
        numpy=lambda x: elementwise.cast(x, dtype),
        samples=cast_samples(dtype),
        dtypes=ALL,
        result=lambda _: dtype,
        differentiable=(0,) if dtype == "float64" else (),
        rows=("copy",),
    )


SPECS += [cast_spec(dtype) for dtype in ALL]
