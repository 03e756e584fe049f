"""Padding, resizing, windows as columns, grid sampling."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup, tensors


def graph(**shapes: tuple[int, ...]) -> Setup:
    """Normal random tensors that want a gradient."""
    return lambda t: {name: t.randn(*shape, requires_grad=True) for name, shape in shapes.items()}


def both(name: str, shape: tuple[int, ...], stmt: str, growth: float, why: str) -> list[Case]:
    """The value, and value and gradient; the result is `growth` times as large as the input."""
    size = 4.0
    for n in shape:
        size *= n
    return [
        Case(name, why, tensors(x=shape), stmt, None, 0, size * (1 + growth)),
        Case(
            f"{name}-backward", why, graph(x=shape), f"{stmt}.sum().backward(); x.grad = None", None, 0, size * (2 + 2 * growth)
        ),
    ]


def points(shape: tuple[int, ...]) -> Setup:
    """Images, and a grid of as many points as they have pixels."""

    def setup(t: Any) -> dict[str, Any]:
        return {"x": t.randn(*shape), "grid": t.rand(shape[0], *shape[2:], 2) * 2 - 1}

    return setup


def points_graph(shape: tuple[int, ...]) -> Setup:
    """The same, wanting gradients."""
    return lambda t: {name: x.requires_grad_() for name, x in points(shape)(t).items()}


CASES = [
    *both("pad-1", (32, 64, 28, 28), "F.pad(x, (1, 1, 1, 1))", 1.15, "the border of a 3x3 convolution"),
    *both("pad-reflect-2", (8, 64, 56, 56), 'F.pad(x, (2, 2, 2, 2), "reflect")', 1.15, "style transfer"),
    *both("upsample-nearest-2", (8, 64, 32, 32), "F.interpolate(x, scale_factor=2)", 4, "decoders"),
    *both(
        "upsample-bilinear-2", (8, 64, 32, 32), 'F.interpolate(x, scale_factor=2, mode="bilinear")', 4, "segmentation"
    ),
    *both("resize-bilinear", (8, 16, 100, 100), 'F.interpolate(x, size=(37, 37), mode="bilinear")', 0.14, "no round factor"),
    *both("unfold-3", (8, 16, 32, 32), "F.unfold(x, 3, padding=1)", 9, "columns of a 3x3 convolution"),
    *both("fold-3", (8, 144, 1024), "F.fold(x, (32, 32), 3, padding=1)", 0.11, "overlapping windows added up"),
    *both("pad-constant-3d", (64, 1000, 30), "F.pad(x, (0, 2))", 1.07, "sequences brought to one length"),
    *both("pad-replicate-odd", (17, 3, 61, 67), 'F.pad(x, (3, 2, 1, 4), "replicate")', 1.1, "odd sizes"),
    *both("pad-circular-2", (8, 64, 32, 32), 'F.pad(x, (2, 2, 2, 2), "circular")', 1.27, "grids without a border"),
    *both("upsample-bicubic-2", (8, 16, 32, 32), 'F.interpolate(x, scale_factor=2, mode="bicubic")', 4, "super-resolution"),
    *both("upsample-linear-2", (8, 64, 1000), 'F.interpolate(x, scale_factor=2, mode="linear")', 2, "sequences"),
    Case("grid-sample-64x1x28x28", "a spatial transformer on digits", points((64, 1, 28, 28)),
         "F.grid_sample(x, grid, align_corners=False)", bytes=16.0 * 64 * 28 * 28),
    Case("grid-sample-8x32x28x28", "feature maps", points((8, 32, 28, 28)),
         "F.grid_sample(x, grid, align_corners=False)", bytes=4.0 * 8 * 66 * 28 * 28),
    Case("grid-sample-64x3x61x67", "colour images of odd size", points((64, 3, 61, 67)),
         "F.grid_sample(x, grid, align_corners=False)", bytes=4.0 * 64 * 8 * 61 * 67),
    Case("grid-sample-8x3x64x64-nearest", "nearest pixels", points((8, 3, 64, 64)),
         'F.grid_sample(x, grid, mode="nearest", align_corners=False)', bytes=4.0 * 8 * 8 * 64 * 64),
    Case("grid-sample-64x1x28x28-backward", "with both gradients", points_graph((64, 1, 28, 28)),
         "F.grid_sample(x, grid, align_corners=False).sum().backward(); x.grad = grid.grad = None", bytes=48.0 * 64 * 28 * 28),
    Case("grid-sample-8x32x28x28-backward", "with both gradients", points_graph((8, 32, 28, 28)),
         "F.grid_sample(x, grid, align_corners=False).sum().backward(); x.grad = grid.grad = None",
         bytes=12.0 * 8 * 66 * 28 * 28),
]  # fmt: skip
