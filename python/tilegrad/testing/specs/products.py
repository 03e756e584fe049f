"""Products of matrices and vectors, and distances of rows."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import products
from tilegrad.testing.layouts import transposed, uniform
from tilegrad.testing.spec import OpError, OpSpec, op, sample

LONG = {"float32": (1e-5, 1e-5), "float64": (1e-12, 1e-12)}
BOTH = ("float32", "float64")


def linear_algebra(name, numpy, shapes, dims=(0, 1, 2), *, error=None, **fixed):
    """An op on arrays of these shapes, also with transposed ones; `fixed` arguments as they are."""

    def build(rng):
        arrays = [uniform(rng, s) for s in shapes]
        result = [
            sample(*arrays, **fixed),
            sample(*(transposed(a) if a.ndim > 1 else a for a in arrays), **fixed, note="transposed"),
        ]
        return result + ([sample(*arrays, beta=0.5, alpha=2.0)] if name.startswith(("add", "badd")) else [])

    errors = [] if error is None else [OpError(*error)]
    return OpSpec(name, op(name), numpy, build, BOTH, tolerances=LONG, differentiable=dims[: len(shapes)], errors=errors)


def distances(rng):
    x, y = uniform(rng, (4, 3)), uniform(rng, (6, 3))
    batch = uniform(rng, (2, 4, 3)), uniform(rng, (2, 5, 3))
    long = uniform(rng, (30, 5)), uniform(rng, (40, 5))
    return [
        *(sample(x, y, p) for p in (1.0, 1.5, 2.0, 3.0, float("inf"))),
        sample(*batch),
        sample(*long, note="by a matrix product"),
        sample(x, y, 0.0, gradient=False),
        sample(x, x.copy(), gradient=False, dtypes=("float64",), note="distance 0"),
    ]


def axes(rng):
    x, y = uniform(rng, (2, 3, 4)), uniform(rng, (3, 4, 5))
    return [
        sample(x, y, 2),
        sample(uniform(rng, (2, 3)), uniform(rng, (4,)), 0),
        sample(x, uniform(rng, (4, 5)), 1),
        sample(x, uniform(rng, (4, 2, 5)), dims=([2, 0], [0, 1])),
        sample(x, y, dims=([-1], [1])),
    ]


def chains(rng):
    a, b, c, d = (uniform(rng, s) for s in ((3, 40), (40, 2), (2, 30), (30, 4)))
    return [sample([a, b]), sample([a, b, c]), sample([a, b, c, d]), sample([a[0], b, c, d[:, 0]]), sample([a[0], b[:, 0]])]


SPECS = [
    linear_algebra(
        "baddbmm",
        products.baddbmm,
        ((2, 3, 5), (2, 3, 4), (2, 4, 5)),
        error=(
            lambda: tg.baddbmm(tg.ones(2, 2), tg.ones(2, 2), tg.ones(2, 2)),
            RuntimeError,
            r"baddbmm: expected batch1 to have 3 dims",
        ),
    ),
    linear_algebra(
        "addbmm",
        products.addbmm,
        ((3, 5), (2, 3, 4), (2, 4, 5)),
        error=(lambda: tg.addbmm(tg.ones(2, 2), tg.ones(1, 2, 2), tg.ones(1, 3, 2)), RuntimeError, r"addbmm: shapes"),
    ),
    linear_algebra(
        "addmv",
        products.baddbmm,
        ((3,), (3, 4), (4,)),
        error=(lambda: tg.addmv(tg.ones(2), tg.ones(2), tg.ones(2)), RuntimeError, r"addmv: expected mat to have 2 dims"),
    ),
    linear_algebra(
        "addr",
        products.addr,
        ((3, 4), (3,), (4,)),
        error=(lambda: tg.addr(tg.ones(2), tg.ones(2, 2), tg.ones(2)), RuntimeError, r"addr: expected vec1 to have 1 dims"),
    ),
    linear_algebra(
        "vdot",
        np.vdot,
        ((5,), (5,)),
        error=(lambda: tg.vdot(tg.ones(2, 2), tg.ones(2)), RuntimeError, r"vdot: expected x to have 1 dims"),
    ),
    linear_algebra(
        "inner",
        np.inner,
        ((2, 3, 5), (4, 5)),
        error=(lambda: tg.inner(tg.ones(2), tg.ones(3)), RuntimeError, r"inner: the last dims of shapes \(2,\) and \(3,\)"),
    ),
    linear_algebra("kron", np.kron, ((2, 3), (3, 2))),
    linear_algebra(
        "cross",
        np.cross,
        ((4, 3), (4, 3)),
        error=(lambda: tg.cross(tg.ones(2), tg.ones(2)), RuntimeError, r"no dimension of size 3"),
    ),
    OpSpec(
        "tensordot",
        op("tensordot"),
        products.tensordot,
        axes,
        BOTH,
        tolerances=LONG,
        differentiable=(0, 1),
        errors=[
            OpError(
                lambda: tg.tensordot(tg.ones(2, 3), tg.ones(4, 3), 1), RuntimeError, r"contracted dimensions need to match"
            ),
            OpError(lambda: tg.tensordot(tg.ones(2), tg.ones(2), 2), RuntimeError, r"dims=2 is more than"),
        ],
    ),
    OpSpec(
        "multi_dot",
        lambda t: tg.linalg.multi_dot(t),
        np.linalg.multi_dot,
        chains,
        BOTH,
        tolerances=LONG,
        differentiable=(0,),
        errors=[
            OpError(lambda: tg.linalg.multi_dot([tg.ones(2, 2)]), RuntimeError, r"expected at least 2 tensors but got 1"),
            OpError(lambda: tg.linalg.multi_dot([tg.ones(2, 2), tg.ones(3, 2)]), RuntimeError, r"cannot be multiplied"),
        ],
    ),
    OpSpec(
        "cdist",
        op("cdist"),
        products.cdist,
        distances,
        BOTH,
        differentiable=(0, 1),
        tolerances={"float32": (1e-4, 1e-4), "float64": (1e-7, 1e-7)},
        errors=[
            OpError(lambda: tg.cdist(tg.ones(3), tg.ones(3)), RuntimeError, r"cdist only supports at least 2D"),
            OpError(lambda: tg.cdist(tg.ones(3, 2), tg.ones(3, 3)), RuntimeError, r"same number of columns. X1: 2 X2: 3"),
            OpError(lambda: tg.cdist(tg.ones(3, 2), tg.ones(3, 2), -1.0), RuntimeError, r"non-negative p"),
        ],
    ),
    OpSpec(
        "pdist",
        op("pdist"),
        products.pdist,
        lambda rng: [sample(uniform(rng, (5, 3))), sample(uniform(rng, (5, 3)), 1.0)],
        BOTH,
        tolerances=LONG,
        differentiable=(0,),
    ),
]
