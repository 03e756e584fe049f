"""Maximum and average pooling, interpolation, and their gradients: the ops under the layers."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import interpolate, pool
from tilegrad.testing.layouts import expanded, spaced, stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, sample

SUMS = {"float32": (1e-5, 1e-6), "float64": (1e-12, 1e-13), "bfloat16": (2.0**-6, 2e-2), "float16": (2.0**-8, 2e-3)}

# (shape, kernel, stride, padding, dilation, ceil_mode)
WINDOWS = [
    ((2, 3, 8, 10), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 2, 9, 11), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((2, 2, 9, 12), (3, 3), (2, 2), (1, 1), (1, 1), True),
    ((1, 2, 7, 40), (3, 5), (1, 1), (1, 2), (1, 1), False),
    ((2, 7, 35), (2, 3), (3, 1), (1, 0), (2, 3), False),
    ((3, 6, 50), (1, 7), (1, 7), (0, 3), (1, 1), True),
    ((1, 1, 5, 130), (2, 4), (2, 4), (0, 0), (1, 1), False),
    ((1, 4, 4), (4, 4), (4, 4), (0, 0), (1, 1), False),
    ((2, 33), (3,), (2,), (1,), (1,), False),
    ((1, 1, 70), (6,), (5,), (3,), (2,), True),
    ((2, 2, 5, 4, 6), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1), False),
    ((1, 5, 6, 7), (3, 2, 3), (1, 2, 2), (1, 0, 1), (2, 1, 1), True),
]
ADAPTIVE = [((2, 3, 7, 10), (3, 4)), ((2, 8, 6), (4, 6)), ((1, 5, 33), (20,)), ((1, 4, 5, 6), (2, 3, 4)), ((1, 2, 3), (5, 7))]


def distinct(rng, shape):
    return spaced(rng, shape, -20.0, 20.0)


def max_samples(rng):
    result = [sample(distinct(rng, shape), *rest) for shape, *rest in WINDOWS]
    result += [sample(distinct(rng, shape), (), size, (), (), False, note="adaptive") for shape, size in ADAPTIVE]
    ties = np.floor(uniform(rng, (2, 9, 37), 0, 3))
    holes = np.where(rng.random((2, 9, 37)) < 0.2, np.nan, ties)
    low = np.full((1, 5, 20), -np.inf)
    square = ((3, 3), (2, 2), (1, 1), (1, 1), False)
    result += [
        sample(ties, *square, gradient=False, note="ties"),
        sample(holes, *square, gradient=False, note="NaN"),
        sample(holes, (2, 2), (2, 2), (0, 0), (1, 1), False, gradient=False, note="NaN, 2x2"),
        sample(low, *square, gradient=False, note="-inf"),
        sample(np.zeros((0, 3, 6, 6)), *square, note="empty batch"),
        sample(transposed(distinct(rng, (2, 8, 9))), *square, note="transposed"),
        sample(stepped(distinct(rng, (2, 8, 9))), *square, note="every second element"),
        sample(expanded(distinct(rng, (1, 8, 9)), (3, 8, 9)), *square, note="expanded"),
        sample(distinct(rng, (1, 2, 9001)), (1, 3), (1, 2), (0, 1), (1, 1), False, gradient=False, note="long rows"),
        sample(distinct(rng, (1, 3, 9001)), (3, 4500), (1, 4501), (0, 0), (1, 1), False, gradient=False, note="wide windows"),
    ]
    return result


def max_backward_samples(rng):
    result = []
    for s in max_samples(rng):
        x, *geometry = s.args
        dy = uniform(rng, pool.max_pool(x, *geometry).shape)
        result.append(sample(dy, x, *geometry, gradient=s.gradient, note=s.note))
    return result


def avg_samples(rng):
    plain = [(s, k, t, p, c) for s, k, t, p, d, c in WINDOWS if max(d) == 1]
    result = [sample(uniform(rng, s), *rest, include, 0) for s, *rest in plain for include in (True, False)]
    square = ((3, 3), (2, 2), (1, 1), True, False, 0)
    result += [
        sample(uniform(rng, (2, 3, 7, 9)), (3, 2), (2, 2), (1, 1), False, True, 5, note="divisor"),
        sample(uniform(rng, (2, 3, 4, 7, 9)), (2, 3, 2), (2, 2, 2), (1, 1, 1), False, True, 7, note="divisor, 3 dims"),
        sample(np.zeros((0, 3, 6, 6)), *square, note="empty batch"),
        sample(transposed(uniform(rng, (2, 8, 9))), *square, note="transposed"),
        sample(stepped(uniform(rng, (2, 8, 9))), *square, note="every second element"),
        sample(uniform(rng, (1, 2, 9001)), (2, 3), (1, 2), (0, 1), False, False, 0, gradient=False, note="long rows"),
        sample(uniform(rng, (1, 3, 9001)), (3, 4500), (1, 4501), (1, 9), True, True, 0, gradient=False, note="wide"),
    ]
    return result


def avg_backward_samples(rng):
    result = []
    for s in avg_samples(rng):
        x, kernel, *rest = s.args
        dy = uniform(rng, pool.avg_pool(x, kernel, *rest).shape)
        result.append(sample(dy, x.shape[x.ndim - len(kernel) :], kernel, *rest, gradient=s.gradient, note=s.note))
    return result


def interpolate_samples(rng):
    images = [
        ((2, 3, 5, 7), (10, 14)),
        ((1, 2, 9, 37), (4, 50)),
        ((2, 8, 6), (8, 3)),
        ((3, 5), (13,)),
        ((1, 2, 3, 4, 5), (5, 3, 8)),
    ]
    result = [sample(uniform(rng, s), o, mode, False, False, 0.0, 0.0, 0.0) for s, o in images for mode in range(5)]
    result += [sample(uniform(rng, s), o, mode, True, False, 0.0, 0.0, 0.0) for s, o in images[:3] for mode in (2, 3)]
    result += [sample(uniform(rng, s), o, mode, False, True, 0.0, 0.0, 0.0) for s, o in images[:3] for mode in (2, 3)]
    result += [
        sample(uniform(rng, (1, 2, 5, 7)), (8, 11), 2, False, False, 0.0, 1.7, 1.6, note="scales"),
        sample(uniform(rng, (1, 2, 5, 7)), (8, 11), 0, False, False, 0.0, 1.7, 1.6, note="scales"),
        sample(uniform(rng, (1, 2, 1, 1)), (3, 4), 2, False, False, 0.0, 0.0, 0.0, note="one place"),
        sample(uniform(rng, (1, 2, 6, 9)), (1, 1), 2, True, False, 0.0, 0.0, 0.0, note="to one place"),
        sample(np.zeros((0, 2, 6, 9)), (3, 3), 2, False, False, 0.0, 0.0, 0.0, note="empty batch"),
        sample(transposed(uniform(rng, (2, 8, 9))), (16, 18), 2, False, False, 0.0, 0.0, 0.0, note="transposed"),
        sample(stepped(uniform(rng, (2, 8, 9))), (16, 18), 0, False, False, 0.0, 0.0, 0.0, note="every second element"),
        sample(uniform(rng, (1, 2, 9000)), (3, 4501), 2, False, False, 0.0, 0.0, 0.0, gradient=False, note="long rows"),
        sample(uniform(rng, (1, 2, 9000)), (2, 2), 4, False, False, 0.0, 0.0, 0.0, gradient=False, note="wide windows"),
        sample(uniform(rng, (1, 40, 3)), (1, 3), 4, False, False, 0.0, 0.0, 0.0, note="many rows"),
    ]
    return result


def interpolate_backward_samples(rng):
    result = []
    for s in interpolate_samples(rng):
        x, size, *rest = s.args
        dy = uniform(rng, (*x.shape[: x.ndim - len(size)], *size))
        result.append(sample(dy, x.shape[x.ndim - len(size) :], *rest, gradient=s.gradient, note=s.note))
    return result


def core(name):
    return lambda *args: getattr(tg.ops.pool, name)(*args)


def max_pool_of(*args):
    return lambda: tg.ops.pool.max_pool_op(tg.ones(1, 2, 3, 4), *args)


TWO = ((2, 2), (2, 2), (0, 0), (1, 1), False)

SPECS = [
    OpSpec(
        "max_pool",
        core("max_pool_op"),
        pool.max_pool,
        max_samples,
        FLOATS,
        differentiable=(0,),
        rows=("max_pool",),
        errors=[
            OpError(max_pool_of((5, 2), *TWO[1:]), RuntimeError, r"window of 5 places .* dim of size 3 .* too small"),
            OpError(max_pool_of((0, 2), *TWO[1:]), RuntimeError, r"kernel size should be greater than zero.*\(0, 2\)"),
            OpError(max_pool_of((2, 2), (0, 1), *TWO[2:]), RuntimeError, r"stride should not be zero"),
            OpError(max_pool_of((2, 2), (-1, 1), *TWO[2:]), RuntimeError, r"stride should be greater than zero"),
            OpError(max_pool_of((2, 2), (2, 2), (2, 0), *TWO[3:]), RuntimeError, r"at most half .* pad=2, kernel_size=2 and"),
            OpError(max_pool_of((2, 2), (2, 2), (-1, 0), *TWO[3:]), RuntimeError, r"pad must be non-negative"),
            OpError(max_pool_of((2, 2), (2, 2), (0, 0), (0, 1), False), RuntimeError, r"dilation should be greater than zero"),
            OpError(max_pool_of((2**40, 2), *TWO[1:]), RuntimeError, r"must be less than 2\^31"),
            OpError(max_pool_of((2, 2, 2), (2, 2), (0, 0), (1, 1), False), RuntimeError, r"for each of 2 dims"),
            OpError(lambda: core("max_pool_op")(tg.ones(4, 4, dtype=tg.int64), *TWO), RuntimeError, r"expected a floating"),
            OpError(lambda: core("max_pool_op")(tg.ones(2, 0, 4), *TWO), RuntimeError, r"non-zero sizes"),
            OpError(lambda: core("max_pool_op")(tg.ones(1), (2,), (3,), (2,), (3,), False), RuntimeError, r"outside the input"),
        ],
    ),
    OpSpec(
        "max_pool_with_indices",
        core("max_pool_with_indices_op"),
        pool.maxima,
        max_samples,
        FLOATS,
        ("same", "int64"),
        differentiable=(0,),
        rows=("max_pool",),
    ),
    OpSpec(
        "max_pool_backward",
        core("max_pool_backward"),
        pool.max_pool_backward,
        max_backward_samples,
        FLOATS,
        differentiable=(0,),
        tolerances=SUMS,
        errors=[
            OpError(
                lambda: core("max_pool_backward")(tg.ones(1, 2), tg.ones(4, 4), *TWO),
                RuntimeError,
                r"expected a gradient of shape \(2, 2\), got \(1, 2\)",
            )
        ],
    ),
    OpSpec(
        "avg_pool",
        core("avg_pool_op"),
        pool.avg_pool,
        avg_samples,
        FLOATS,
        differentiable=(0,),
        tolerances=SUMS,
        rows=("resample",),
        errors=[
            OpError(
                lambda: core("avg_pool_op")(tg.ones(3, 3), (5, 5), (1, 1), (0, 0), False, True, 0), RuntimeError, r"too small"
            ),
            OpError(
                lambda: core("avg_pool_op")(tg.ones(3, 3), (2, 2), (0, 1), (0, 0), False, True, 0),
                RuntimeError,
                r"stride should not be zero",
            ),
        ],
    ),
    OpSpec(
        "avg_pool_backward",
        core("avg_pool_backward"),
        pool.avg_pool_backward,
        avg_backward_samples,
        FLOATS,
        differentiable=(0,),
        tolerances=SUMS,
        rows=("resample",),
    ),
    OpSpec(
        "interpolate_op",
        core("interpolate_op"),
        interpolate.interpolate,
        interpolate_samples,
        FLOATS,
        differentiable=(0,),
        tolerances=SUMS,
        rows=("resample",),
        errors=[
            OpError(
                lambda: core("interpolate_op")(tg.ones(3, 3), (0, 2), 0, False, False, 0.0, 0.0, 0.0),
                RuntimeError,
                r"should be greater than 0, but got input \(3, 3\) and output \(0, 2\)",
            ),
        ],
    ),
    OpSpec(
        "interpolate_backward",
        core("interpolate_backward"),
        interpolate.interpolate_backward,
        interpolate_backward_samples,
        FLOATS,
        differentiable=(0,),
        tolerances=SUMS,
        rows=("resample",),
    ),
]
