"""More ways to pick, place and rearrange elements."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import indexing
from tilegrad.testing.layouts import spaced, transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, NUMBERS, OpError, OpSpec, op, sample

BOTH = (*FLOATS[:2], "int64")
PLACES = np.array([[2, 0], [-1, 7]])


def rearranged(name, numpy, *calls, differentiable=(0,)):
    """An op that moves elements: the same calls on a contiguous and on a transposed array."""

    def build(rng):
        a = uniform(rng, (4, 5))
        return [sample(x, *args, **kwargs) for x in (a, transposed(a)) for args, kwargs in calls or [((), {})]]

    return OpSpec(name, op(name), numpy, build, ALL, differentiable=differentiable)


def along(rng):
    x = spaced(rng, (4, 5))
    return [
        sample(x, np.argsort(x, 1), 1),
        sample(x, np.argmax(x, 0)[None], 0),
        sample(x, rng.integers(0, 4, (2, 1)), 0),
        sample(x, rng.integers(0, 20, (3,))),
    ]


def put_samples(rng):
    x = uniform(rng, (4, 5))
    return [
        sample(x, PLACES, uniform(rng, (2, 2)), False),
        sample(transposed(x), PLACES, uniform(rng, (2, 2)), False),
        sample(x, np.array([3, 3, 1]), uniform(rng, (3,)), True),
    ]


def index_put_samples(rng):
    x, i, j = uniform(rng, (4, 5)), np.array([0, 2, 0]), np.array([1, 1, 1])
    return [
        sample(x, (i, j), uniform(rng, (3,)), True),
        sample(x, (i,), uniform(rng, (3, 5)), True),
        sample(x, (np.array([3, 1]),), uniform(rng, (2, 5)), False),
        sample(x, (i, j), uniform(rng, ()), True),
    ]


def masked_samples(rng):
    x = uniform(rng, (4, 5))
    return [
        sample(x, rng.random((4, 5)) < 0.4, uniform(rng, (20,))),
        sample(x, rng.random((5,)) < 0.6, uniform(rng, (4, 5))),
        sample(x, np.zeros((4, 5), bool), uniform(rng, (3,))),
    ]


def repeats(rng):
    x = uniform(rng, (3, 4))
    return [
        sample(x, 2),
        sample(x, 3, dim=1),
        sample(x, 0, dim=0),
        sample(x, np.array([1, 0, 3]), dim=0),
        sample(transposed(x), np.array([2, 1, 0, 1]), dim=-1),
    ]


SPECS = [
    OpSpec(
        "take",
        op("take"),
        indexing.take,
        lambda rng: [sample(uniform(rng, (4, 5)), PLACES), sample(transposed(uniform(rng, (4, 5))), PLACES)],
        ALL,
        differentiable=(0,),
        errors=[
            OpError(
                lambda: tg.take(tg.ones(2), tg.tensor([2])), IndexError, r"index 2 is out of bounds for dimension 0 with size 2"
            )
        ],
    ),
    OpSpec(
        "take_along_dim",
        op("take_along_dim"),
        lambda x, i, d=None: np.take_along_axis(x, i, d),
        along,
        ALL,
        differentiable=(0,),
        errors=[
            OpError(
                lambda: tg.take_along_dim(tg.ones(2, 2), tg.tensor([0]), 0),
                RuntimeError,
                r"same number of dimensions, but got 2",
            )
        ],
    ),
    OpSpec(
        "put",
        op("put"),
        indexing.put,
        put_samples,
        BOTH,
        differentiable=(0, 2),
        errors=[
            OpError(
                lambda: tg.put(tg.ones(2), tg.tensor([0]), tg.ones(2)), RuntimeError, r"same number of elements, got 2 and 1"
            )
        ],
    ),
    OpSpec("index_put", op("index_put"), indexing.index_put, index_put_samples, BOTH, differentiable=(0, 2)),
    OpSpec(
        "index_copy",
        op("index_copy"),
        indexing.index_copy,
        lambda rng: [
            sample(uniform(rng, (4, 5)), 1, np.array([2, 0]), uniform(rng, (4, 2))),
            sample(uniform(rng, (4, 5)), 0, np.array([3]), uniform(rng, (1, 5))),
        ],
        ALL,
        differentiable=(0, 3),
    ),
    OpSpec(
        "index_fill",
        op("index_fill"),
        indexing.index_fill,
        lambda rng: [
            sample(uniform(rng, (4, 5)), 1, np.array([2, 0]), 3),
            sample(transposed(uniform(rng, (4, 5))), -2, np.array([-1]), 1),
        ],
        NUMBERS,
        differentiable=(0,),
    ),
    OpSpec(
        "masked_scatter",
        op("masked_scatter"),
        indexing.masked_scatter,
        masked_samples,
        BOTH,
        differentiable=(0, 2),
        errors=[
            OpError(
                lambda: tg.masked_scatter(tg.ones(3), tg.tensor([True] * 3), tg.ones(2)),
                RuntimeError,
                r"at least 3 source elements, got 2",
            )
        ],
    ),
    OpSpec(
        "repeat_interleave",
        op("repeat_interleave"),
        indexing.repeat_interleave,
        repeats,
        ALL,
        differentiable=(0,),
        errors=[
            OpError(lambda: tg.repeat_interleave(tg.ones(2), -1), RuntimeError, r"repeats can not be negative"),
            OpError(
                lambda: tg.repeat_interleave(tg.ones(2), tg.tensor([1, 2, 3]), 0), RuntimeError, r"same size as input along dim"
            ),
        ],
    ),
    OpSpec(
        "isin",
        op("isin"),
        np.isin,
        lambda rng: [
            sample(rng.integers(0, 9, (4, 5)).astype(float), np.array([1.0, 5.0, 7.0])),
            sample(uniform(rng, (3,)), np.zeros(0)),
        ],
        NUMBERS,
        "bool",
    ),
    rearranged("rot90", indexing.rot90, *(((k,), {}) for k in (-1, 0, 1, 2, 3)), ((1, (1, 0)), {})),
    rearranged(
        "roll",
        np.roll,
        ((2,), {}),
        ((-3, 0), {}),
        ((7, 1), {}),
        (((1, -2), (0, 1)), {}),
    ),
    rearranged("fliplr", np.fliplr),
    rearranged("flipud", np.flipud),
    rearranged("ravel", np.ravel),
    rearranged("diag_embed", indexing.diag_embed),
    OpSpec(
        "tensor_split",
        op("tensor_split"),
        np.array_split,
        lambda rng: (
            [sample(uniform(rng, (7, 3)), n, 0) for n in (1, 3, 9)]
            + [sample(uniform(rng, (7, 3)), (1, 4), 0), sample(uniform(rng, (3, 7)), (2, 2, 9), 1)]
        ),
        BOTH,
        (*["same"] * 9,),
        differentiable=(0,),
    ),
    OpSpec(
        "block_diag",
        op("block_diag"),
        indexing.block_diag,
        lambda rng: [sample(uniform(rng, (2, 3)), uniform(rng, (3,)), uniform(rng, (3, 1)))],
        FLOATS[:2],
        differentiable=(0, 1, 2),
    ),
    OpSpec(
        "cartesian_prod",
        op("cartesian_prod"),
        indexing.cartesian_prod,
        lambda rng: [sample(uniform(rng, (2,)), uniform(rng, (3,)))],
        FLOATS,
        differentiable=(0, 1),
    ),
    OpSpec(
        "vander",
        op("vander"),
        np.vander,
        lambda rng: [sample(uniform(rng, (4,), 0.5, 2.0)), sample(uniform(rng, (4,), 0.5, 2.0), 3)],
        FLOATS[:2],
        differentiable=(0,),
        tolerances={"float32": (1e-5, 1e-5), "float64": (1e-12, 1e-12)},
    ),
]
