"""Trigonometry, functions of statistics, activations, and functions of two and three operands."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import functions
from tilegrad.testing.layouts import binary_samples, expanded, transposed, unary_samples, uniform
from tilegrad.testing.spec import FLOATS, NUMBERS, OpError, OpSpec, functional, op, sample
from tilegrad.testing.specs.elementwise import floating, samples, unary

INF = float("inf")
NEAR = (-0.9, 0.9)
CANCELS = {"float32": (1e-5, 2e-6), "float64": (1e-12, 1e-14), "bfloat16": (2.0**-6, 1e-2), "float16": (2.0**-8, 1e-2)}


def tails(*points):
    """Random arrays, and values where formulas change or numbers run out, without derivatives."""

    def make(low, high, special=True):
        def build(rng):
            extreme = sample(np.array(points), gradient=False, dtypes=FLOATS, note="tails")
            return [*unary_samples(rng, low, high, special=special), extreme]

        return build

    return make


def binary(name, numpy, make, dtypes=FLOATS, **options):
    options.setdefault("differentiable", (0, 1))
    return OpSpec(name, op(name), numpy, make, dtypes, **options)


def activation(name, kinks=(), fn=None, numpy=None, make=None, **options):
    make = make or samples(-6.0, 6.0, kinks)
    return unary(name, numpy or getattr(functions, name), fn=fn or functional(name), make=make, tolerances=CANCELS, **options)


def parametric(name, parameters):
    def build(rng):
        return [
            sample(*s.args, p, gradient=s.gradient, dtypes=s.dtypes, note=s.note)
            for s in samples(-6.0, 6.0, (0.0,))(rng)
            for p in parameters
        ]

    return activation(name, make=build)


def ternary_samples(value=None, low=-2.0, high=2.0):
    def build(rng):
        def x(*shape):
            return uniform(rng, shape, -2.0, 2.0)

        def d(*shape):
            return uniform(rng, shape, low, high)

        options = {} if value is None else {"value": value}
        return [
            sample(x(), x(), d(), **options),
            sample(x(7, 13), x(7, 13), d(7, 13), **options),
            sample(x(1037), x(1037), d(1037), **options),
            sample(x(3, 5), x(5), d(3, 1), **options),
            sample(x(5), x(4, 1), d(5), **options),
            sample(transposed(x(5, 9)), x(5, 9), d(), **options),
            sample(expanded(x(1, 6), (4, 6)), x(4, 6), d(4, 6), **options),
            sample(np.zeros((0, 3)), x(3), d(3), **options),
        ]

    return build


def lerp_samples(rng):
    numbers = [sample(uniform(rng, (3, 5)), uniform(rng, (3, 5)), w) for w in (0.0, 0.3, 0.5, 1.0)]
    return [*ternary_samples()(rng), *numbers]


def shifts(rng):
    return [
        sample(rng.integers(-100, 100, (5, 7)), rng.integers(0, 7, (5, 7))),
        sample(rng.integers(0, 100, (5, 7)), rng.integers(0, 7, (7,))),
    ]


def gapped(rng):
    """Quotients away from whole numbers, where fmod jumps; then all signs."""
    quotient, y = rng.integers(-5, 6, (6, 7)) + uniform(rng, (6, 7), 0.2, 0.8), uniform(rng, (6, 7), 1.0, 3.0)
    signs = [(7.0, 3.0), (-7.0, 3.0), (7.0, -3.0), (-7.0, -3.0), (6.0, 3.0), (-6.0, 3.0), (0.0, 5.0)]
    a, b = (np.array(v) for v in zip(*signs, strict=True))
    zero = np.array([1.0, 0.0, np.inf, np.nan, 3.0]), np.array([0.0, 0.0, 2.0, 2.0, np.inf])
    return [
        sample(quotient * y, y, dtypes=FLOATS),
        sample(a, b, gradient=False),
        sample(*zero, gradient=False, dtypes=FLOATS, note="zero and infinite divisors"),
    ]


BIG = tails(89.2, -89.2, 100.0, -100.0, 1e-20, -1e-20, 1e10, -1e10, 0.0, -0.0)
HALF = {"float32": (3e-6, 1e-6), "float64": (1e-11, 1e-12), "bfloat16": (2.0**-6, 1e-2), "float16": (2.0**-8, 2e-3)}

SPECS = [
    floating("tan", np.tan, low=-1.2, high=1.2),
    floating("asin", np.arcsin, low=-0.9, high=0.9),
    floating("acos", np.arccos, low=-0.9, high=0.9),
    floating("atan", np.arctan),
    floating("sinh", np.sinh, make=BIG(-3.0, 3.0)),
    floating("cosh", np.cosh, make=BIG(-3.0, 3.0)),
    floating("asinh", np.arcsinh, make=BIG(-3.0, 3.0)),
    floating("acosh", np.arccosh, low=1.1, high=9.0),
    floating("atanh", np.arctanh, low=-0.9, high=0.9),
    floating("exp2", np.exp2),
    floating("log10", np.log10, low=0.1, high=9.0),
    unary("frac", functions.frac, make=samples(-3.4, 3.4, tuple(float(k) for k in range(-4, 5)), special=False)),
    floating("erfc", functions.erfc),
    floating("erfinv", functions.erfinv, make=samples(*NEAR)),
    floating("lgamma", functions.lgamma, make=samples(0.2, 9.0), order=2),
    floating("digamma", functions.digamma,
             make=tails(-0.5, -1.5, -3.0, 50.0, 1e6)(0.3, 9.0, special=False), tolerances=HALF),
    unary("sinc", np.sinc, low=0.1, high=3.0, tolerances=HALF),
    unary("logit", functions.logit, make=samples(0.1, 0.9), tolerances=HALF),
    unary(
        "nan_to_num",
        lambda x: np.nan_to_num(x, posinf=np.finfo(np.float64).max, neginf=-np.finfo(np.float64).max),
        ("float64",),
    ),
    unary("signbit", np.signbit, FLOATS, differentiable=(), result="bool"),
    unary("isposinf", np.isposinf, FLOATS, differentiable=(), result="bool"),
    unary("isneginf", np.isneginf, FLOATS, differentiable=(), result="bool"),
    activation("selu", (0.0,)),
    activation("mish", make=tails(25.0, -80.0, 19.9)(-6.0, 6.0)),
    activation("softsign"),
    activation("hardsigmoid", (-3.0, 3.0)),
    activation("hardswish", (-3.0, 3.0), make=samples(-6.0, 6.0, (-3.0, 3.0), special=False)),
    activation("logsigmoid"),
    parametric("leaky_relu", (0.01, 0.2)),
    parametric("elu", (1.0, 0.5)),
    parametric("celu", (1.0, 2.0)),
    binary("fmod", functions.fmod, gapped, NUMBERS),
    binary("hypot", np.hypot, lambda rng: binary_samples(rng, 0.3, 2.0)),
    binary("copysign", np.copysign, lambda rng: binary_samples(rng, 0.3, 2.0), differentiable=(0,)),
    binary("logaddexp", np.logaddexp, lambda rng: binary_samples(rng, -3.0, 3.0), tolerances=HALF),
    binary("xlogy", functions.xlogy, lambda rng: binary_samples(rng, 0.3, 2.0), tolerances=HALF),
    binary("fmax", np.fmax, lambda rng: binary_samples(rng), differentiable=()),
    binary("fmin", np.fmin, lambda rng: binary_samples(rng), differentiable=()),
    binary("bitwise_left_shift", functions.left_shift, shifts, ("int64",), differentiable=()),
    binary("bitwise_right_shift", functions.right_shift, shifts, ("int64",), differentiable=()),
    OpSpec("lerp", op("lerp"), functions.lerp, lerp_samples, FLOATS, differentiable=(0, 1, 2), tolerances=CANCELS),
    OpSpec(
        "addcmul", op("addcmul"), functions.addcmul, ternary_samples(), (*FLOATS[:2], "int64"), differentiable=(0, 1, 2),
        tolerances=CANCELS,
    ),
    OpSpec(
        "addcmul_value", op("addcmul"), functions.addcmul, ternary_samples(3), FLOATS[:2], differentiable=(0, 1, 2),
        tolerances=CANCELS,
    ),
    OpSpec(
        "addcdiv", op("addcdiv"), functions.addcdiv, ternary_samples(0.5, 0.5, 2.0), FLOATS[:2], differentiable=(0, 1, 2),
        tolerances=CANCELS,
    ),
]  # fmt: skip

_by_name = {s.name: s for s in SPECS}
_by_name["fmod"].errors = [
    OpError(
        lambda: tg.fmod(tg.tensor([3]), tg.tensor([0])), (ZeroDivisionError, RuntimeError), r"fmod: integer division by zero"
    )
]
_by_name["bitwise_left_shift"].errors = [
    OpError(
        lambda: tg.bitwise_left_shift(tg.ones(2), 1),
        TypeError,
        r"bitwise_left_shift: expected integer or bool tensors, got float32",
    )
]
_by_name["lerp"].errors = [
    OpError(
        lambda: tg.lerp(tg.ones(2, 3), tg.ones(2, 4), 0.5),
        RuntimeError,
        r"lerp: shapes \(2, 3\) and \(2, 4\) cannot be broadcast",
    )
]
