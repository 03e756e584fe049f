"""Sorting, the best k, binary search, unique, medians and quantiles."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import sort
from tilegrad.testing.layouts import expanded, spaced, stepped, transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, INTEGERS, NUMBERS, OpError, OpSpec, op, sample

SPECIAL = np.array(
    [[1.0, np.nan, -np.inf, 0.0, -0.0, np.nan, np.inf, 0.0], [-1e30, 1e-30, -1e-30, 2.5, 2.5, -2.5, np.inf, 1e30]]
)
RARE = (*FLOATS[:2], "int64")


def rows(rng):
    """(array, dim): rows that are merged and rows for the radix sort (over 256), ties, layouts."""
    return [
        (spaced(rng, (), -9.0, 9.0), -1),
        (spaced(rng, (1,), -9.0, 9.0), 0),
        (spaced(rng, (5, 8), -9.0, 9.0), 1),
        (spaced(rng, (5, 9), -9.0, 9.0), 0),
        (spaced(rng, (2, 5, 3), -9.0, 9.0), 1),
        (spaced(rng, (2, 77), -9.0, 9.0), -1),
        (transposed(spaced(rng, (6, 9), -9.0, 9.0)), 1),
        (stepped(spaced(rng, (3, 17), -9.0, 9.0)), 1),
    ]


def more_rows(rng):
    """The same without derivatives: ties and long rows."""
    return [
        (expanded(spaced(rng, (4, 1)), (4, 6)), 1),
        (np.rint(uniform(rng, (3, 50))), 1),
        (np.rint(uniform(rng, (2, 1500), -100.0, 100.0)), 1),
        (uniform(rng, (1037, 2), -100.0, 100.0), 0),
    ]


def sort_samples(rng):
    result = [sample(x, dim, down) for x, dim in rows(rng) for down in (False, True)]
    result += [sample(x, dim, down, gradient=False) for x, dim in more_rows(rng) for down in (False, True)]
    result += [sample(SPECIAL, 1, down, gradient=False, dtypes=FLOATS, note="special values") for down in (False, True)]
    return [*result, sample(np.zeros((0, 3)), 0), sample(np.zeros((3, 0)), 1)]


def topk_samples(rng):
    result = [
        sample(x, k, dim, largest)
        for x, dim in rows(rng)[1:]
        for k in sorted({1, min(3, x.shape[dim]), x.shape[dim]})
        for largest in (True, False)
    ]
    result += [
        sample(x, k, dim, largest, gradient=False) for x, dim in more_rows(rng) for k in (2, 6) for largest in (True, False)
    ]
    long = np.rint(uniform(rng, (2, 3000), -120.0, 120.0))
    result += [
        sample(long, k, 1, largest, gradient=False, note="long") for k in (1, 40, 300, 2999) for largest in (True, False)
    ]
    result += [sample(np.sort(long), 50, 1, largest, gradient=False, note="sorted") for largest in (True, False)]
    result += [sample(SPECIAL, 3, 1, largest, gradient=False, dtypes=FLOATS, note="special") for largest in (True, False)]
    return [*result, sample(spaced(rng, (3, 4)), 0, 1), sample(np.zeros((0, 3)), 2, 1)]


def search_samples(rng):
    one, many = np.sort(uniform(rng, (37,))), np.sort(uniform(rng, (2, 3, 20)), -1)
    whole = np.sort(rng.integers(-5, 6, 30)).astype(np.float64)
    return [
        sample(one, uniform(rng, (5, 7), -3.0, 3.0)),
        sample(whole, rng.integers(-6, 7, (40,)).astype(np.float64), right=True, note="ties"),
        sample(whole, rng.integers(-6, 7, (40,)).astype(np.float64), right=False, note="ties"),
        sample(many, uniform(rng, (2, 3, 9), -3.0, 3.0)),
        sample(np.zeros((0,)), uniform(rng, (3,))),
        sample(np.ones((1,)), uniform(rng, ())),
    ]


def few_values(rng):
    x = rng.integers(-3, 4, (5, 8)).astype(np.float64)
    return [
        sample(x),
        sample(x[0]),
        sample(transposed(x)),
        sample(rng.integers(0, 50, (700,)).astype(np.float64)),
        sample(np.ones(1)),
    ]


def dims_of(rng, *extra):
    x = spaced(rng, (5, 6), -9.0, 9.0)
    odd = spaced(rng, (4, 3, 7), -9.0, 9.0)
    return [
        sample(x, *extra, dim=0),
        sample(x, *extra, dim=1),
        sample(odd, *extra, dim=1),
        sample(transposed(odd), *extra, dim=-1),
    ]


def with_nan(rng):
    x = uniform(rng, (4, 9))
    x[1, 3] = x[2, :5] = np.nan
    return x


QUANTILES = [0.0, 0.3, 0.5, 1.0]


def quantile_samples(rng):
    x = spaced(rng, (5, 6), -9.0, 9.0)
    q = sample(x, QUANTILES, note="all")
    return [q, *dims_of(rng, QUANTILES), *dims_of(rng, 0.25), sample(with_nan(rng), QUANTILES, dim=1, gradient=False)]


def quantile(x, q, **options):
    return tg.quantile(x, q, **options)


def interpolations(rng):
    return [sample(spaced(rng, (5, 6)), 0.37, dim=1, interpolation=i) for i in ("lower", "higher", "midpoint", "nearest")]


def unique_triple(x):
    return tg.unique(x, return_inverse=True, return_counts=True)


SPECS = [
    OpSpec(
        "sort",
        lambda x, *options: tuple(tg.sort(x, *options)),
        sort.sort,
        sort_samples,
        ALL,
        ("same", "int64"),
        differentiable=(0,),
        rows=("sort",),
        errors=[
            OpError(lambda: tg.sort(tg.ones(2, 3), 2), IndexError, r"sort: Dimension out of range .*but got 2"),
            OpError(lambda: tg.sort(tg.ones(2, 3), "x"), TypeError, r"dim.*must be int, not str"),
        ],
    ),
    OpSpec("argsort", op("argsort"), sort.argsort, sort_samples, NUMBERS, "int64", rows=("sort",)),
    OpSpec(
        "topk",
        lambda x, *options: tuple(tg.topk(x, *options)),
        sort.topk,
        topk_samples,
        ALL,
        ("same", "int64"),
        differentiable=(0,),
        rows=("topk",),
        errors=[
            OpError(
                lambda: tg.topk(tg.ones(2, 3), 4), RuntimeError, r"topk: k must be between 0 and the size 3 of dim 1, got 4"
            ),
            OpError(lambda: tg.topk(tg.ones(2, 3), -1), RuntimeError, r"topk: k must be between 0 .* got -1"),
            OpError(lambda: tg.topk(tg.ones(2, 3), 1, dim=5), IndexError, r"topk: Dimension out of range"),
        ],
    ),
    OpSpec(
        "kthvalue",
        lambda x, k, dim: tuple(tg.kthvalue(x, k, dim)),
        sort.kthvalue,
        lambda rng: [sample(x, 1 + x.shape[dim] // 2, dim) for x, dim in rows(rng)[1:]],
        NUMBERS,
        ("same", "int64"),
        differentiable=(0,),
        errors=[OpError(lambda: tg.kthvalue(tg.ones(3), 4), RuntimeError, r"selected number k out of range .*k 4, size 3")],
    ),
    OpSpec(
        "median",
        op("median"),
        sort.median,
        lambda rng: [sample(spaced(rng, (5, 6))), sample(spaced(rng, (7,))), sample(with_nan(rng), gradient=False)],
        FLOATS,
        differentiable=(0,),
        rows=("select",),
    ),
    OpSpec(
        "median_dim",
        lambda x, dim: tuple(tg.median(x, dim)),
        sort.median_along,
        lambda rng: [*dims_of(rng), sample(with_nan(rng), dim=1, gradient=False)],
        FLOATS,
        ("same", "int64"),
        differentiable=(0,),
    ),
    OpSpec(
        "nanmedian",
        op("nanmedian"),
        sort.nanmedian,
        lambda rng: [sample(spaced(rng, (5, 6))), sample(with_nan(rng), gradient=False)],
        FLOATS,
        differentiable=(0,),
    ),
    OpSpec(
        "mode",
        lambda x, dim: tuple(tg.mode(x, dim)),
        sort.mode,
        lambda rng: [
            *(sample(rng.integers(0, 4, (6, 9)).astype(np.float64), d, gradient=False) for d in (0, 1)),
            sample(spaced(rng, (3, 4)), 1, note="all different"),
        ],
        RARE,
        ("same", "int64"),
        differentiable=(0,),
    ),
    OpSpec(
        "quantile",
        quantile,
        sort.quantile,
        lambda rng: [*quantile_samples(rng), *interpolations(rng)],
        FLOATS[:2],
        differentiable=(0,),
        errors=[
            OpError(lambda: tg.quantile(tg.ones(3), 1.5), RuntimeError, r"q must be .* in the range \[0, 1\]"),
            OpError(
                lambda: tg.quantile(tg.tensor([1, 2]), 0.5), RuntimeError, r"must be either float or double dtype, got .*int64"
            ),
            OpError(
                lambda: tg.quantile(tg.ones(3), 0.5, interpolation="x"), RuntimeError, r"interpolation must be one of linear"
            ),
        ],
    ),
    OpSpec(
        "nanquantile",
        op("nanquantile"),
        sort.nanquantile,
        lambda rng: [sample(with_nan(rng), 0.3, dim=1, gradient=False), sample(spaced(rng, (5, 6)), 0.3, dim=0)],
        FLOATS[:2],
        differentiable=(0,),
    ),
    OpSpec(
        "searchsorted",
        op("searchsorted"),
        sort.searchsorted,
        search_samples,
        FLOATS[:2] + INTEGERS[:2],
        "int64",
        errors=[
            OpError(
                lambda: tg.searchsorted(tg.ones(2, 3), tg.ones(3, 4)),
                RuntimeError,
                r"must be 1-d or have the dims of the values but the last; got \(2, 3\) and \(3, 4\)",
            ),
            OpError(
                lambda: tg.searchsorted(tg.ones(3), tg.ones(2), side="up"), RuntimeError, r"side can only be 'left' or 'right'"
            ),
        ],
    ),
    OpSpec(
        "bucketize",
        lambda values, edges: tg.bucketize(values, edges),
        lambda values, edges: sort.searchsorted(edges, values),
        lambda rng: [sample(uniform(rng, (4, 5)), np.array([-1.0, 0.0, 0.5]))],
        FLOATS,
        "int64",
        errors=[
            OpError(lambda: tg.bucketize(tg.ones(2), tg.ones(2, 2)), RuntimeError, r"boundaries tensor must be 1 dimension")
        ],
    ),
    OpSpec("unique", unique_triple, sort.unique, few_values, ALL, ("same", "int64", "int64")),
    OpSpec(
        "unique_dim",
        lambda x, dim: tg.unique(x, return_inverse=True, return_counts=True, dim=dim),
        sort.unique_slices,
        lambda rng: [
            sample(rng.integers(0, 2, (9, 3)).astype(np.float64), 0),
            sample(rng.integers(0, 2, (2, 9)).astype(np.float64), 1),
        ],
        RARE,
        ("same", "int64", "int64"),
    ),
    OpSpec(
        "unique_consecutive",
        lambda x: tg.unique_consecutive(x, return_inverse=True, return_counts=True),
        sort.unique_consecutive,
        few_values,
        RARE,
        ("same", "int64", "int64"),
    ),
]
