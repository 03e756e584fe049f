"""Images read at any places: affine_grid makes the places, grid_sample reads. Jaderberg et al. 2015.

Both are differentiable to any order. Reading images bilinearly or at the nearest places is a kernel, the rest is plain ops.
Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ...ops.arguments import need_tensor
from ...ops.grid_sample import PADDINGS, grid_sample_op, grid_sample_plain
from ...tensor import Tensor


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The places (x, y) in [-1, 1] that an image of `size` looks at through affine maps.

    theta (N, 2, 3) and size (N, C, H, W) give (N, H, W, 2); theta (N, 3, 4) and size (N, C, D, H, W) give (N, D, H, W, 3).
    align_corners: -1 and 1 are the centres of the corner pixels instead of the image's corners.
    """
    need_tensor("affine_grid", "theta", theta)
    size = tuple(size)
    if len(size) not in (4, 5):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size {size}."
        )
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    dims = len(size) - 2
    if theta.ndim != 3 or theta.shape[1:] != (dims, dims + 1) or theta.shape[0] != size[0]:
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. Got "
            f"{tuple(theta.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    points = []
    for d in reversed(range(dims)):  # x is the last dim
        n = size[2 + d]
        steps = tg.linspace(-1, 1, n, dtype=theta.dtype) if n > 1 else tg.zeros(1, dtype=theta.dtype)
        if not align_corners:
            steps = steps * ((n - 1) / n)
        points.append(steps.reshape(*(n if i == d else 1 for i in range(dims))).expand(size[2:]))
    points.append(tg.ones(*size[2:], dtype=theta.dtype))
    base = tg.stack(points, -1).reshape(1, -1, dims + 1)
    return (base @ theta.transpose(1, 2)).reshape(size[0], *size[2:], dims)


def _check(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    need_tensor("grid_sample", "input", input)
    need_tensor("grid_sample", "grid", grid)
    shapes = f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
    if input.dtype is not grid.dtype or not input.dtype.is_floating_point:
        raise RuntimeError(
            f"grid_sampler(): expected input and grid to have the same floating dtype, got {input.dtype} and {grid.dtype}"
        )
    if input.ndim not in (4, 5) or grid.ndim != input.ndim:
        raise RuntimeError(f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got {shapes}")
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(f"grid_sampler(): expected grid and input to have same batch size, but got {shapes}")
    if grid.shape[-1] != input.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    for d in range(2, input.ndim):
        if input.shape[d] == 0:
            raise RuntimeError(
                f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {d} being empty"
            )
    if mode == "bicubic" and input.ndim == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of images at the places of a grid; gradients flow to both.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W), floating.
        grid: (N, H', W', 2) or (N, D', H', W', 3): x, y (, z) in [-1, 1], x along the last dim of the input.
        mode: bilinear (trilinear for volumes), nearest, or bicubic (images only).
        padding_mode: beyond the border are zeros, the border's values, or the image reflected.
        align_corners: -1 and 1 are the centres of the corner pixels instead of the image's corners.

    Returns: (N, C, H', W') or (N, C, D', H', W').

    Raises:
        ValueError: an unknown mode. RuntimeError: shapes or dtypes that do not fit together.
    """
    _check(input, grid, mode, padding_mode)
    corners = bool(align_corners)
    if input.ndim == 4 and mode != "bicubic":
        return grid_sample_op(input, grid, mode == "nearest", PADDINGS.index(padding_mode), corners)
    return grid_sample_plain(input, grid, mode, padding_mode, corners)
