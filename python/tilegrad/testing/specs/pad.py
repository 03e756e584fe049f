"""Padding in its four modes, and the gradient of those that repeat elements."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import pad
from tilegrad.testing.layouts import expanded, stepped, transposed, uniform
from tilegrad.testing.spec import ALL, FLOATS, OpError, OpSpec, functional, sample

BORDERS = ("reflect", "replicate", "circular")


def samples(rng):
    image = uniform(rng, (2, 3, 5, 7))
    result = [
        sample(image, (1, 2)),
        sample(image, (1, 2, 3, 0)),
        sample(image, (0, 0, 2, 1), value=1.5, note="whole rows"),
        sample(image, (0, 0, 0, 0, 1, 2), note="whole planes"),
        sample(image, (2, 1, 0, 3, 1, 1, 2, 0), value=-1.0, note="every dim"),
        sample(image, (-1, 2, 3, -2), note="cut and grow"),
        sample(image, (-3, -4), note="nothing left"),
        sample(image, (-8, 5), note="only border left"),
        sample(image, (0, 0)),
        sample(image, ()),
        sample(uniform(rng, ()), (), note="0-d"),
        sample(uniform(rng, (1,)), (300, 17), value=2.0, note="a long border"),
        sample(np.zeros((2, 0, 3)), (1, 1, 2, 1), value=3.0, note="empty"),
        sample(np.zeros((0, 3)), (1, 1)),
        sample(transposed(uniform(rng, (5, 9))), (1, 2, 2, 1), note="transposed"),
        sample(stepped(uniform(rng, (3, 17))), (4, 3), note="every second element"),
        sample(expanded(uniform(rng, (1, 6)), (4, 6)), (1, 1, 1, 1), note="expanded"),
    ]
    for mode in BORDERS:
        result += [
            sample(image, (6, 3, 4, 1), mode),
            sample(image, (0, 0, 3, 2), mode),
            sample(image, (-2, 3, 1, -4), mode, note="cut and grow"),
            sample(uniform(rng, (3, 4)), (3, 2), mode),
            sample(uniform(rng, (1, 2, 300)), (40, 20), mode, note="long rows"),
            sample(uniform(rng, (2, 3, 4, 2)), (1, 1, 3, 2, 2, 1), mode, note="3 dims"),
            sample(transposed(uniform(rng, (2, 3, 5, 4))), (2, 1, 1, 2), mode, note="transposed"),
            sample(np.zeros((0, 2, 3, 4)), (2, 1, 1, 2), mode, note="empty batch"),
        ]
    return result


def backward_samples(rng):
    result = []
    for mode in (1, 2, 3):
        result += [
            sample(uniform(rng, (2, 3, 9, 11)), (0, 0, 2, 3), (0, 0, 1, 2), mode),
            sample(uniform(rng, (2, 3, 9, 11)), (0, 0, 2, 3), (0, 0, 0, 0), mode, note="one side"),
            sample(uniform(rng, (1, 1, 40, 70)), (0, 0, 9, 0), (0, 0, 9, 0), mode, note="rows unpadded"),
            sample(transposed(uniform(rng, (4, 9))), (1, 2), (0, 3), mode, note="transposed"),
            sample(np.zeros((0, 9)), (0, 2), (0, 3), mode, note="empty"),
        ]
    return result


def pad_of(*args, **kwargs):
    return lambda: tg.nn.functional.pad(tg.ones(1, 2, 3, 4), *args, **kwargs)


SPECS = [
    OpSpec(
        "pad",
        functional("pad"),
        pad.pad,
        samples,
        ALL,
        differentiable=(0,),
        errors=[
            OpError(pad_of((1,)), RuntimeError, r"Padding length must be divisible by 2"),
            OpError(
                pad_of((1,) * 10), RuntimeError, r"less than or equal to two times the input dimension.* 10 .* dimension 4"
            ),
            OpError(pad_of((-3, -2)), RuntimeError, r"input size 4, plus negative padding -3 and -2 .*dimension 3"),
            OpError(pad_of((1, 1), "mirror"), NotImplementedError, r"Unrecognised padding mode mirror"),
            OpError(pad_of((4, 0, 0, 0), "reflect"), RuntimeError, r"less than .* padding \(4, 0\) at dimension 3 of .*3, 4\)"),
            OpError(pad_of((0, 0, 4, 0), "circular"), RuntimeError, r"wrapping around more than once: \(4, 0\) at dimension 2"),
            OpError(pad_of((1, 1), "reflect"), NotImplementedError, r"Padding size 2 is not supported for 4D input"),
            OpError(pad_of((1, 1, 1, 1), "reflect", 2.0), RuntimeError, r"\"reflect\" doesn't take in value argument"),
            OpError(pad_of((1.5, 1)), TypeError, r"int"),
            OpError(pad_of((2**62, 2**62)), MemoryError, r"\d{10}|memory"),
            OpError(
                lambda: tg.nn.functional.pad(tg.ones(1, 0, 3), (1, 1), "replicate"), RuntimeError, r"non-zero dimensions.*0, 3"
            ),
        ],
    ),
    OpSpec(
        "pad_backward",
        lambda *args: tg.ops.pad.pad_backward(*args),
        pad.pad_backward,
        backward_samples,
        FLOATS,
        tolerances={
            "float32": (1e-6, 1e-6),
            "float64": (1e-13, 1e-14),
            "bfloat16": (2.0**-6, 6e-2),
            "float16": (2.0**-9, 6e-3),
        },
        differentiable=(0,),
    ),
]
