"""Counts, norms and moments."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import statistics
from tilegrad.testing.layouts import spaced, transposed, uniform
from tilegrad.testing.spec import FLOATS, NUMBERS, OpError, OpSpec, op, sample
from tilegrad.testing.specs.reduce import LONG, variance_samples

BOTH = FLOATS[:2]
LOOSE = {"float32": (1e-5, 1e-5), "float64": (1e-11, 1e-12)}
INF = float("inf")


def with_nan(rng):
    x = uniform(rng, (4, 9))
    x[1, 3] = x[2, :5] = np.nan
    return x


def nan_samples(rng):
    x = uniform(rng, (3, 5, 4))
    some = [sample(with_nan(rng), gradient=False), sample(with_nan(rng), dim=1, gradient=False)]
    return [*some, sample(x, dim=(0, 2)), sample(x, dim=1, keepdim=True), sample(transposed(x))]


def norm_samples(rng):
    x = uniform(rng, (3, 5, 4), 0.5, 2.0)
    result = [sample(x, p, dim=d) for p in (0.5, 1, 2, 3, 3.5) for d in (None, 1, (0, 2))]
    result += [sample(spaced(rng, (4, 6)), p, dim=1) for p in (INF, -INF)]
    huge = np.array([[1e20, 2e20], [3e-25, 4e-25]])
    return [*result, sample(x, 0, dim=1, gradient=False), sample(huge, 3, dim=1, gradient=False, note="no overflow")]


def matrix_norms(rng):
    x = uniform(rng, (4, 3))
    batch = uniform(rng, (2, 4, 3))
    return [
        *(sample(x, o) for o in ("fro", "nuc", INF, -INF, 1, -1, 2, -2)),
        *(sample(batch, o, dim=(1, 2)) for o in ("fro", "nuc", 1, 2)),
        sample(batch, "fro", dim=(0, 2), keepdim=True),
    ]


def cov_samples(rng):
    x = uniform(rng, (3, 7))
    return [
        sample(x),
        sample(x, correction=0),
        sample(x[0]),
        sample(x, fweights=rng.integers(1, 4, 7)),
        sample(x, aweights=uniform(rng, (7,), 0.1, 1.0)),
        sample(x, fweights=rng.integers(1, 4, 7), aweights=uniform(rng, (7,), 0.1, 1.0), correction=0),
    ]


def counted(rng):
    i = rng.integers(0, 9, 50)
    return [sample(i), sample(i, minlength=20), sample(np.zeros(0, np.int64), minlength=3)]


def weighted(rng):
    i = rng.integers(0, 9, 50)
    return [sample(i, uniform(rng, (50,))), sample(i, uniform(rng, (50,)), minlength=12)]


def pair(name):
    return lambda *args, **kwargs: tuple(getattr(tg, name)(*args, **kwargs))


SPECS = [
    OpSpec(
        "aminmax",
        lambda x, dim=None: tuple(tg.aminmax(x, dim=dim)),
        statistics.aminmax,
        lambda rng: [sample(spaced(rng, (5, 6))), sample(spaced(rng, (5, 6)), 1)],
        NUMBERS,
        ("same", "same"),
        differentiable=(0,),
    ),
    OpSpec(
        "count_nonzero",
        op("count_nonzero"),
        statistics.count_nonzero,
        lambda rng: [
            sample((rng.random((5, 6)) < 0.5) * 1.0),
            sample((rng.random((5, 6)) < 0.5) * 1.0, 0),
            sample(np.ones((2, 3, 4)), (0, 2)),
        ],
        (*NUMBERS, "bool"),
        "int64",
    ),
    OpSpec("nansum", op("nansum"), statistics.nansum, nan_samples, BOTH, tolerances=LONG, differentiable=(0,)),
    OpSpec("nanmean", op("nanmean"), statistics.nanmean, nan_samples, BOTH, tolerances=LONG, differentiable=(0,)),
    OpSpec(
        "var_mean",
        pair("var_mean"),
        statistics.var_mean,
        variance_samples,
        BOTH,
        ("same", "same"),
        differentiable=(0,),
        tolerances=LOOSE,
    ),
    OpSpec(
        "std_mean",
        pair("std_mean"),
        statistics.std_mean,
        variance_samples,
        BOTH,
        ("same", "same"),
        differentiable=(0,),
        tolerances=LOOSE,
    ),
    OpSpec(
        "vector_norm",
        lambda *a, **k: tg.linalg.vector_norm(*a, **k),
        statistics.vector_norm,
        norm_samples,
        BOTH,
        differentiable=(0,),
        tolerances=LOOSE,
        errors=[OpError(lambda: tg.linalg.vector_norm(tg.tensor([1])), RuntimeError, r"Expected a floating point")],
    ),
    OpSpec(
        "matrix_norm",
        lambda *a, **k: tg.linalg.matrix_norm(*a, **k),
        statistics.matrix_norm,
        matrix_norms,
        BOTH,
        differentiable=(0,),
        tolerances=LOOSE,
        errors=[OpError(lambda: tg.linalg.matrix_norm(tg.ones(2, 2), 7), RuntimeError, r"Order 7 not supported")],
    ),
    OpSpec(
        "trace",
        op("trace"),
        np.trace,
        lambda rng: [sample(uniform(rng, (4, 4))), sample(transposed(uniform(rng, (3, 5))))],
        BOTH,
        differentiable=(0,),
        tolerances=LONG,
        errors=[OpError(lambda: tg.trace(tg.ones(3)), RuntimeError, r"trace: expected a matrix")],
    ),
    OpSpec("cov", op("cov"), statistics.cov, cov_samples, BOTH, differentiable=(0,), tolerances=LOOSE),
    OpSpec(
        "corrcoef",
        op("corrcoef"),
        np.corrcoef,
        lambda rng: [sample(uniform(rng, (3, 7)), gradient=False)],
        BOTH,
        tolerances=LOOSE,
    ),
    OpSpec(
        "bincount",
        op("bincount"),
        statistics.bincount,
        counted,
        ("int64",),
        "int64",
        errors=[
            OpError(lambda: tg.bincount(tg.tensor([-1, 2])), RuntimeError, r"non-negative integral inputs, got -1"),
            OpError(lambda: tg.bincount(tg.ones(2)), RuntimeError, r"non-negative integral inputs, got .*float32"),
        ],
    ),
    OpSpec("bincount_weights", op("bincount"), statistics.bincount, weighted, BOTH, tolerances=LOOSE),
    OpSpec(
        "histc",
        op("histc"),
        statistics.histc,
        lambda rng: [sample(uniform(rng, (500,)), 7, -1.5, 1.5), sample(np.arange(10.0), 5, 0, 10)],
        BOTH,
        errors=[OpError(lambda: tg.histc(tg.ones(2), 0), RuntimeError, r"bins must be > 0, but got 0")],
    ),
    OpSpec(
        "histogram",
        lambda *a, **k: tuple(tg.histogram(*a, **k)),
        statistics.histogram,
        lambda rng: [sample(uniform(rng, (500,)), 8, range=(-1.0, 1.0)), sample(np.arange(10.0), 4, range=(0.0, 8.0))],
        ("float64",),
        ("same", "same"),
    ),
    OpSpec(
        "histogram_edges",
        lambda x, edges, density: tg.histogram(x, edges, density=density).hist,
        statistics.histogram_with_edges,
        lambda rng: [sample(uniform(rng, (200,)), np.array([-1.0, -0.5, 0.3, 1.0]), d) for d in (False, True)],
        ("float64",),
    ),
]
