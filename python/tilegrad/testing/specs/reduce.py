"""Reductions: over all, one or several dims; keepdim; empty; long rows and long columns."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import reduce
from tilegrad.testing.layouts import SPECIAL, expanded, spaced, stepped, transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, NUMBERS, OpError, OpSpec, op, sample

TRUTH = tuple(d for d in ALL if d != "uint8")  # PyTorch's any and all of uint8 are uint8, for historical reasons
LONG = {"float32": (2e-6, 1e-5), "float64": (1e-13, 1e-13), "bfloat16": (2.0**-7, 1e-3), "float16": (2.0**-9, 1e-3)}


def geometry(make, low=-2.0, high=2.0):
    """(array, dim): inner, outer and middle dims, layouts, long ones; `dim` absent means all."""

    def arrays(rng):
        return [
            (make(rng, (7, 13), low, high), None),
            (make(rng, (), low, high), None),
            (make(rng, (1,), low, high), 0),
            (make(rng, (7, 13), low, high), 0),
            (make(rng, (7, 13), low, high), 1),
            (make(rng, (7, 13), low, high), -1),
            (make(rng, (3, 5, 4), low, high), 1),
            (make(rng, (1, 5, 1), low, high), 2),
            (make(rng, (2, 1037), low, high), 1),
            (make(rng, (1037, 3), low, high), 0),
            (transposed(make(rng, (6, 9), low, high)), 0),
            (transposed(make(rng, (6, 9), low, high)), None),
            (stepped(make(rng, (3, 17), low, high)), 1),
            (expanded(make(rng, (4, 1), low, high), (4, 6)), 1),
            (expanded(make(rng, (1, 6), low, high), (4, 6)), None),
        ]

    return arrays


def samples(make=uniform, low=-2.0, high=2.0, several=True, empty=True, special=True, keepdim=True):
    arrays = geometry(make, low, high)

    def build(rng):
        result = []
        for a, dim in arrays(rng):
            tied = make is spaced and 0 in a.strides  # equal values: the maximum has no derivative there
            result.append(sample(a, gradient=not tied, **({} if dim is None else {"dim": dim})))
        x = make(rng, (3, 5, 4), low, high)
        if keepdim:
            result += [sample(x, dim=1, keepdim=True), sample(transposed(x), dim=-1, keepdim=True)]
        if several:
            result += [sample(x, dim=(0, 2)), sample(x, dim=(-1, 1), keepdim=True), sample(x, dim=(0, 1, 2))]
        if empty:
            result += [sample(np.zeros((0,))), sample(np.zeros((0, 3)), dim=0), sample(np.zeros((2, 0)), dim=1)]
        result += [sample(np.zeros((0, 3)), dim=1, note="nothing to reduce for")]
        if special:
            rows = np.stack([SPECIAL, SPECIAL[::-1], np.zeros_like(SPECIAL), np.full_like(SPECIAL, np.inf)])
            result += [sample(rows, dim=1, gradient=False, dtypes=FLOATS, note="special values")]
        return result

    return build


def argument_samples(rng):
    """For max, argmax, ...: distinct values, ties (the first wins) and NaN (which wins over all)."""
    nan = np.array([[1.0, np.nan, 3.0, np.nan], [np.inf, 1.0, -np.inf, 0.0], [-np.inf] * 4])
    ties = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [0.0, -1.0, -1.0, 0.0]])
    return [
        *samples(spaced, several=False, empty=False, special=False)(rng),
        sample(ties, dim=1, gradient=False, note="ties"),
        sample(ties, dim=0, gradient=False, note="ties"),
        sample(np.tile(ties[0], 300), dim=0, gradient=False, note="ties far apart"),
        sample(nan, dim=1, gradient=False, dtypes=FLOATS, note="NaN"),
        sample(nan, gradient=False, dtypes=FLOATS, note="NaN, all"),
    ]


def norm_samples(rng):
    x = uniform(rng, (3, 5, 4), 0.5, 2.0)
    return [
        sample(x),
        sample(x, dim=1),
        sample(x, p=1, dim=2),
        sample(x, p=2, dim=(0, 1), keepdim=True),
        sample(x, p=3, dim=0),
        sample(spaced(rng, (4, 6)), p=float("inf"), dim=1),
        sample(transposed(x), p=2, dim=-1),
        sample(np.zeros((2, 0)), dim=1, gradient=False, note="empty"),
    ]


def logsumexp_samples(rng):
    big = np.array([[1000.0, 1000.0], [-1000.0, -1000.0], [np.inf, 0.0], [-np.inf, -np.inf], [-np.inf, 3.0]])
    return [
        *samples(several=True, empty=False, special=False)(rng)[3:11],
        sample(uniform(rng, (3, 5, 4)), dim=(0, 2)),
        sample(uniform(rng, (3, 5)), dim=1, keepdim=True),
        sample(big, dim=1, gradient=False, dtypes=("float32", "float64"), note="no overflow"),
    ]


def small_products(rng):
    """1, 2 and -1 only: products of 1037 of them stay small in every dtype, and exact."""

    def make(rng, shape, low, high):
        x = np.ones(int(np.prod(shape)))
        x[rng.permutation(x.size)[: min(3, x.size)]] = 2
        x[rng.permutation(x.size)[: min(3, x.size)]] *= -1
        return x.reshape(shape)

    zeros = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]])
    result = samples(make, several=False, special=False)(rng)
    return [*result, sample(zeros, dim=1, note="zeros in the product")]


def truth_samples(rng):
    """Sparse and dense rows, so that any and all both meet True and False; NaN counts as true."""
    x = (rng.random((5, 70)) < 0.02) * 2.0
    return [*samples()(rng), sample(x, dim=1), sample(1 - x, dim=1), sample(1 - x), sample(np.zeros((3, 3)), dim=0)]


def variance_samples(rng):
    x = uniform(rng, (3, 5, 4))
    far = uniform(rng, (4, 50), 1000.0, 1001.0)
    return [
        *samples(empty=False, special=False)(rng)[3:7],
        sample(x),
        sample(x, dim=1, correction=0),
        sample(x, dim=(0, 2), keepdim=True),
        sample(uniform(rng, (2, 1037)), dim=1),
        sample(transposed(x), dim=-1, correction=1),
        sample(far, dim=1, gradient=False, dtypes=("float32", "float64"), note="mean far from zero"),
    ]


def reduction(name, numpy, make, dtypes=(*NUMBERS, "bool"), result="sum", differentiable=(0,), fn=None, **options):
    options.setdefault("tolerances", LONG)
    spec = OpSpec(name, fn or op(name), numpy, make, dtypes, result, differentiable=differentiable, **options)
    spec.errors += dim_errors(name)
    return spec


def dim_errors(name):
    f = op(name)
    return [
        OpError(
            lambda: f(tg.ones(2, 3), dim=2),
            IndexError,
            r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)",
        ),
        OpError(
            lambda: f(tg.ones(2, 3), dim=-3),
            IndexError,
            r"Dimension out of range \(expected to be in range of \[-2, 1\], but got -3\)",
        ),
        OpError(lambda: f(tg.ones(2, 3), dim="x"), TypeError, r"dim.*str"),
    ]


def nothing_to_reduce(name):
    return OpError(lambda: op(name)(tg.ones(2, 0), dim=1), IndexError, r"a tensor of shape \(2, 0\) has no elements to reduce")


def by_dim(result):
    """max and min give (values, indices) only when a dim is given: the specs fix one form each."""
    return lambda x, dim, keepdim=False: tuple(result(x, dim, keepdim))


def with_dim(rng):
    return [s for s in argument_samples(rng) if "dim" in s.kwargs]


def without_dim(rng):
    return [s for s in argument_samples(rng) if "dim" not in s.kwargs]


SPECS = [
    reduction("sum", reduce.sum, samples()),
    reduction("mean", reduce.mean, samples(), FLOATS, "same"),
    reduction("prod", reduce.prod, small_products),
    reduction("amax", reduce.amax, samples(spaced, empty=False), ALL, "same"),
    reduction("amin", reduce.amin, samples(spaced, empty=False), ALL, "same"),
    reduction("argmax", reduce.argmax, argument_samples, NUMBERS, "int64", ()),
    reduction("argmin", reduce.argmin, argument_samples, NUMBERS, "int64", ()),
    reduction("any", reduce.any, truth_samples, TRUTH, "bool", ()),
    reduction("all", reduce.all, truth_samples, TRUTH, "bool", ()),
    reduction(
        "var", reduce.var, variance_samples, FLOATS, "same", tolerances={**LONG, "float32": (2e-5, 1e-6)}, rows=("deviations",)
    ),
    reduction("std", reduce.std, variance_samples, FLOATS, "same", tolerances={**LONG, "float32": (2e-5, 1e-6)}),
    reduction("logsumexp", reduce.logsumexp, logsumexp_samples, FLOATS, "same"),
    reduction("norm", reduce.norm, norm_samples, FLOATS, "same", rows=("sum_squares",)),
    OpSpec(
        "max",
        op("max"),
        by_dim(reduce.max),
        with_dim,
        NUMBERS,
        ("same", "int64"),
        differentiable=(0,),
        errors=dim_errors("max"),
    ),
    OpSpec(
        "min",
        op("min"),
        by_dim(reduce.min),
        with_dim,
        NUMBERS,
        ("same", "int64"),
        differentiable=(0,),
        errors=dim_errors("min"),
    ),
    OpSpec("max_all", op("max"), reduce.max, without_dim, NUMBERS, differentiable=(0,), rows=("max",)),
    OpSpec("min_all", op("min"), reduce.min, without_dim, NUMBERS, differentiable=(0,), rows=("min",)),
    OpSpec(
        "sum_dtype",
        fn=lambda x, **options: tg.sum(x, dtype=tg.float64, **options),
        numpy=reduce.sum,
        samples=samples(special=False),
        dtypes=NUMBERS,
        result=lambda dtype: "float64",
        rows=("sum",),
        tolerances={"float64": (1e-12, 1e-12)},
    ),
]

_by_name = {s.name: s for s in SPECS}
for _name in ("max", "min", "argmax", "argmin", "amax", "amin"):
    _by_name[_name].errors.append(nothing_to_reduce(_name))
_by_name["mean"].errors.append(
    OpError(lambda: tg.mean(tg.tensor([1, 2])), RuntimeError, r"mean: expected a floating tensor, got int64")
)
_by_name["sum"].errors += [
    OpError(lambda: tg.sum(tg.ones(2, 3), dim=(0, 0)), RuntimeError, r"sum: dim 0 occurs twice in \(0, 0\)"),
]
