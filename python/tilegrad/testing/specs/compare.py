"""Comparisons, logic, where and masked_fill."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import compare
from tilegrad.testing.layouts import SPECIAL, binary_arrays, expanded, transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, INTEGERS, NUMBERS, OpError, OpSpec, op, sample

from .arithmetic import broadcast_error


def with_ties(rng):
    """Pairs that are equal in about half of their elements."""
    pairs = []
    for a, b, note in binary_arrays(rng):
        tied = np.where(rng.random(np.broadcast_shapes(a.shape, b.shape)) < 0.5, a, b) if a.shape == b.shape else b
        pairs.append(sample(a, np.asarray(tied), note=note))
    x, y = (np.ascontiguousarray(m) for m in np.meshgrid(SPECIAL, SPECIAL))
    return [*pairs, sample(x, y, gradient=False, dtypes=FLOATS, note="special values")]


def with_scalars(rng):
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    return [sample(x, 0), sample(x, 1), sample(x, -2, dtypes=FLOATS + INTEGERS[:3])]


def where_samples(rng):
    def mask(*shape):
        return rng.random(shape) < 0.5

    return [
        sample(mask(7, 13), uniform(rng, (7, 13)), uniform(rng, (7, 13))),
        sample(mask(3, 1), uniform(rng, (5,)), uniform(rng, (3, 5)), note="broadcast"),
        sample(mask(), uniform(rng, (4,)), uniform(rng, (1,)), note="0-d condition"),
        sample(mask(2, 0), uniform(rng, (2, 0)), uniform(rng, (2, 1)), note="empty"),
        sample(mask(1037), uniform(rng, (1037,)), uniform(rng, ()), note="0-d value"),
        sample(transposed(mask(5, 9)), transposed(uniform(rng, (5, 9))), uniform(rng, (5, 9)), note="transposed"),
        sample(expanded(mask(1, 6), (4, 6)), uniform(rng, (4, 6)), uniform(rng, (4, 1)), note="expanded"),
        sample(mask(4), uniform(rng, (4,)), np.full((4,), np.nan), gradient=False, dtypes=FLOATS, note="NaN not chosen"),
    ]


def masked_fill_samples(rng):
    return [
        sample(uniform(rng, (7, 13)), rng.random((7, 13)) < 0.5, 3),
        sample(uniform(rng, (7, 13)), rng.random((13,)) < 0.5, -1, note="mask is broadcast"),
        sample(transposed(uniform(rng, (4, 5))), rng.random((4, 5)) < 0.5, 0, note="transposed"),
        sample(uniform(rng, ()), np.array(True), 2, note="0-d"),
        sample(np.zeros((0, 3)), np.zeros((0, 3), bool), 1, note="empty"),
        sample(uniform(rng, (5, 5)), rng.random((5, 5)) < 0.5, float("-inf"), dtypes=FLOATS, note="-inf", gradient=False),
    ]


COMPARISONS = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}

SPECS = [
    *[OpSpec(n, op(n), f, with_ties, ALL, "bool", errors=[broadcast_error(n)]) for n, f in COMPARISONS.items()],
    *[OpSpec(f"{n}_scalar", op(n), f, with_scalars, NUMBERS, "bool", rows=(n,)) for n, f in COMPARISONS.items()],
    *[
        OpSpec(n, op(n), getattr(compare, n), with_ties, ALL, "bool", errors=[broadcast_error(n)])
        for n in ("logical_and", "logical_or", "logical_xor")
    ],
    OpSpec("where", op("where"), compare.where, where_samples, ALL, differentiable=(1, 2)),
    OpSpec(
        "masked_fill",
        lambda x, mask, value: x.masked_fill(mask, value),
        compare.masked_fill,
        masked_fill_samples,
        NUMBERS,
        differentiable=(0,),
        rows=("where",),
    ),
]

_by_name = {s.name: s for s in SPECS}
_by_name["where"].errors = [
    OpError(
        lambda: tg.where(tg.ones(2, dtype=tg.bool), tg.ones(3), tg.ones(3)),
        RuntimeError,
        r"where: shapes .*cannot be broadcast together",
    ),
    OpError(lambda: tg.where(tg.ones(3), tg.ones(3), tg.ones(3)), TypeError, r"where: expected a bool condition, got float32"),
]
_by_name["masked_fill"].errors = [
    OpError(lambda: tg.ones(3).masked_fill(tg.ones(3), 1.0), TypeError, r"expected a bool condition, got float32"),
    OpError(
        lambda: tg.ones(3).masked_fill(tg.ones(2, dtype=tg.bool), 1.0), RuntimeError, r"shapes .*cannot be broadcast together"
    ),
]
