"""Indexing and indexed assignment: one table of indexes, applied both ways."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import index
from tilegrad.testing.layouts import spaced, stepped, transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, NUMBERS, OpError, OpSpec, op, sample

ROWS, COLUMNS = np.array([2, 0, -1]), np.array([4, 4, 1])
GRID = np.array([[0, 3], [2, -3]])
MASK = np.random.default_rng(7).random((4, 5)) < 0.4

# every kind of index, into a (4, 5, 3) array
INDEXES = {
    "int": (1,),
    "negative int": (-1,),
    "ints": (1, -2, 0),
    "slice": (slice(1, 3),),
    "slice with step": (slice(None), slice(0, None, 2)),
    "slice beyond the end": (slice(2, 100), slice(-100, 2)),
    "empty slice": (slice(3, 1),),
    "int and slice": (0, slice(1, 4)),
    "None first": (None, 1),
    "None in the middle": (slice(None), None, slice(0, 2)),
    "None last": (Ellipsis, None),
    "Ellipsis": (Ellipsis, 1),
    "Ellipsis in the middle": (1, Ellipsis, 2),
    "Ellipsis for nothing": (1, 2, 0, Ellipsis),
    "list": ([2, 0, 2],),
    "int array": (ROWS,),
    "2-d int array": (GRID,),
    "two int arrays": (ROWS, COLUMNS),
    "int arrays that broadcast": (ROWS[:, None], COLUMNS),
    "array in the second dim": (slice(None), COLUMNS),
    "array in the last dim": (Ellipsis, np.array([2, 0])),
    "arrays apart": (ROWS, slice(None), np.array([0, 1, 2])),
    "slice and array": (slice(1, 3), COLUMNS),
    "int and array": (1, COLUMNS),
    "array and int": (ROWS, 1),
    "int, slice, array": (0, slice(None), np.array([0, 2])),
    "array, slice, int": (ROWS, slice(None), 1),
    "array, None": (ROWS, None),
    "range": (range(3), COLUMNS),
    "empty array": (np.zeros((0,), np.int64),),
    "mask": (MASK,),
    "mask of one dim": (np.array([True, False, True, True]),),
    "mask in the second dim": (slice(None), np.array([True, False, True, False, False])),
    "full mask": (np.random.default_rng(3).random((4, 5, 3)) < 0.3,),
    "mask of nothing": (np.zeros((4, 5), bool),),
    "mask and int": (np.array([True, False, True, True]), 2),
    "mask and array": (np.array([True, False, True, True]), ROWS),
}
REPEATED = ("list", "int arrays that broadcast", "array in the second dim", "slice and array", "int and array")
UNIQUE = [k for k in INDEXES if k not in REPEATED]  # assigning twice to one element has no defined result


def plain(i):
    """`range` and arrays as tensors are spelled the same in NumPy and here; only range needs a list for NumPy."""
    return tuple(list(p) if isinstance(p, range) else p for p in i)


def getitem(x, *i):
    return x[i if len(i) > 1 else i[0]]


def getitem_samples(rng):
    x = spaced(rng, (4, 5, 3), -9.0, 9.0)
    result = [sample(x, *i, note=note) for note, i in INDEXES.items()]
    result += [sample(transposed(x), *INDEXES[k], note=f"{k}, transposed") for k in ("int", "slice", "arrays apart", "mask")]
    result += [
        sample(stepped(x), *INDEXES[k], note=f"{k}, every second") for k in ("ints", "slice with step", "two int arrays")
    ]
    deep = spaced(rng, (2, 4, 3, 5), -9.0, 9.0)
    result += [
        sample(deep, slice(None), ROWS, slice(None), COLUMNS, note="arrays apart, not first"),
        sample(deep, 0, slice(None), ROWS, COLUMNS, note="int apart from arrays"),
        sample(deep, slice(None), 0, slice(None), COLUMNS, note="int apart from an array"),
        sample(deep, 1, ROWS, slice(None), COLUMNS, note="int and arrays apart"),
    ]
    return [*result, sample(spaced(rng, ()), Ellipsis, note="0-d"), sample(spaced(rng, ()), None, note="0-d")]


def setitem(x, value, *i):
    x = x.clone()
    x[i if len(i) > 1 else i[0]] = value
    return x


def setitem_reference(x, value, *i):
    return index.setitem(x, plain(i), value)


def setitem_samples(rng):
    x = spaced(rng, (4, 5, 3), -9.0, 9.0)
    result = []
    for note in UNIQUE:
        i = INDEXES[note]
        shape = index.getitem(x, plain(i)).shape
        result.append(sample(x, uniform(rng, shape), *i, note=note))
        result.append(sample(x, uniform(rng, ()), *i, note=f"{note}, 0-d value"))
    row = uniform(rng, (3,))
    result += [sample(x, row, *INDEXES[k], note=f"{k}, value is broadcast") for k in ("slice", "mask", "two int arrays", "int")]
    result += [sample(transposed(x), row, *INDEXES[k], note=f"{k}, transposed") for k in ("slice", "mask", "two int arrays")]
    return result + [
        sample(x, 7, *INDEXES[k], note=f"{k}, number") for k in ("int", "slice", "mask", "ints", "array in the second dim")
    ]


def index_select_samples(rng):
    i = np.array([2, 0, 2, 1])
    return [
        sample(uniform(rng, (3, 4)), 0, i),
        sample(uniform(rng, (5, 3)), 1, i),
        sample(uniform(rng, (2, 3, 4)), -2, i),
        sample(transposed(uniform(rng, (3, 6))), 0, i, note="transposed"),
        sample(uniform(rng, (7,)), 0, np.array([6])),
        sample(uniform(rng, (3, 4)), 0, np.zeros((0,), np.int64), note="no index"),
        sample(uniform(rng, (300, 65)), 0, rng.integers(0, 300, 500), note="many"),
    ]


def index_add_samples(rng):
    i = np.array([2, 0, 2, 1])
    return [
        sample(uniform(rng, (3, 4)), 0, i, uniform(rng, (4, 4))),
        sample(uniform(rng, (5, 3)), 1, i, uniform(rng, (5, 4))),
        sample(uniform(rng, (2, 3, 4)), -2, i, uniform(rng, (2, 4, 4))),
        sample(transposed(uniform(rng, (3, 6))), 0, i, transposed(uniform(rng, (4, 6))), note="transposed"),
        sample(
            np.zeros((1, 33)),
            0,
            np.zeros(40, np.int64),
            uniform(rng, (40, 33)),
            note="all to one row",
            dtypes=("float32", "float64", "int64"),
        ),
    ]


def gather_samples(rng):
    return [
        sample(uniform(rng, (4, 5)), 1, rng.integers(0, 5, (4, 2))),
        sample(uniform(rng, (4, 5)), 0, rng.integers(0, 4, (3, 5))),
        sample(uniform(rng, (4, 5)), -1, rng.integers(0, 5, (2, 7)), note="fewer rows"),
        sample(transposed(uniform(rng, (4, 5))), 1, rng.integers(0, 5, (4, 1)), note="transposed"),
        sample(uniform(rng, (6,)), 0, np.array([5, 0, 5])),
        sample(uniform(rng, (2, 3, 4)), 2, rng.integers(0, 4, (2, 3, 1))),
    ]


def scatter_add_samples(rng):
    return [
        sample(uniform(rng, (4, 5)), 1, rng.integers(0, 5, (4, 2)), uniform(rng, (4, 2))),
        sample(uniform(rng, (4, 5)), 0, rng.integers(0, 4, (6, 5)), uniform(rng, (6, 5))),
        sample(uniform(rng, (6,)), 0, np.array([5, 0, 5]), uniform(rng, (3,))),
    ]


def scatter_samples(rng):
    def places(n, shape, dim):  # no place twice
        order = rng.permuted(
            np.broadcast_to(
                np.arange(n).reshape([-1 if d == dim else 1 for d in range(len(shape))]),
                [n if d == dim else s for d, s in enumerate(shape)],
            ),
            axis=dim,
        )
        return np.take(order, range(shape[dim]), dim)

    return [
        sample(uniform(rng, (4, 5)), 1, places(5, (4, 2), 1), uniform(rng, (4, 2))),
        sample(uniform(rng, (4, 5)), 0, places(4, (3, 5), 0), uniform(rng, (3, 5))),
        sample(uniform(rng, (4, 5)), -1, places(5, (2, 5), 1), uniform(rng, (3, 6)), note="smaller than the source"),
        sample(transposed(uniform(rng, (4, 5))), 1, places(5, (4, 1), 1), uniform(rng, (4, 1)), note="transposed"),
        sample(uniform(rng, (6,)), 0, np.array([5, 0, -2]), uniform(rng, (3,))),
        sample(uniform(rng, (2, 3, 4)), 1, places(3, (2, 2, 4), 1), transposed(uniform(rng, (2, 2, 4)))),
        sample(uniform(rng, (6,)), 0, np.array([1, 1, 1]), uniform(rng, (3,)), gradient=False, note="the last one stays"),
        sample(uniform(rng, ()), 0, np.array(0), uniform(rng, ())),
        sample(uniform(rng, (3, 2)), 0, np.zeros((0, 2), np.int64), uniform(rng, (0, 2)), note="nothing"),
        sample(
            uniform(rng, (70, 300)), 0, rng.integers(0, 70, (500, 300)), uniform(rng, (500, 300)), gradient=False, note="large"
        ),
    ]


def scatter_reduce_samples(rng):
    x, i, src = uniform(rng, (4, 5), 0.5, 2.0), rng.integers(0, 4, (6, 5)), uniform(rng, (6, 5), 0.5, 2.0)
    kinds = ("sum", "prod", "mean", "amax", "amin")
    return [sample(x, 0, i, src, kind, own) for kind in kinds for own in (True, False)]


def masked_select_samples(rng):
    return [
        sample(uniform(rng, (4, 5)), MASK),
        sample(uniform(rng, (3, 4, 5)), MASK, note="mask is broadcast"),
        sample(transposed(uniform(rng, (4, 5))), MASK, note="transposed"),
        sample(uniform(rng, (4, 5)), np.zeros((4, 5), bool), note="nothing"),
    ]


def get(i):
    return lambda: tg.ones(4, 5)[i]


def put(i, value):
    def call():
        tg.ones(4, 5)[i] = value

    return call


SPECS = [
    OpSpec(
        "getitem",
        getitem,
        lambda x, *i: index.getitem(x, plain(i)),
        getitem_samples,
        ALL,
        differentiable=(0,),
        rows=("index_select", "index_add"),
        errors=[
            OpError(get(4), IndexError, r"index 4 is out of bounds for dimension 0 with size 4"),
            OpError(get((0, -6)), IndexError, r"index -6 is out of bounds for dimension 1 with size 5"),
            OpError(get([0, 4]), IndexError, r"index 4 is out of bounds for dimension 0 with size 4"),
            OpError(get((slice(None), [5])), IndexError, r"index 5 is out of bounds for dimension 1 with size 5"),
            OpError(get((0, 0, 0)), IndexError, r"too many indices for a 2-d tensor of shape \(4, 5\): 3 given"),
            OpError(get(np.array([True, False])), IndexError, r"a mask of shape \(2,\) does not fit shape \(4, 5\) at dim 0"),
            OpError(get(slice(None, None, -1)), ValueError, r"slice step must be positive, got -1"),
            OpError(get("x"), (TypeError, IndexError), r"str"),
            OpError(get(1.5), (TypeError, IndexError), r"ind(ex|ices).*float"),
            OpError(
                get(([0, 1], [0, 1, 2])), IndexError, r"index tensors of shapes \(2,\), \(3,\) cannot be broadcast together"
            ),
        ],
    ),
    OpSpec(
        "setitem",
        setitem,
        setitem_reference,
        setitem_samples,
        ALL,
        differentiable=(0, 1),
        rows=("copy", "index_copy"),
        errors=[
            OpError(put(4, 0.0), IndexError, r"index 4 is out of bounds for dimension 0 with size 4"),
            OpError(put(([9],), 0.0), IndexError, r"index 9 is out of bounds for dimension 0 with size 4"),
            OpError(put(0, open), (TypeError, RuntimeError, ValueError), r"builtin|assign"),
            OpError(put(slice(None), [1.0, 2.0]), (RuntimeError, ValueError, TypeError), r"2|list"),
        ],
    ),
    OpSpec(
        "index_select",
        op("index_select"),
        index.index_select,
        index_select_samples,
        ALL,
        differentiable=(0,),
        errors=[
            OpError(
                lambda: tg.index_select(tg.ones(3, 2), 0, tg.tensor([3])),
                IndexError,
                r"index_select: index 3 is out of bounds for dimension 0 with size 3",
            ),
            OpError(
                lambda: tg.index_select(tg.ones(3, 2), 2, tg.tensor([0])),
                IndexError,
                r"index_select: Dimension out of range",
            ),
            OpError(
                lambda: tg.index_select(tg.ones(3, 2), 0, tg.ones(1)),
                IndexError,
                r"an index must be an integer tensor, got .*float32",
            ),
        ],
    ),
    OpSpec(
        "index_add",
        op("index_add"),
        index.index_add,
        index_add_samples,
        NUMBERS,
        differentiable=(0, 3),
        tolerances={
            "float32": (1e-5, 1e-5),
            "float64": (1e-12, 1e-12),
            "bfloat16": (2.0**-6, 4e-2),
            "float16": (2.0**-8, 4e-3),
        },
        errors=[
            OpError(
                lambda: tg.index_add(tg.ones(3, 2), 0, tg.tensor([3]), tg.ones(1, 2)),
                IndexError,
                r"index 3 is out of bounds for dimension \d with size 3",
            )
        ],
    ),
    OpSpec(
        "gather",
        op("gather"),
        index.gather,
        gather_samples,
        ALL,
        differentiable=(0,),
        errors=[
            OpError(
                lambda: tg.gather(tg.ones(2, 3), 1, tg.tensor([[3], [0]])),
                (IndexError, RuntimeError),
                r"index 3 is out of bounds for dimension \d with size 3",
            )
        ],
    ),
    OpSpec(
        "scatter_add",
        op("scatter_add"),
        index.scatter_add,
        scatter_add_samples,
        ("float32", "float64", "int64"),
        differentiable=(0, 3),
    ),
    OpSpec(
        "scatter",
        op("scatter"),
        index.scatter,
        scatter_samples,
        ALL,
        differentiable=(0, 3),
        errors=[
            OpError(
                lambda: tg.scatter(tg.zeros(2, 3), 1, tg.tensor([[3]]), tg.ones(1, 1)),
                IndexError,
                r"scatter: index 3 is out of bounds for dimension 1 with size 3",
            ),
            OpError(
                lambda: tg.scatter(tg.zeros(2, 3), 1, tg.tensor([[0, 1]]), tg.ones(1, 1)),
                RuntimeError,
                r"scatter: index of shape \(1, 2\) is larger than the source of shape \(1, 1\)",
            ),
            OpError(
                lambda: tg.scatter(tg.zeros(2, 3), 0, tg.tensor([0]), tg.ones(1)),
                RuntimeError,
                r"the index of shape \(1,\) must have as many dims as the tensor of shape \(2, 3\)",
            ),
        ],
    ),
    OpSpec(
        "scatter_reduce",
        lambda x, dim, index, src, reduce, include_self: tg.scatter_reduce(
            x, dim, index, src, reduce, include_self=include_self
        ),
        index.scatter_reduce,
        scatter_reduce_samples,
        ("float32", "float64"),
        differentiable=(0, 3),
        tolerances={"float32": (1e-5, 1e-6), "float64": (1e-12, 1e-13)},
        rows=("scatter",),
        errors=[
            OpError(
                lambda: tg.scatter_reduce(tg.zeros(3), 0, tg.tensor([0]), tg.ones(1), "max"),
                RuntimeError,
                r"reduce argument must be either sum, prod, mean, amax or amin, got max",
            )
        ],
    ),
    OpSpec("masked_select", op("masked_select"), index.masked_select, masked_select_samples, ALL, differentiable=(0,)),
    OpSpec(
        "nonzero",
        op("nonzero"),
        index.nonzero,
        lambda rng: [
            sample(MASK),
            sample((rng.random((3, 4, 2)) < 0.5) * 1.0),
            sample(np.zeros((2, 2))),
            sample(np.zeros((0, 2))),
            sample(transposed((rng.random((5, 9)) < 0.3) * 1.0)),
            sample((rng.random((70000,)) < 0.01) * 1.0, note="more than one piece"),
            sample((rng.random((3, 50, 700)) < 0.1) * 1.0, note="pieces end inside a row"),
        ],
        (*FLOATS[:2], "int64", "bool"),
        "int64",
        rows=("nonzero", "nonzero_count"),
    ),
]
