"""Windows as columns, grid sampling, pixel shuffles."""

import itertools

import numpy as np

import tilegrad as tg
from tilegrad.reference import spatial
from tilegrad.testing.layouts import stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, functional, sample

SUMS = {"float32": (1e-5, 1e-5), "float64": (1e-12, 1e-12), "bfloat16": (2.0**-6, 8e-2), "float16": (2.0**-8, 8e-3)}

# (size, kernel, dilation, padding, stride)
WINDOWS = [
    ((5, 6), (2, 3), (1, 1), (0, 0), (1, 1)),
    ((7, 9), (3, 3), (1, 1), (1, 1), (2, 2)),
    ((8, 6), (2, 2), (1, 1), (0, 0), (2, 2)),
    ((7, 8), (2, 3), (3, 2), (2, 1), (1, 3)),
    ((4, 5), (1, 1), (1, 1), (0, 0), (1, 2)),
    ((3, 40), (3, 2), (1, 1), (0, 1), (1, 1)),
]


def unfold_samples(rng):
    result = [sample(uniform(rng, (2, 3, *size)), *rest) for size, *rest in WINDOWS]
    square = WINDOWS[1][1:]
    result += [
        sample(np.zeros((0, 2, 7, 9)), *square, note="empty batch"),
        sample(transposed(uniform(rng, (1, 2, 7, 9))), *square, note="transposed"),
        sample(stepped(uniform(rng, (1, 2, 7, 9))), *square, note="every second element"),
    ]
    return result


def fold_samples(rng):
    return [sample(uniform(rng, spatial.unfold(np.zeros((2, 2, *size)), *rest).shape), size, *rest) for size, *rest in WINDOWS]


def grid_samples(rng):
    result = []
    for mode, border, corners in itertools.product(
        ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True)
    ):
        x, grid = uniform(rng, (2, 3, 4, 5)), uniform(rng, (2, 3, 6, 2), -1.7, 1.7)
        result.append(sample(x, grid, mode, border, corners, gradient=mode != "nearest"))
    for mode, border in itertools.product(("bilinear", "nearest"), ("zeros", "reflection")):
        x, grid = uniform(rng, (2, 1, 2, 4, 3)), uniform(rng, (2, 2, 1, 3, 3), -1.5, 1.5)
        result.append(sample(x, grid, mode, border, False, gradient=mode != "nearest", note="volumes"))
    result += [
        sample(uniform(rng, (1, 2, 1, 1)), uniform(rng, (1, 3, 3, 2)), "bilinear", "reflection", True, note="one pixel"),
        sample(uniform(rng, (1, 1, 9, 9)), uniform(rng, (1, 7, 11, 2)), "bilinear", "zeros", False, note="one channel"),
        sample(np.zeros((0, 2, 4, 5)), np.zeros((0, 3, 3, 2)), note="empty batch"),
        sample(
            transposed(uniform(rng, (2, 3, 4, 5))),
            transposed(uniform(rng, (2, 3, 3, 2))),
            "bilinear",
            "border",
            note="transposed",
        ),
    ]
    return result


def affine_samples(rng):
    return [
        sample(uniform(rng, (2, 2, 3)), (2, 1, 4, 5), False),
        sample(uniform(rng, (2, 2, 3)), (2, 1, 1, 3), True),
        sample(uniform(rng, (2, 3, 4)), (2, 1, 2, 3, 4), False),
        sample(uniform(rng, (1, 3, 4)), (1, 5, 2, 3, 1), True),
    ]


def core(name):
    return lambda *args: getattr(tg.ops.fold, name)(*args)


def sampled(x, grid, *args):
    return lambda: tg.nn.functional.grid_sample(tg.ones(*x), tg.zeros(*grid), *args)


def windows_of(*args):
    return lambda: tg.nn.functional.unfold(tg.ones(1, 2, 3, 4), *args)


def folded(shape, *args):
    return lambda: tg.nn.functional.fold(tg.ones(*shape), *args)


SPECS = [
    OpSpec(
        "unfold",
        core("unfold_op"),
        spatial.unfold,
        unfold_samples,
        FLOATS,
        differentiable=(0,),
        errors=[
            OpError(windows_of(5), RuntimeError, r"spatial size \(3, 4\), kernel_size=\(5, 5\).*blocks as \(0, 0\)"),
            OpError(windows_of(0), RuntimeError, r"kernel size should be greater than zero"),
            OpError(windows_of(2, 0), RuntimeError, r"dilation should be greater than zero"),
            OpError(windows_of(2, 1, -1), RuntimeError, r"padding should be non-negative"),
            OpError(windows_of(2, 1, 0, 0), RuntimeError, r"stride should be greater than zero"),
            OpError(windows_of((1, 2, 3)), RuntimeError, r"kernel_size must be an int or two ints"),
            OpError(lambda: tg.nn.functional.unfold(tg.ones(3, 4), 2), RuntimeError, r"Expected 3D or 4D .*\[3, 4\]"),
        ],
    ),
    OpSpec(
        "fold",
        core("fold_op"),
        spatial.fold,
        fold_samples,
        FLOATS,
        tolerances=SUMS,
        differentiable=(0,),
        rows=("add",),
        errors=[
            OpError(folded((1, 7, 6), (3, 4), 2), RuntimeError, r"divisible by the product .*input.size\(1\)=7"),
            OpError(folded((1, 8, 7), (3, 4), 2), RuntimeError, r"2 \* 3 = 6, but got input.size\(2\)=7"),
            OpError(folded((1, 8, 7, 1), (3, 4), 2), RuntimeError, r"Expected 2D or 3D"),
            OpError(folded((1, 8, 6), (0, 4), 2), RuntimeError, r"positive output sizes, got \(0, 4\)"),
        ],
    ),
    OpSpec(
        "grid_sample",
        functional("grid_sample"),
        spatial.grid_sample,
        grid_samples,
        ("float32", "float64"),
        tolerances={"float32": (1e-4, 1e-4), "float64": (1e-11, 1e-11)},
        differentiable=(0, 1),
        errors=[
            OpError(sampled((1, 2, 3, 4), (1, 2, 2, 1)), RuntimeError, r"grid to have size 2 in last dimension"),
            OpError(sampled((1, 2, 3, 4), (2, 2, 2, 2)), RuntimeError, r"same batch size"),
            OpError(sampled((2, 3, 4), (2, 2, 2, 2)), RuntimeError, r"4D or 5D input and grid with same number of dimensions"),
            OpError(sampled((1, 2, 0, 4), (1, 2, 2, 2)), RuntimeError, r"dimension 2 being empty"),
            OpError(sampled((1, 2, 3, 4), (1, 2, 2, 2), "linear"), ValueError, r"'bilinear', 'nearest' or 'bicubic'.*'linear'"),
            OpError(sampled((1, 2, 3, 4), (1, 2, 2, 2), "nearest", "wrap"), ValueError, r"'reflection', but got: 'wrap'"),
            OpError(sampled((1, 1, 3, 4, 5), (1, 2, 2, 2, 3), "bicubic"), RuntimeError, r"bicubic .* only supports 4D"),
        ],
    ),
    OpSpec(
        "affine_grid",
        functional("affine_grid"),
        spatial.affine_grid,
        affine_samples,
        ("float32", "float64"),
        tolerances={"float32": (1e-5, 1e-5), "float64": (1e-12, 1e-12)},
        differentiable=(0,),
        errors=[
            OpError(
                lambda: tg.nn.functional.affine_grid(tg.ones(2, 3, 3), (2, 1, 3, 3)), ValueError, r"shape Nx2x3 .*\(2, 3, 3\)"
            ),
            OpError(lambda: tg.nn.functional.affine_grid(tg.ones(2, 2, 3), (2, 1, 3)), NotImplementedError, r"4D and 5D"),
        ],
    ),
]
