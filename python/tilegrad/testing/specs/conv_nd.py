"""Convolutions over one and three dims, their gradients, and transposed convolutions."""

import tilegrad as tg
from tilegrad.reference import conv
from tilegrad.testing.layouts import stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, functional, sample
from tilegrad.testing.specs.conv import TOLERANCES, arrays, conv_reference, raw, unbatched, with_dy

# (N, C, L) and (N, C, D, H, W), with (O, *kernel)
LINES = [
    ((2, 3, 7), (4, 3), {"padding": 1}),
    ((2, 4, 9), (2, 2), {"stride": 2, "groups": 2}),
    ((1, 2, 8), (3, 3), {"dilation": 3, "padding": 2}),
    ((1, 1, 1), (1, 1), {}),
]
VOLUMES = [
    ((2, 2, 3, 4, 3), (3, 2, 3, 2), {"padding": 1}),
    ((1, 4, 4, 3, 4), (2, 2, 1, 2), {"stride": (2, 1, 3), "groups": 2}),
    ((1, 1, 5, 3, 4), (2, 2, 2, 2), {"dilation": (3, 1, 2), "padding": (1, 0, 1)}),
    ((1, 1, 1, 1, 1), (1, 1, 1, 1), {}),
]
LARGE_LINES = [((2, 40, 130), (20, 7), {"stride": 2, "padding": 3}), ((3, 2, 600), (3, 5), {})]
LARGE_VOLUMES = [((2, 30, 5, 6, 7), (18, 3, 3, 3), {"padding": 1}), ((1, 3, 9, 20, 21), (5, 3, 5, 5), {"stride": 2})]


def nd_forward(small, large):
    def make(rng):
        x, w = arrays(rng, *small[0])
        return [
            *[sample(*arrays(rng, *case), uniform(rng, (case[1][0],)), **case[2]) for case in small],
            *[sample(*arrays(rng, *case), gradient=False, **case[2]) for case in large],
            sample(x[0], w, note="unbatched"),
            sample(transposed(x), transposed(w), note="transposed"),
            sample(stepped(x), w, note="every second element"),
            sample(x[:0], w, note="empty batch"),
            sample(x, w, padding="same", note="as large as the input"),
        ]

    return make


def nd_backward(small, large, which):
    def make(rng):
        def one(case, **extra):
            x, w, dy = with_dy(rng, case)
            if which == "input":
                return sample(dy, w, x.shape[2:], **case[2], **extra)
            return sample(dy, x, w.shape[2:], **case[2], **extra)

        return [*[one(case) for case in small], *[one(case, gradient=False) for case in large]]

    return make


# (N, C, *sizes), (O, *kernel), options
TRANSPOSED = {
    1: [
        ((2, 3, 5), (4, 3), {}),
        ((2, 4, 5), (2, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
        ((1, 2, 4), (3, 2), {"stride": 3, "dilation": 2}),
    ],
    2: [
        ((2, 3, 4, 5), (4, 3, 3), {}),
        ((1, 4, 3, 4), (2, 3, 2), {"stride": 2, "padding": (1, 0), "output_padding": 1, "groups": 2}),
        ((1, 2, 3, 2), (3, 2, 3), {"stride": (1, 3), "dilation": 2, "output_padding": (1, 0)}),
        ((2, 1, 2, 2), (2, 4, 4), {"stride": 2, "padding": 1}),
    ],
    3: [
        ((1, 2, 2, 3, 2), (3, 2, 2, 3), {}),
        ((2, 2, 2, 1, 3), (2, 3, 2, 2), {"stride": 2, "padding": (1, 0, 0), "output_padding": (1, 0, 1), "groups": 2}),
    ],
}


def transposed_samples(dims):
    def make(rng):
        def one(case, **extra):
            image, kernel, options = case
            w = uniform(rng, (image[1], kernel[0] // options.get("groups", 1), *kernel[1:]))
            return uniform(rng, image), w, uniform(rng, (kernel[0],))

        x, w, b = one(TRANSPOSED[dims][0])
        return [
            *[sample(*one(case), **case[2]) for case in TRANSPOSED[dims]],
            sample(x, w, note="no bias"),
            sample(x[0], w, b, note="unbatched"),
            sample(transposed(x), transposed(w), b, stride=2, note="transposed"),
            sample(x[:0], w, b, note="empty batch"),
        ]

    return make


SPECS = [
    *[
        OpSpec(
            f"conv{dims}d",
            functional(f"conv{dims}d"),
            conv_reference(dims),
            nd_forward(small, large),
            FLOATS,
            tolerances=TOLERANCES,
            differentiable=(0, 1, 2),
            rows=(row,),
            errors=[
                OpError(
                    lambda dims=dims: functional(f"conv{dims}d")(tg.ones(3), tg.ones(4, 3, *[3] * dims)),
                    RuntimeError,
                    rf"Expected {dims + 1}D \(unbatched\) or {dims + 2}D \(batched\) input to conv{dims}d",
                ),
                OpError(
                    lambda dims=dims: functional(f"conv{dims}d")(tg.ones(1, 3, *[4] * dims), tg.ones(4, 3, 3, 3, 3, 3)),
                    RuntimeError,
                    rf"conv{dims}d: expected a {dims + 2}-dimensional weight",
                ),
            ],
        )
        for dims, small, large, row in ((1, LINES, LARGE_LINES, "conv2d"), (3, VOLUMES, LARGE_VOLUMES, "conv3d"))
    ],
    *[
        OpSpec(
            f"conv{dims}d_backward_{which}",
            raw(f"conv_backward_{which}"),
            getattr(conv, f"conv_backward_{which}"),
            nd_backward(small, large, which),
            FLOATS,
            tolerances=TOLERANCES,
            differentiable=(0, 1),
            rows=(f"{row}_backward_{which}",),
        )
        for dims, small, large, row in ((1, LINES, LARGE_LINES, "conv2d"), (3, VOLUMES, LARGE_VOLUMES, "conv3d"))
        for which in ("input", "weight")
    ],
    *[
        OpSpec(
            f"conv_transpose{dims}d",
            functional(f"conv_transpose{dims}d"),
            unbatched(conv.conv_transpose, dims),
            transposed_samples(dims),
            FLOATS,
            tolerances={**TOLERANCES, "bfloat16": (2.0**-6, 2e-2), "float16": (2.0**-8, 2e-3)},  # rounded before the bias
            differentiable=(0, 1, 2),
            rows=("conv2d_backward_input" if dims < 3 else "conv3d_backward_input",),
            errors=[
                OpError(
                    lambda dims=dims: functional(f"conv_transpose{dims}d")(
                        tg.ones(1, 2, *[4] * dims), tg.ones(2, 3, *[3] * dims), stride=2, output_padding=2
                    ),
                    RuntimeError,
                    r"output padding must be smaller than either stride or dilation",
                ),
                OpError(
                    lambda dims=dims: functional(f"conv_transpose{dims}d")(
                        tg.ones(1, 3, *[4] * dims), tg.ones(2, 3, *[3] * dims)
                    ),
                    RuntimeError,
                    r"Given transposed=1, weight of size .*to have 2 channels, but got 3 channels instead",
                ),
                OpError(
                    lambda dims=dims: functional(f"conv_transpose{dims}d")(
                        tg.ones(1, 2, *[1] * dims), tg.ones(2, 3, *[2] * dims), padding=3
                    ),
                    RuntimeError,
                    r"Output size is too small",
                ),
                OpError(
                    lambda dims=dims: functional(f"conv_transpose{dims}d")(
                        tg.ones(1, 2, *[4] * dims), tg.ones(2, 3, *[3] * dims), tg.ones(2)
                    ),
                    RuntimeError,
                    r"expected bias to be 1-dimensional with 3 elements",
                ),
            ],
        )
        for dims in (1, 2, 3)
    ],
]
