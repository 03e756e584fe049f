"""Windows as columns and back; channels as pixels and back.

Source: https://pytorch.org/docs/stable/nn.functional.html#vision-functions
"""

from __future__ import annotations

from typing import Any

from ...ops.arguments import need_tensor
from ...ops.fold import fold_op, unfold_op
from ...tensor import Tensor


def _pair(name: str, what: str, value: Any) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) == 1:
        pair *= 2
    if len(pair) != 2:
        raise RuntimeError(f"{name}: {what} must be an int or two ints, got {value}")
    return pair


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Every window of (N, C, H, W) as a column: (N, C * kernel, windows); (C, H, W) without the batch.

    Raises RuntimeError for sizes that are not positive and windows that do not fit.
    """
    need_tensor("unfold", "input", input)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        raise RuntimeError(
            "unfold: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {list(input.shape)}"
        )
    names = ("kernel_size", "dilation", "padding", "stride")
    options = [_pair("unfold", n, v) for n, v in zip(names, (kernel_size, dilation, padding, stride), strict=True)]
    if input.ndim == 3:
        return unfold_op(input.unsqueeze(0), *options).squeeze(0)
    return unfold_op(input, *options)


def fold(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Columns (N, C * kernel, windows) added up into images (N, C, *output_size): the transpose of unfold.

    Raises RuntimeError when the columns are not those of windows over output_size.
    """
    need_tensor("fold", "input", input)
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            "fold: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(input.shape)}"
        )
    names = ("output_size", "kernel_size", "dilation", "padding", "stride")
    values = (output_size, kernel_size, dilation, padding, stride)
    options = [_pair("fold", n, v) for n, v in zip(names, values, strict=True)]
    if input.ndim == 2:
        return fold_op(input.unsqueeze(0), *options).squeeze(0)
    return fold_op(input, *options)


def _check_pixels(name: str, input: Tensor, factor: int, what: str) -> None:
    need_tensor(name, "input", input)
    if input.ndim < 3:
        raise RuntimeError(f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {what}, but got {factor}")


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r^2, H, W) to (*, C, H r, W r): channels become r x r blocks of pixels. Shi et al. 2016."""
    r = upscale_factor
    _check_pixels("pixel_shuffle", input, r, "upscale_factor")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = len(lead)
    blocks = input.reshape(*lead, channels // (r * r), r, r, height, width)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return blocks.permute(*order).reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H r, W r) to (*, C r^2, H, W): blocks of pixels become channels."""
    r = downscale_factor
    _check_pixels("pixel_unshuffle", input, r, "downscale_factor")
    *lead, channels, height, width = input.shape
    for what, size, dim in (("height", height, -2), ("width", width, -1)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {what} to be divisible by downscale_factor, but input.size({dim})={size} is not "
                f"divisible by {r}"
            )
    n = len(lead)
    blocks = input.reshape(*lead, channels, height // r, r, width // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return blocks.permute(*order).reshape(*lead, channels * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, *) with the channels of `groups` groups interleaved. Zhang et al. 2018."""
    need_tensor("channel_shuffle", "input", input)
    if input.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    batch, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups.")
    return input.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(*input.shape)
