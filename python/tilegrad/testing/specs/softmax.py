"""softmax, log_softmax and their backward ops."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import softmax
from tilegrad.testing.layouts import expanded, stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, op, sample

TOLERANCES = {"float32": (2e-6, 1e-6), "float64": (1e-13, 1e-14), "bfloat16": (2.0**-7, 1e-4), "float16": (2.0**-9, 1e-4)}


def rows(rng):
    """(array, dim) in all layouts."""
    return [
        (uniform(rng, (7, 13)), 1),
        (uniform(rng, (7, 13)), 0),
        (uniform(rng, (3, 4, 5)), 1),
        (uniform(rng, (3, 4, 5)), -1),
        (uniform(rng, (4, 1)), 1),
        (uniform(rng, (1, 1)), 0),
        (uniform(rng, ()), 0),
        (uniform(rng, (9,)), -1),
        (uniform(rng, (2, 1037)), 1),
        (uniform(rng, (1037, 2)), 0),
        (transposed(uniform(rng, (6, 9))), 1),
        (stepped(uniform(rng, (3, 17))), 1),
        (expanded(uniform(rng, (1, 6)), (4, 6)), 1),
        (uniform(rng, (2, 5, 70)), 1),
        (uniform(rng, (3, 4, 2, 8)), -3),
        (np.zeros((0, 3)), 1),
        (np.zeros((3, 0)), 1),
    ]


def across(rng):
    """Rows whose elements lie apart: every number of registers a tile has, and one element more than the kernel takes."""
    shapes = [(2, 300), (3, 33, 65), (700, 40), (1100, 33), (2048, 8), (2049, 9), (5, 7)]
    return [(uniform(rng, shape), len(shape) - 2) for shape in shapes]


def samples(rng):
    extreme = np.array([[1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -1002.0], [0.0, -np.inf, 0.0], [3e4, -3e4, 0.0]])
    nan = np.array([[np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf]])
    wide = ("float32", "float64")
    return [sample(x, dim) for x, dim in rows(rng)] + [
        sample(extreme, 1, gradient=False, dtypes=wide, note="far apart"),
        *(sample(x, dim, gradient=False, note="across") for x, dim in across(rng)),
        sample(np.repeat(extreme.T[:, :, None], 9, 2), 0, gradient=False, dtypes=wide, note="across, far apart"),
        sample(np.repeat(nan.T[:, :, None], 9, 2), 0, gradient=False, dtypes=FLOATS, note="across, NaN, inf, all -inf"),
        sample(nan, 1, gradient=False, dtypes=FLOATS, note="NaN, inf, all -inf"),
    ]


def backward_samples(forward):
    return lambda rng: (
        [sample(forward(x, dim), uniform(rng, x.shape), dim) for x, dim in rows(rng)]
        + [sample(forward(x, dim), uniform(rng, x.shape), dim, gradient=False, note="across") for x, dim in across(rng)]
    )


def spec(name):
    f = op(name)
    return OpSpec(
        name,
        f,
        getattr(softmax, name),
        samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0,),
        order=2,
        errors=[
            OpError(
                lambda: f(tg.ones(2, 3), 2),
                IndexError,
                rf"{name}: Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)",
            ),
            OpError(
                lambda: f(tg.ones(2, 3, dtype=tg.int64), 1), RuntimeError, rf"{name}: expected a floating tensor, got int64"
            ),
            OpError(lambda: f(tg.ones(2, 3), "x"), TypeError, rf"{name}: dim must be an int, got str"),
        ],
    )


def backward_spec(name):
    forward = getattr(softmax, name)
    return OpSpec(
        f"{name}_backward",
        lambda y, dy, dim: getattr(tg.ops.softmax, f"{name}_backward")(y, dy, dim),
        getattr(softmax, f"{name}_backward"),
        backward_samples(forward),
        FLOATS,
        tolerances={**TOLERANCES, "float32": (2e-5, 1e-5), "bfloat16": (2.0**-6, 2e-2), "float16": (2.0**-8, 2e-3)},
        differentiable=(0, 1),
    )


SPECS = [spec("softmax"), spec("log_softmax"), backward_spec("softmax"), backward_spec("log_softmax")]
