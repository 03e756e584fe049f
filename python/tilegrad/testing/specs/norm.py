"""Normalisation: shapes on both sides of every border of the kernels (a register, four of them, planes and columns, slabs of
samples, chunks of rows)."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import norm
from tilegrad.testing.layouts import expanded, stepped, transposed, uniform
from tilegrad.testing.spec import OpError, OpSpec, functional, sample

TOLERANCES = {"float32": (1e-5, 5e-6), "float64": (1e-12, 1e-13), "bfloat16": (2.0**-6, 2e-2), "float16": (2.0**-8, 3e-3)}
BACKWARD = {"float32": (1e-4, 1e-4), "float64": (1e-11, 1e-12), "bfloat16": (2.0**-5, 0.3), "float16": (2.0**-7, 3e-2)}
ROUNDED = ("float32", "float64")  # where sums of thousands of 16-bit values would only measure their rounding


def row_arrays(rng):
    """(array, how many of the last dims are normalised, note)"""
    return [
        (uniform(rng, (4, 7)), 1, ""),
        (uniform(rng, (5, 1)), 1, "one column"),
        (uniform(rng, (9,)), 1, "one row"),
        (uniform(rng, (3, 4, 5)), 2, "two dims"),
        (uniform(rng, (2, 3, 16)), 1, "a register"),
        (uniform(rng, (2, 67)), 1, "four registers and some"),
        (transposed(uniform(rng, (6, 9))), 1, "transposed"),
        (stepped(uniform(rng, (3, 17))), 1, "every second element"),
        (np.zeros((0, 3)), 1, "empty"),
        (np.zeros((3, 0)), 1, "empty rows"),
    ]


def row_samples(with_bias):
    def build(rng):
        samples = []
        for x, dims, note in row_arrays(rng):
            shape = x.shape[x.ndim - dims :]
            weight, bias = uniform(rng, shape), uniform(rng, shape)
            samples.append(sample(x, shape, note=note, gradient=x.shape[-1] != 1))
            affine = (weight, bias) if with_bias else (weight,)
            samples.append(sample(x, shape, *affine, eps=0.1, note=note))
        large = uniform(rng, (1031, 5))
        samples.append(sample(large, (5,), uniform(rng, (5,)), eps=0.1, gradient=False, note="many rows"))
        far = uniform(rng, (3, 100)) + 300.0
        samples.append(sample(far, (100,), eps=1e-5, gradient=False, dtypes=("float64",), note="far from zero"))
        return samples

    return build


def row_backward_samples(rng):
    samples = []
    for x, dims, note in row_arrays(rng):
        if x.size == 0:
            continue
        shape = x.shape[x.ndim - dims :]
        samples.append(sample(uniform(rng, x.shape), x, None, dims, 0.1, note=note))
        samples.append(sample(uniform(rng, x.shape), x, uniform(rng, shape), dims, 0.1, note=note))
    x, w = uniform(rng, (1031, 5)), uniform(rng, (5,))
    wide = uniform(rng, (35, 9000))
    return [
        *samples,
        sample(uniform(rng, x.shape), x, w, 1, 0.1, gradient=False, dtypes=ROUNDED, note="several chunks"),
        sample(uniform(rng, wide.shape), wide, None, 1, 0.1, gradient=False, dtypes=ROUNDED, note="long rows"),
    ]


def channel_arrays(rng):
    return [
        (uniform(rng, (5, 3)), "columns"),
        (uniform(rng, (70, 5)), "more samples than a register sum takes"),
        (uniform(rng, (3, 2, 4)), "short planes"),
        (uniform(rng, (2, 3, 3, 5)), "images"),
        (uniform(rng, (2, 2, 3, 2, 3)), "volumes"),
        (uniform(rng, (3, 2, 16)), "a register"),
        (uniform(rng, (2, 3, 77)), "four registers and some"),
        (transposed(uniform(rng, (4, 3, 5))), "transposed"),
        (stepped(uniform(rng, (3, 2, 6))), "every second element"),
        (expanded(uniform(rng, (4, 2, 1)), (4, 2, 3)), "expanded"),
    ]


def large_channel_arrays(rng):
    return [
        (uniform(rng, (6, 300)), "two blocks of channels"),
        (uniform(rng, (3, 40, 3, 3)), "two blocks of short planes"),
        (uniform(rng, (50, 2, 25, 32)), "several slabs"),
        (uniform(rng, (200, 3)), "columns"),
        (uniform(rng, (150, 130)), "slabs of columns"),
    ]


def vectors(rng, x):
    return uniform(rng, (x.shape[1],)), uniform(rng, (x.shape[1],))


def batch_samples(rng):
    samples = []
    for x, note in channel_arrays(rng):
        weight, bias = vectors(rng, x)
        samples.append(sample(x, None, None, weight, bias, training=True, eps=0.1, note=note))
    for x, note in large_channel_arrays(rng):
        weight, bias = vectors(rng, x)
        samples.append(sample(x, None, None, weight, bias, training=True, eps=0.1, gradient=False, note=note))
    x, _ = channel_arrays(rng)[3]
    weight, bias = vectors(rng, x)
    mean, var = uniform(rng, (3,)), uniform(rng, (3,), 0.5, 2.0)
    return [
        *samples,
        sample(x, None, None, training=True, note="no weight"),
        sample(x, mean, var, note="running statistics"),
        sample(x, mean, var, weight, bias, eps=0.1, note="running statistics"),
        sample(uniform(rng, (4, 3)), mean, var, weight, bias, note="running statistics of columns"),
        sample(np.zeros((0, 3, 2)), mean, var, note="empty"),
        sample(np.zeros((0, 3, 2)), None, None, weight, bias, training=True, note="empty"),
    ]


def batch_backward_samples(rng):
    small = [
        sample(uniform(rng, x.shape), x, w, 0.1, note=note)
        for x, note in channel_arrays(rng)
        for w in (None, uniform(rng, (x.shape[1],)))
    ]
    return small + [
        sample(uniform(rng, x.shape), x, vectors(rng, x)[0], 0.1, gradient=False, dtypes=ROUNDED, note=note)
        for x, note in large_channel_arrays(rng)
    ]


def group_arrays(rng):
    return [
        (uniform(rng, (3, 4)), 2, "no planes"),
        (uniform(rng, (2, 6, 5)), 3, ""),
        (uniform(rng, (2, 6, 5)), 1, "one group"),
        (uniform(rng, (2, 4, 3, 7)), 4, "a channel a group"),
        (uniform(rng, (1, 2, 70)), 2, "four registers and some"),
        (transposed(uniform(rng, (3, 4, 5))), 2, "transposed"),
    ]


def group_samples(rng):
    samples = []
    for x, groups, note in group_arrays(rng):
        samples.append(sample(x, groups, *vectors(rng, x), eps=0.1, note=note))
    x = uniform(rng, (2, 4, 6))
    return [*samples, sample(x, 2, note="no weight"), sample(np.zeros((0, 4, 2)), 2, note="empty")]


def group_backward_samples(rng):
    return [
        sample(uniform(rng, x.shape), x, w, groups, 0.1, note=note)
        for x, groups, note in group_arrays(rng)
        for w in (None, uniform(rng, (x.shape[1],)))
    ]


def affine_samples(rng):
    return [
        sample(x, *vectors(rng, x), note=note)
        for x, note in [*channel_arrays(rng), (np.zeros((2, 3, 0)), "empty"), (uniform(rng, (6, 300)), "two blocks")]
    ]


def affine_backward_samples(rng):
    small = [sample(uniform(rng, x.shape), x, vectors(rng, x)[0], note=note) for x, note in channel_arrays(rng)]
    return [*small, sample(np.zeros((2, 3, 0)), np.zeros((2, 3, 0)), uniform(rng, (3,)), note="empty")] + [
        sample(uniform(rng, x.shape), x, vectors(rng, x)[0], gradient=False, dtypes=ROUNDED, note=note)
        for x, note in large_channel_arrays(rng)
    ]


def gradients(forward, backward, statistics):
    """backward(dy, x, weight, ...) with the statistics taken from the forward op."""

    def call(dy, x, weight, *rest):
        bias = () if forward is tg.ops.norm.rms_norm_op else (None,)
        kept = [s.detach() for s in forward(x.detach(), weight if weight is None else weight.detach(), *bias, *rest)]
        return backward(dy, x, weight, *kept[1 : 1 + statistics], *rest)

    return call


def f(name):
    return functional(name)


N = tg.ops.norm
SPECS = [
    OpSpec(
        "layer_norm", f("layer_norm"), norm.layer_norm, row_samples(True), tolerances=TOLERANCES, differentiable=(0, 2, 3),
        errors=[
            OpError(lambda: N.layer_norm_op(tg.ones(2, 3), tg.ones(4), None, 1, 1e-5), RuntimeError, r"weight of shape \(3,\)"),
            OpError(lambda: N.layer_norm_op(tg.ones(2, 3), None, None, 3, 1e-5), RuntimeError, r"last 3 dims of shape \(2"),
            OpError(lambda: N.layer_norm_op(tg.ones(2, 3, dtype=tg.int64), None, None, 1, 1e-5), RuntimeError, "got int64"),
            OpError(
                lambda: N.layer_norm_op(tg.ones(2, 3), tg.ones(3, dtype=tg.float64), None, 1, 1e-5),
                RuntimeError, "weight of dtype float32, got float64",
            ),
        ],
    ),
    OpSpec(
        "layer_norm_backward", gradients(N.layer_norm_op, N.layer_norm_backward, 2), norm.layer_norm_backward,
        row_backward_samples, result=("same",) * 3, tolerances=BACKWARD, differentiable=(0, 1, 2), order=1,
    ),
    OpSpec(
        "rms_norm", f("rms_norm"), norm.rms_norm, lambda rng: [s for s in row_samples(False)(rng) if "eps" in s.kwargs],
        tolerances=TOLERANCES, differentiable=(0, 2),
    ),
    OpSpec(
        "rms_norm_backward", gradients(N.rms_norm_op, N.rms_norm_backward, 1), norm.rms_norm_backward,
        row_backward_samples, result=("same",) * 2, tolerances=BACKWARD, differentiable=(0, 1, 2), order=1,
    ),
    OpSpec(
        "batch_norm", f("batch_norm"), norm.batch_norm, batch_samples, tolerances=TOLERANCES, differentiable=(0, 3, 4),
        errors=[
            OpError(lambda: N.batch_norm_op(tg.ones(3), None, None, 1e-5), RuntimeError, r"\(N, C, ...\), got \(3,\)"),
            OpError(
                lambda: N.batch_norm_backward(tg.ones(2, 3), tg.ones(2, 4), None, tg.ones(4), tg.ones(4), 1e-5),
                RuntimeError, r"dy \(2, 3\) float32 and x \(2, 4\)",
            ),
            OpError(
                lambda: N.batch_norm_backward(tg.ones(2, 4), tg.ones(2, 4), None, tg.ones(3), tg.ones(4), 1e-5),
                RuntimeError, r"expected mean of shape \(4,\)",
            ),
        ],
    ),
    OpSpec(
        "batch_norm_backward", gradients(N.batch_norm_op, N.batch_norm_backward, 2), norm.batch_norm_backward,
        batch_backward_samples, result=("same",) * 3, tolerances=BACKWARD, differentiable=(0, 1, 2), order=1,
    ),
    OpSpec(
        "channel_affine", N.channel_affine, norm.channel_affine, affine_samples,
        tolerances={"float16": (2.0**-8, 2e-3), "bfloat16": (2.0**-6, 2e-2)}, differentiable=(0, 1, 2),
    ),
    OpSpec(
        "channel_affine_backward", N.channel_affine_backward, norm.channel_affine_backward, affine_backward_samples,
        result=("same",) * 3, tolerances=BACKWARD, differentiable=(0, 1, 2), order=1,
        errors=[
            OpError(
                lambda: N.channel_affine_backward(tg.ones(2, 3), tg.ones(2, 4), tg.ones(4)), RuntimeError,
                r"dy \(2, 3\) float32 and x \(2, 4\)",
            ),
            OpError(
                lambda: N.channel_affine_backward(tg.ones(2, 4), tg.ones(2, 4), tg.ones(3)), RuntimeError,
                r"scale of shape \(4,\)",
            ),
        ],
    ),
    OpSpec(
        "group_norm", f("group_norm"), norm.group_norm, group_samples, tolerances=TOLERANCES, differentiable=(0, 2, 3),
        errors=[OpError(lambda: N.group_norm_op(tg.ones(2, 4), None, None, 3, 1e-5), RuntimeError, "4 channels .* 3 groups")],
    ),
    OpSpec(
        "group_norm_backward", gradients(N.group_norm_op, N.group_norm_backward, 2), norm.group_norm_backward,
        group_backward_samples, result=("same",) * 3, tolerances=BACKWARD, differentiable=(0, 1, 2), order=1,
    ),
]  # fmt: skip
