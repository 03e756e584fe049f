"""Running sums, products, maxima, minima and log-sum-exps."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import scan
from tilegrad.testing.layouts import expanded, spaced, stepped, transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, NUMBERS, OpError, OpSpec, op, sample

LONG = {"float32": (1e-6, 1e-6), "float64": (1e-12, 1e-13), "bfloat16": (2.0**-7, 1e-3), "float16": (2.0**-9, 1e-3)}


def samples(make=uniform, low=-2.0, high=2.0, long=1037):
    """Chains along the last dim (in fours and what is left) and along others (in blocks of 64 columns and what is left)."""

    def build(rng):
        tied = make is spaced
        return [
            sample(make(rng, (), low, high), 0),
            sample(make(rng, (1,), low, high), 0),
            sample(make(rng, (7, 13), low, high), 1),
            sample(make(rng, (7, 13), low, high), 0),
            sample(make(rng, (3, 4, 5), low, high), 1),
            sample(make(rng, (3, 4, 5), low, high), -1),
            sample(make(rng, (2, 3, 70), low, high), 1),
            sample(make(rng, (long, 2), low, high), 0, gradient=False),
            sample(make(rng, (2, long), low, high), 1, gradient=False),
            sample(transposed(make(rng, (6, 9), low, high)), 1),
            sample(stepped(make(rng, (3, 17), low, high)), 1),
            sample(expanded(make(rng, (4, 1), low, high), (4, 6)), 1, gradient=not tied),
            sample(np.zeros((0, 3)), 0),
            sample(np.zeros((3, 0)), 1),
        ]

    return build


def small_factors(rng, shape, low, high):
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0)


def product_samples(rng):
    zeros = np.array([[0.0, 2.0, 3.0, 1.0], [1.0, 0.0, 0.0, 3.0], [1.0, 2.0, 3.0, 0.0]])
    return [
        *samples(small_factors)(rng),
        sample(zeros, 1),
        sample(zeros, 0),
        sample(uniform(rng, (3, 5), 0.5, 2.0), 1, dtypes=FLOATS),
    ]


def extreme_samples(rng):
    nan = np.array([[1.0, 3.0, 3.0, 0.0, 5.0], [2.0, np.nan, 5.0, np.inf, np.nan], [-np.inf, -np.inf, 0.0, -0.0, 0.0]])
    return [
        *samples(spaced, -9.0, 9.0, long=200)(rng),
        sample(nan, 1, gradient=False, dtypes=FLOATS, note="ties, NaN, infinities"),
        sample(nan, 0, gradient=False, dtypes=FLOATS, note="ties, NaN, infinities"),
    ]


def logcumsumexp_samples(rng):
    far = np.array([[1000.0, 999.0, -1000.0], [-1000.0, 3.0, 1000.0], [-np.inf, -np.inf, 2.0], [0.0, np.inf, 1.0]])
    return [
        *samples(long=300)(rng),
        sample(far, 1, gradient=False, dtypes=("float32", "float64"), note="far apart"),
        sample(np.array([1.0, np.nan, 2.0]), 0, gradient=False, dtypes=FLOATS, note="NaN"),
    ]


def errors(name):
    f = op(name)
    return [
        OpError(
            lambda: f(tg.ones(2, 3), 2), IndexError, rf"{name}: Dimension out of range \(expected to be in range of \[-2, 1\]"
        ),
        OpError(lambda: f(tg.ones(2, 3), "x"), TypeError, rf"{name}: dim must be an int, got str"),
    ]


def running(name, make, dtypes, result, **options):
    return OpSpec(
        name, op(name), getattr(scan, name), make, dtypes, result, differentiable=(0,), errors=errors(name), **options
    )


SPECS = [
    running("cumsum", samples(), (*NUMBERS, "bool"), "sum", tolerances=LONG, rows=("scan",)),
    running("cumprod", product_samples, (*NUMBERS, "bool"), "sum", tolerances=LONG, rows=("scan",)),
    running("cummax", extreme_samples, ALL, ("same", "int64"), rows=("scan",)),
    running("cummin", extreme_samples, ALL, ("same", "int64"), rows=("scan",)),
    running("logcumsumexp", logcumsumexp_samples, FLOATS, "same", tolerances=LONG, rows=("scan",)),
    OpSpec(
        "diff",
        op("diff"),
        scan.diff,
        lambda rng: [
            sample(uniform(rng, (4, 6))),
            sample(uniform(rng, (4, 6)), 2, 0),
            sample(transposed(uniform(rng, (4, 6))), 1, 1),
            sample(uniform(rng, (3,)), 5),
        ],
        (*FLOATS[:2], "int64"),
        differentiable=(0,),
        errors=[OpError(lambda: tg.diff(tg.ones(3), -1), RuntimeError, r"order must be non-negative but got -1")],
    ),
]
