"""Convolutions of images and their gradients; other dims and transposed ones are in conv_nd.py."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import conv
from tilegrad.testing.layouts import expanded, stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, functional, sample

# sums of up to a few thousand products of size one
TOLERANCES = {"float32": (1e-5, 1e-4), "float64": (1e-13, 1e-12), "bfloat16": (2.0**-7, 1e-3), "float16": (2.0**-9, 1e-3)}

# (N, C, H, W), (O, KH, KW), options: what is small enough for derivatives by differences
SMALL = [
    ((2, 3, 5, 6), (4, 3, 3), {}),
    ((1, 1, 1, 1), (1, 1, 1), {}),
    ((2, 2, 5, 4), (3, 1, 1), {}),
    ((1, 2, 4, 5), (2, 3, 2), {"padding": 1}),
    ((1, 2, 7, 6), (2, 3, 3), {"stride": 2, "padding": (1, 0)}),
    ((2, 2, 7, 6), (2, 2, 2), {"stride": 3}),
    ((1, 2, 7, 8), (1, 2, 3), {"dilation": (3, 2), "padding": 2}),
    ((1, 4, 4, 4), (6, 3, 3), {"groups": 2, "padding": 1}),
    ((1, 3, 5, 5), (3, 3, 3), {"groups": 3, "stride": 2, "padding": 1}),
    ((1, 1, 2, 2), (1, 2, 2), {"padding": 5, "stride": 2}),
    ((2, 1, 6, 6), (2, 1, 1), {"stride": 4}),
]
# across the edges of tiles and of the block of 512 terms
LARGE = [
    ((2, 3, 13, 17), (19, 3, 3), {"padding": 1}),
    ((1, 17, 9, 11), (33, 3, 3), {"padding": 2, "dilation": 2}),
    ((3, 60, 8, 7), (50, 3, 3), {"padding": 1}),
    ((2, 130, 5, 5), (9, 3, 2), {"stride": 2}),
    ((2, 3, 30, 31), (20, 7, 7), {"stride": 2, "padding": 3}),
    ((2, 1, 28, 28), (6, 5, 5), {"padding": 2}),
    ((5, 6, 14, 14), (16, 5, 5), {}),
    ((1, 520, 3, 3), (5, 1, 1), {}),
    ((2, 32, 10, 9), (64, 3, 3), {"groups": 4, "stride": (2, 1), "padding": 1}),
    ((2, 24, 9, 40), (24, 3, 3), {"groups": 24, "padding": 1}),
]


def arrays(rng, image, kernel, options):
    x = uniform(rng, image)
    w = uniform(rng, (kernel[0], image[1] // options.get("groups", 1), *kernel[1:]))
    return x, w


def forward_samples(rng):
    result = [sample(*arrays(rng, *case), **case[2]) for case in SMALL]
    result += [sample(*arrays(rng, *case), uniform(rng, (case[1][0],)), **case[2]) for case in SMALL[:4] + SMALL[7:8]]
    result += [sample(*arrays(rng, *case), gradient=False, **case[2]) for case in LARGE]
    x, w = arrays(rng, (2, 3, 6, 5), (4, 3, 3), {})
    b = uniform(rng, (4,))
    swapped = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    special = np.zeros((1, 1, 4, 4))
    special[0, 0, 1, 1], special[0, 0, 3, 3] = np.inf, np.nan
    return [
        *result,
        sample(x[0], w, b, note="unbatched"),
        sample(transposed(x), transposed(w), stepped(b), padding=1, note="transposed"),
        sample(stepped(x), w, b, note="every second pixel"),
        sample(swapped, w, padding=1, note="channels last"),
        sample(expanded(x[:, :1], (2, 3, 6, 5)), w, note="expanded channels"),
        sample(expanded(x[:1], (2, 3, 6, 5)), w, b, note="expanded batch"),
        sample(np.zeros((0, 3, 6, 5)), w, b, note="empty batch"),
        sample(x[:, :0], w[:, :0], b, gradient=False, note="no input channels"),
        sample(special, np.ones((1, 1, 1, 1)), gradient=False, note="special values"),
    ]


def relu_samples(rng):
    x, w = arrays(rng, (2, 3, 6, 5), (4, 3, 3), {})
    x, w = np.abs(x), np.abs(w) * np.array([1, -1, 1, -1])[:, None, None, None]  # away from the kink at zero
    b = np.array([0.1, -0.1, 0.5, -0.5])
    options = {"padding": 1, "activation": "relu"}
    return [
        sample(x, w, b, **options),
        sample(x, w, **options),
        sample(*arrays(rng, *LARGE[1]), gradient=False, activation="relu", **LARGE[1][2]),
    ]


def with_dy(rng, case):
    x, w = arrays(rng, *case)
    dy = uniform(rng, conv.conv(x, w, **case[2]).shape)
    return x, w, dy


def backward_input_samples(rng):
    def one(case, **extra):
        x, w, dy = with_dy(rng, case)
        return sample(dy, w, x.shape[2:], **case[2], **extra)

    x, w, dy = with_dy(rng, SMALL[4])
    return [
        *[one(case) for case in SMALL],
        *[one(case, gradient=False) for case in LARGE],
        sample(transposed(dy), transposed(w), x.shape[2:], stride=2, padding=(1, 0), note="transposed"),
        sample(dy, w, (12, 9), stride=2, padding=(1, 0), note="lines that no window reaches"),
        sample(dy, w, (3, 3), stride=2, padding=(1, 0), note="windows beyond the image"),
        sample(dy[:0], w, (7, 6), stride=2, padding=(1, 0), note="empty batch"),
        sample(dy[:, :, :0], w, (7, 6), stride=2, padding=(1, 0), note="no windows"),
    ]


def backward_weight_samples(rng):
    def one(case, **extra):
        x, w, dy = with_dy(rng, case)
        return sample(dy, x, w.shape[2:], **case[2], **extra)

    x, _, dy = with_dy(rng, SMALL[0])
    return [
        *[one(case) for case in SMALL],
        *[one(case, gradient=False) for case in LARGE],
        sample(transposed(dy), transposed(x), (3, 3), note="transposed"),
        sample(dy, stepped(x), (3, 3), note="every second pixel"),
        sample(dy[:0], x[:0], (3, 3), note="empty batch"),
        sample(dy, x, (2, 5), note="fewer windows than would fit"),
    ]


def raw(name):
    return lambda *args, **kwargs: getattr(tg.ops.conv, name)(*args, **kwargs)


def unbatched(function, dims):
    """The reference for inputs without a batch dim, too."""

    def call(x, *args, **kwargs):
        return function(x, *args, **kwargs) if x.ndim == dims + 2 else function(x[None], *args, **kwargs)[0]

    return call


def conv_reference(dims):
    return unbatched(lambda x, weight, bias=None, **options: conv.conv(x, weight, bias, **options), dims)


F = functional("conv2d")
X, W = tg.ones(1, 3, 4, 4), tg.ones(4, 3, 3, 3)
ERRORS = [
    OpError(
        lambda: F(tg.ones(1, 2, 8, 8), tg.ones(4, 3, 3, 3)),
        RuntimeError,
        r"Given groups=1, weight of size \(4, 3, 3, 3\), expected input\(1, 2, 8, 8\) to have 3 channels, but got 2 channels",
    ),
    OpError(
        lambda: F(tg.ones(1, 3, 2, 2), tg.ones(4, 3, 3, 3)),
        RuntimeError,
        r"Calculated padded input size per channel: \(2 x 2\). Kernel size: \(3 x 3\). Kernel size can't be greater",
    ),
    OpError(
        lambda: F(tg.ones(3, 3), tg.ones(4, 3, 3, 3)),
        RuntimeError,
        r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d, but got input of size: \[3, 3\]",
    ),
    OpError(
        lambda: F(X, W, tg.ones(3)),
        RuntimeError,
        r"expected bias to be 1-dimensional with 4 elements, but got bias of size \(3,\) instead",
    ),
    OpError(
        lambda: F(X, tg.ones(4, 3, 3, 3, dtype=tg.float64)),
        RuntimeError,
        r"Input type \(float32\) and weight type \(float64\) should be the same",
    ),
    OpError(lambda: F(X, W, padding=-1), RuntimeError, r"negative padding is not supported, got"),
    OpError(lambda: F(X, W, stride=0), RuntimeError, r"non-positive stride is not supported"),
    OpError(lambda: F(X, W, dilation=0), RuntimeError, r"dilation should be greater than zero"),
    OpError(lambda: F(X, W, groups=0), RuntimeError, r"non-positive groups is not supported"),
    OpError(
        lambda: F(tg.ones(1, 4, 4, 4), tg.ones(3, 2, 3, 3), groups=2),
        RuntimeError,
        r"Given groups=2, expected weight to be divisible by 2 at dimension 0, but got weight of size \(3, 2, 3, 3\) instead",
    ),
    OpError(
        lambda: F(X, W, stride=(1, 1, 1)),
        RuntimeError,
        r"expected stride to be a single integer value or a list of 2 values",
    ),
    OpError(lambda: F(X, W, stride=1.5), TypeError, r"stride"),
    OpError(
        lambda: F(X, W, stride=2, padding="same"),
        RuntimeError,
        r"padding='same' is not supported for strided convolutions",
    ),
    OpError(lambda: F(X, W, padding="some"), RuntimeError, r"Invalid padding string: 'some'"),
    OpError(lambda: F(X.long(), W), RuntimeError, r"expected a floating tensor, got int64"),
    OpError(lambda: F(X, tg.ones(4, 3, 3, 0)), RuntimeError, r"Kernel size should be non-zero"),
    OpError(lambda: F(X, W, padding=2**40), RuntimeError, r"padding .* is too large"),
]

SPECS = [
    OpSpec(
        "conv2d",
        F,
        conv_reference(2),
        forward_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1, 2),
        errors=ERRORS,
    ),
    OpSpec(
        "conv2d_relu",
        raw("conv2d"),
        conv_reference(2),
        relu_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1, 2),
        rows=("conv2d",),
        errors=[
            OpError(
                lambda: tg.ops.conv.conv2d(tg.ones(1, 1, 2, 2), tg.ones(1, 1, 1, 1), activation="gelu"),
                ValueError,
                r"conv2d: activation must be none or relu, got 'gelu'",
            )
        ],
    ),
    OpSpec(
        "conv2d_backward_input",
        raw("conv_backward_input"),
        conv.conv_backward_input,
        backward_input_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1),
        errors=[
            OpError(
                lambda: tg.ops.conv.conv_backward_input(tg.ones(1, 2, 3, 3), tg.ones(4, 3, 3, 3), (5, 5)),
                RuntimeError,
                r"expected dy\(1, 2, 3, 3\) to have 4 channels, but got 2 channels instead",
            ),
            OpError(
                lambda: tg.ops.conv.conv_backward_input(tg.ones(1, 4, 3, 3), tg.ones(4, 3, 3, 3), (5, -1)),
                RuntimeError,
                r"expected input_size of sizes from 0 to 2\^31, got \(5, -1\)",
            ),
        ],
    ),
    OpSpec(
        "conv2d_backward_weight",
        raw("conv_backward_weight"),
        conv.conv_backward_weight,
        backward_weight_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1),
        errors=[
            OpError(
                lambda: tg.ops.conv.conv_backward_weight(tg.ones(2, 4, 3, 3), tg.ones(1, 3, 5, 5), (3, 3)),
                RuntimeError,
                r"expected dy\(2, 4, 3, 3\) and input\(1, 3, 5, 5\) to have the same batch size",
            ),
        ],
    ),
]
