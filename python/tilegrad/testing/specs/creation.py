"""Creation ops: values, dtypes, and what they refuse."""

import numpy as np

import tilegrad as tg
from tilegrad.testing.layouts import transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, INTEGERS, NUMBERS, OpError, OpSpec, op, sample

HUGE = 1 << 50


def calls(*arguments):
    return lambda rng: [sample(*a) for a in arguments]


def shapes(rng):
    return [sample(()), sample(1), sample(3, 4), sample(0), sample(2, 0, 3), sample((2, 3)), sample([4]), sample(1037)]


def filled(value):
    def numpy(*shape):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return np.full(tuple(shape), value)

    return numpy


def arange(*arguments):
    values = np.arange(*arguments)
    return values.astype(np.float64)


def like_samples(rng):
    return [
        sample(uniform(rng, (3, 4))),
        sample(transposed(uniform(rng, (3, 4)))),
        sample(np.zeros((0, 2))),
        sample(np.zeros(())),
    ]


def size_errors(name, *more):
    f = op(name)
    return [
        OpError(lambda: f(-1, *more), RuntimeError, r"negative size -1"),
        OpError(lambda: f(HUGE, HUGE), MemoryError, r"has more elements than memory can hold"),
        OpError(lambda: f(1 << 45), MemoryError, rf"cannot allocate {(1 << 45) * 4} bytes"),
        OpError(lambda: f("3"), TypeError, "str"),
        OpError(lambda: f(2.5), TypeError, "float"),
    ]


def creation(name, numpy, samples, dtypes=ALL, errors=(), **options):
    return OpSpec(name, op(name), numpy, samples, dtypes, takes_dtype=True, errors=list(errors), **options)


ARANGE_ERRORS = [
    OpError(lambda: tg.arange(0, 5, 0), RuntimeError, r"arange: step must not be zero"),
    OpError(lambda: tg.arange(0, 5, -1), (RuntimeError, ValueError), r"arange: step -1 leads away from end 5"),
]

SPECS = [
    creation("zeros", filled(0), shapes, errors=size_errors("zeros"), rows=("copy",)),
    creation("ones", filled(1), shapes, errors=size_errors("ones"), rows=("copy",)),
    creation(
        "full",
        lambda shape, value: np.full(shape, value),
        calls(((2, 3), 7), ((), 1), ((0, 2), 3), ((5,), 0)),
        rows=("copy",),
        errors=[OpError(lambda: tg.full((2, -3), 1.0), RuntimeError, r"negative size -3 in shape \(2, -3\)")],
    ),
    creation(
        "arange",
        arange,
        calls((5,), (0,), (2, 9), (1, 10, 3), (5, -5, -2), (0, 1037)),
        FLOATS[:2] + INTEGERS[:2],
        ARANGE_ERRORS,
    ),
    OpSpec(
        "arange_float",
        lambda *a: tg.arange(*a, dtype=tg.float64),
        arange,
        calls((0, 1, 0.1), (0.5, 3.0), (3.0, 0.0, -0.75)),
        ("float64",),
    ),
    creation(
        "linspace",
        lambda a, b, n: np.linspace(a, b, n),
        calls((0, 1, 5), (-3, 3, 1), (2, -2, 9), (0, 1, 0), (0, 10, 101)),
        FLOATS[:2],
        tolerances={"float32": (2e-6, 1e-6), "float64": (1e-14, 1e-14)},
        errors=[OpError(lambda: tg.linspace(0, 1, -1), RuntimeError, r"linspace: steps must not be negative, got -1")],
    ),
    creation(
        "eye",
        lambda n, m=None: np.eye(n, m),
        calls((3,), (2, 4), (4, 2), (0,)),
        NUMBERS,
        [OpError(lambda: tg.eye(-1), RuntimeError, r"-1")],
    ),
    OpSpec("zeros_like", op("zeros_like"), np.zeros_like, like_samples, ALL),
    OpSpec("ones_like", op("ones_like"), np.ones_like, like_samples, ALL),
    OpSpec("full_like", lambda x: tg.full_like(x, 3), lambda x: np.full_like(x, 3), like_samples, ALL),
]
