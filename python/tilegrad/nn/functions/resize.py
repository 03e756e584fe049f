"""Signals, images and volumes in another size. Source: https://pytorch.org/docs/stable/nn.functional.html#interpolate"""

from __future__ import annotations

import math
from typing import Any

from ...ops.arguments import need_tensor
from ...ops.pool import interpolate_op
from ...tensor import Tensor

# mode: (number for the op, input dims it works on)
_MODES = {
    "nearest": (0, (3, 4, 5)),
    "nearest-exact": (1, (3, 4, 5)),
    "linear": (2, (3,)),
    "bilinear": (2, (4,)),
    "trilinear": (2, (5,)),
    "bicubic": (3, (4,)),
    "area": (4, (3, 4, 5)),
}


def _per_dim(name: str, input: Tensor, value: Any) -> tuple:
    dims = input.ndim - 2
    if isinstance(value, (list, tuple)):
        if len(value) != dims:
            raise ValueError(
                f"Input and {name} must have the same number of spatial dimensions, but got input with spatial dimensions of "
                f"{list(input.shape[2:])} and {name} of {tuple(value)}. Please provide input tensor in (N, C, d1, d2, ...,dK) "
                f"format and {name} in (s1, s2, ...,sK) format."
            )
        return tuple(value)
    return (value,) * dims


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """(N, C, L), (N, C, H, W) or (N, C, D, H, W) resized over all dims but the first two; floating.

    Args:
        size or scale_factor: the new sizes, or the factors of the old ones (rounded down); one for all dims or one each.
        mode: nearest (PyTorch's, as OpenCV's), nearest-exact, linear / bilinear / trilinear, bicubic, area (averages).
        align_corners: the corner pixels' centres stay where they are (linear and cubic modes), else the corners of the image.
        recompute_scale_factor: take the scale from the sizes, which rounding may have changed, not from scale_factor.
        antialias: bilinear and bicubic kernels are stretched when sizes shrink.

    Raises:
        ValueError: size and scale_factor both or neither, or not one for each dim; options that a mode does not have.
        NotImplementedError: an unknown mode, or one for another number of dims.
        RuntimeError: a size of 0.
    """
    need_tensor("interpolate", "input", input)
    if mode not in _MODES or input.ndim not in (3, 4, 5):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: "
            f"{' | '.join(_MODES)} (got {mode})"
        )
    number, dims = _MODES[mode]
    if input.ndim not in dims:
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs {dims[0]}D input")
    if align_corners is not None and number not in (2, 3):
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input")
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    scales: tuple = (0.0,) * (input.ndim - 2)
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        sizes = _per_dim("output size", input, size)
    elif scale_factor is not None:
        factors = tuple(float(f) for f in _per_dim("scale_factor", input, scale_factor))
        if not all(math.isfinite(f) for f in factors):
            raise ValueError(f"interpolate: expected finite scale factors, got {scale_factor}")
        sizes = tuple(math.floor(n * f) for n, f in zip(input.shape[2:], factors, strict=True))
        if not recompute_scale_factor and mode != "area":
            scales = factors
    else:
        raise ValueError("either size or scale_factor should be defined")
    for s in sizes:
        if not isinstance(s, int):
            raise TypeError(f"interpolate: expected size to be ints, got {size}")
    if min(sizes) <= 0 or 0 in input.shape[1:]:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {tuple(input.shape[1:])} and output {sizes}"
        )
    padded = (0.0,) * (5 - input.ndim) + scales
    return interpolate_op(input, sizes, number, bool(align_corners), antialias, *padded)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """interpolate, by its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode nearest."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode bilinear and align_corners=True."""
    return interpolate(input, size, scale_factor, "bilinear", True)
