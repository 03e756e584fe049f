"""Pooling: maxima and averages of windows, over signals (N, C, L), images (N, C, H, W) and volumes (N, C, D, H, W).

The batch dim may be missing. Source: https://pytorch.org/docs/stable/nn.functional.html#pooling-functions
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tilegrad as tg

from ...ops.arguments import need_tensor
from ...ops.index import index_copy_
from ...ops.pool import (
    avg_pool_op,
    interpolate_op,
    max_pool_op,
    max_pool_with_indices_op,
    plane_positions,
)
from ...tensor import Tensor

Sizes = int | Sequence[int]
_WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def _sizes(name: str, what: str, value: Sizes, dims: int) -> tuple[int, ...]:
    """One int for all dims, or one each."""
    if isinstance(value, int):
        return (value,) * dims
    sizes = tuple(value)
    if len(sizes) == 1:
        sizes *= dims
    if len(sizes) != dims or not all(isinstance(s, int) for s in sizes):
        raise RuntimeError(f"{name}: {what} must either be a single int, or a tuple of {_WORDS[dims]}, got {value}")
    return sizes


def _check_input(name: str, input: Tensor, dims: int) -> None:
    need_tensor(name, "input", input)
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch size for input, but "
            f"got: {list(input.shape)}"
        )
    if 0 in input.shape[input.ndim - dims - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch size and other "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )


def _window(name: str, dims: int, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes = 1) -> tuple:
    kernel = _sizes(name, "kernel_size", kernel_size, dims)
    no_stride = stride is None or (not isinstance(stride, int) and len(tuple(stride)) == 0)
    steps = kernel if no_stride else _sizes(name, "stride", stride, dims)  # type: ignore[arg-type]
    return kernel, steps, _sizes(name, "padding", padding, dims), _sizes(name, "dilation", dilation, dims)


def _max_pool(name: str, dims: int, input: Tensor, window: tuple, ceil_mode: bool, return_indices: bool) -> Any:
    _check_input(name, input, dims)
    function = max_pool_with_indices_op if return_indices else max_pool_op
    return function(input, *window, bool(ceil_mode))


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window over (N, C, L) or (C, L). See `max_pool2d`."""
    window = _window("max_pool1d", 1, kernel_size, stride, padding, dilation)
    return _max_pool("max_pool1d", 1, input, window, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window over (N, C, H, W) or (C, H, W), any floating dtype.

    Of equal elements the first counts (it gets the gradient); NaN is larger than everything.

    Args:
        kernel_size, stride, padding, dilation: an int or one for each dim; stride None means kernel_size. The border counts
            as minus infinity and is at most half a window wide.
        ceil_mode: also windows that reach beyond the end.
        return_indices: also the place of each maximum in its plane (row * W + column), int64.

    Raises:
        RuntimeError: a window that does not fit, sizes that are not positive, an input with other than 3 or 4 dims.
    """
    window = _window("max_pool2d", 2, kernel_size, stride, padding, dilation)
    return _max_pool("max_pool2d", 2, input, window, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window over (N, C, D, H, W) or (C, D, H, W). See `max_pool2d`."""
    window = _window("max_pool3d", 3, kernel_size, stride, padding, dilation)
    return _max_pool("max_pool3d", 3, input, window, ceil_mode, return_indices)


def max_pool1d_with_indices(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """max_pool1d with return_indices=True."""
    return max_pool1d(*args, **{**kwargs, "return_indices": True})


def max_pool2d_with_indices(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """max_pool2d with return_indices=True."""
    return max_pool2d(*args, **{**kwargs, "return_indices": True})


def max_pool3d_with_indices(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """max_pool3d with return_indices=True."""
    return max_pool3d(*args, **{**kwargs, "return_indices": True})


# --- averages


def _avg_pool(
    name: str,
    dims: int,
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Tensor:
    kernel, steps, border, _ = _window(name, dims, kernel_size, stride, padding)
    _check_input(name, input, dims)
    if divisor_override is not None and divisor_override == 0:
        raise RuntimeError(f"{name}: divisor must be not zero")
    return avg_pool_op(input, kernel, steps, border, bool(ceil_mode), bool(count_include_pad), divisor_override or 0)


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The average of each window over (N, C, L) or (C, L). See `avg_pool2d`."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window over (N, C, H, W) or (C, H, W), any floating dtype.

    Args:
        kernel_size, stride, padding: an int or one for each dim; stride None means kernel_size. The border is zeros.
        ceil_mode: also windows that reach beyond the end. count_include_pad: the border counts in the divisor.
        divisor_override: divides the sums instead of the window's size.

    Raises:
        RuntimeError: a window that does not fit, sizes that are not positive, an input with other than 3 or 4 dims.
    """
    return _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window over (N, C, D, H, W) or (C, D, H, W). See `avg_pool2d`."""
    return _avg_pool("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _lp_pool(name: str, dims: int, input: Tensor, p: float, kernel_size: Sizes, stride: Sizes | None, ceil: bool) -> Tensor:
    kernel, steps, border, _ = _window(name, dims, kernel_size, stride, 0)
    _check_input(name, input, dims)
    total = avg_pool_op(input**p, kernel, steps, border, bool(ceil), True, 1)
    # as PyTorch: a negative sum of odd powers gives 0
    return tg.relu(tg.sign(total) * tg.abs(total)) ** (1.0 / p)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x**p over each window)**(1/p) over (N, C, L) or (C, L)."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x**p over each window)**(1/p) over (N, C, H, W) or (C, H, W)."""
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x**p over each window)**(1/p) over (N, C, D, H, W) or (C, D, H, W)."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


# --- adaptive


def _output_size(name: str, input: Tensor, output_size: Any, dims: int) -> tuple[int, ...]:
    need_tensor(name, "input", input)
    sizes = (output_size,) * dims if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(sizes) != dims:
        raise RuntimeError(f"{name}: output_size must be {dims}, got {output_size}")
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got {list(input.shape)}")
    own = input.shape[input.ndim - dims :]
    for d, size in enumerate(input.shape[input.ndim - dims - 1 :], input.ndim - dims - 1):
        if size == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {d} being empty"
            )
    known: tuple[int, ...] = tuple(n if s is None else s for s, n in zip(sizes, own, strict=True))
    if min(known) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 but received {known}")
    return known


def _adaptive_avg_pool(name: str, dims: int, input: Tensor, output_size: Any) -> Tensor:
    sizes = _output_size(name, input, output_size, dims)
    if 0 in sizes:
        return input.new_zeros((*input.shape[: input.ndim - dims], *sizes))
    if all(s == 1 for s in sizes):
        return input.mean(tuple(range(input.ndim - dims, input.ndim)), keepdim=True)
    return interpolate_op(input, sizes, 4, False, False, 0.0, 0.0, 0.0)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Averages that give (N, C, output_size). See `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Averages over windows that divide (N, C, H, W) or (C, H, W) as evenly as they can into output_size (an int, or one for
    each dim; None keeps a size). Window o of a dim reaches from floor(o in / out) to ceil((o + 1) in / out)."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Averages that give (N, C, *output_size). See `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max_pool(name: str, dims: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    sizes = _output_size(name, input, output_size, dims)
    function = max_pool_with_indices_op if return_indices else max_pool_op
    return function(input, (), sizes, (), (), False)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima that give (N, C, output_size); with return_indices also their places. See `adaptive_avg_pool2d`."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima that give (N, C, *output_size); with return_indices also their places. See `adaptive_avg_pool2d`."""
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima that give (N, C, *output_size); with return_indices also their places. See `adaptive_avg_pool2d`."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)


# --- back to full size


def _unpooled_size(name: str, dims: int, input: Tensor, window: tuple, output_size: Any) -> tuple[int, ...]:
    kernel, stride, padding, _ = window
    own = input.shape[input.ndim - dims :]
    default = tuple((n - 1) * s + k - 2 * p for n, k, s, p in zip(own, kernel, stride, padding, strict=True))
    if output_size is None:
        return default
    sizes = tuple(output_size)
    if len(sizes) == dims + 2:
        sizes = sizes[2:]
    if len(sizes) != dims:
        raise ValueError(f"{name}: output_size should be a sequence of {dims} or {dims + 2} elements, got {output_size}")
    for d, (size, usual, step) in enumerate(zip(sizes, default, stride, strict=True)):
        if not usual - step < size < usual + step:
            raise ValueError(
                f'{name}: invalid output_size "{sizes}" (dim {d} must be between {usual - step} and {usual + step})'
            )
    return sizes


def _max_unpool(
    name: str, dims: int, input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Any, padding: Sizes, output_size: Any
) -> Tensor:
    window = _window(name, dims, kernel_size, stride, padding)
    _check_input(name, input, dims)
    need_tensor(name, "indices", indices)
    if indices.dtype is not tg.int64:
        raise RuntimeError(f"{name}: elements in indices should be type int64 but got: {indices.dtype}")
    if indices.shape != input.shape:
        raise RuntimeError(
            f"{name}: Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    sizes = _unpooled_size(name, dims, input, window, output_size)
    plane = 1
    for size in sizes:
        plane *= size
    if input.numel() == 0:
        return input.new_zeros((*input.shape[: input.ndim - dims], *sizes))
    for bad in (indices.min().item(), indices.max().item()):
        if not 0 <= bad < plane:
            raise RuntimeError(f"{name}: Found an invalid max index: {bad} (output volumes are of size {sizes})")
    planes = input.numel()
    for size in input.shape[input.ndim - dims :]:
        planes //= size
    out = index_copy_(input.new_zeros(planes * plane), 0, plane_positions(indices, plane, dims), input.reshape(-1))
    return out.reshape(*input.shape[: input.ndim - dims], *sizes)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, output_size: Any = None
) -> Tensor:
    """Each element written to its place in zeros of the size that max_pool1d came from. See `max_unpool2d`."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, output_size: Any = None
) -> Tensor:
    """Each element written to its place in zeros of the size that max_pool2d (with return_indices) came from.

    output_size chooses among the sizes that pool to the input's. Raises RuntimeError for places outside.
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, output_size: Any = None
) -> Tensor:
    """Each element written to its place in zeros of the size that max_pool3d came from. See `max_unpool2d`."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
