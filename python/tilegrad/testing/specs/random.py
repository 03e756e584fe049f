"""Random numbers: as ops they are judged by their shape, range and determinism. Their distribution is in tests/test_random.py.

The reference of each spec is what a valid result reduces to: a bool array of "in range" for every element.
"""

import numpy as np

import tilegrad as tg
from tilegrad.testing.layouts import uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, sample

SIZES = [(), (1,), (3, 4), (0,), (2, 0), (1037,)]


def truth(*shape):
    return np.ones(shape, bool)


def checked(draw, valid):
    """draw(*shape), turned into the bool tensor of which elements are valid; the same seed must give the same bits."""

    def fn(*shape, **options):
        tg.manual_seed(5)
        first = draw(shape, **options)
        tg.manual_seed(5)
        if not bool((draw(shape, **options) == first).all()):
            raise AssertionError("the same seed gave other numbers")
        return valid(first)

    return fn


def sizes(rng):
    return [sample(*size) for size in SIZES]


def random_spec(name, draw, valid, dtypes=FLOATS, **options):
    return OpSpec(name, checked(draw, valid), truth, sizes, dtypes, "bool", takes_dtype=True, **options)


def bernoulli(p):
    tg.manual_seed(5)
    y = tg.bernoulli(p)
    return ((y == 0) | (y == 1)) & ((p > 0) | (y == 0)) & ((p < 1) | (y == 1))


def multinomial(weights, n, replacement):
    """Indexes in range, never of weight zero, and without replacement never twice."""
    tg.manual_seed(5)
    picked = tg.multinomial(weights, n, replacement)
    rows = picked.reshape(-1, n).tolist()
    chances = weights.reshape(-1, weights.shape[-1]).tolist()
    fine = all(chance[i] > 0 for row, chance in zip(rows, chances, strict=True) for i in row)
    if not replacement:
        fine = fine and all(len(set(row)) == n for row in rows)
    return tg.tensor([fine]), picked * 0


SPECS = [
    random_spec("rand", lambda shape, **o: tg.rand(shape, **o), lambda x: (x >= 0) & (x < 1), rows=("uniform",)),
    random_spec("randn", lambda shape, **o: tg.randn(shape, **o), lambda x: tg.isfinite(x), rows=("normal",)),
    random_spec(
        "randint",
        lambda shape, **o: tg.randint(-3, 5, shape, **o),
        lambda x: (x >= -3) & (x < 5),
        ("int64", "int32", "float32"),
        errors=[
            OpError(lambda: tg.randint(5, 5, (2,)), RuntimeError, r"randint: expected low < high, got low=5 and high=5"),
            OpError(lambda: tg.randint(0, 5, (-2,)), RuntimeError, r"negative size -2"),
        ],
    ),
    OpSpec(
        "randperm",
        lambda n: (tg.manual_seed(1), tg.tensor(sorted(tg.randperm(n).tolist()), dtype=tg.int64))[1],
        np.arange,
        lambda rng: [sample(n) for n in (0, 1, 2, 37, 1037)],
        ("int64",),
        errors=[OpError(lambda: tg.randperm(-1), RuntimeError, r"-1")],
        rows=("randint",),
    ),
    OpSpec(
        "bernoulli",
        bernoulli,
        lambda p: np.ones(p.shape, bool),
        lambda rng: [sample(uniform(rng, (40,), 0.0, 1.0)), sample(np.array([0.0, 1.0] * 20)), sample(np.zeros((0, 2)))],
        FLOATS[:2],
        "bool",
        errors=[OpError(lambda: tg.bernoulli(tg.tensor([0.5, 1.5])), RuntimeError, r"0 <= p <= 1|p.*1\.5|\[0, 1\]")],
        rows=("uniform",),
    ),
    OpSpec(
        "multinomial",
        multinomial,
        lambda w, n, replacement: (np.array([True]), np.zeros((*w.shape[:-1], n), np.int64)),
        lambda rng: [
            sample(np.array([1.0, 0.0, 2.0, 3.0]), 3, False),
            sample(np.array([1.0, 0.0, 2.0, 3.0]), 20, True),
            sample(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]), 9, True),
        ],
        FLOATS[:2],
        ("bool", "int64"),
        errors=[
            OpError(
                lambda: tg.multinomial(tg.tensor([1.0, 1.0]), 3), RuntimeError, r"(?i)cannot sample.*3|3.*without replacement"
            ),
            OpError(lambda: tg.multinomial(tg.tensor([1.0, -1.0]), 1), RuntimeError, r"(?i)(inf.*nan.*< ?0|negative|-1)"),
        ],
        rows=("uniform",),
    ),
    OpSpec(
        "dropout",
        lambda x, p: (tg.manual_seed(3), tg.nn.functional.dropout(x, p))[1] * 0,
        lambda x, p: x * 0,
        lambda rng: [sample(uniform(rng, (5, 7)), p, gradient=False) for p in (0.0, 0.25, 0.5)],
        FLOATS,
        errors=[
            OpError(
                lambda: tg.nn.functional.dropout(tg.ones(2), 1.5),
                ValueError,
                r"dropout probability has to be between 0 and 1, but got 1.5",
            )
        ],
        rows=("uniform",),
    ),
]
