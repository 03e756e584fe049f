"""Normalisation layers as functions.

Source: https://pytorch.org/docs/stable/nn.functional.html (layer_norm, rms_norm, batch_norm, group_norm, instance_norm,
local_response_norm)
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ...ops.arguments import need_tensor
from ...ops.elementwise import rsqrt
from ...ops.norm import batch_norm_op, channel_affine, group_norm_op, layer_norm_op, rms_norm_op
from ...tensor import Tensor


def _check_shape(name: str, input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None = None) -> int:
    """How many of the last dims are normalised, once input, weight and bias fit normalized_shape."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape:
        raise RuntimeError(f"{name}: Expected normalized_shape to be at least 1-dimensional, got {list(shape)}")
    need_tensor(name, "input", input)
    if input.ndim < len(shape) or tuple(input.shape[-len(shape) :]) != shape:
        stars = ", ".join(["*", *map(str, shape)])
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{stars}], "
            f"but got input of size {list(input.shape)}"
        )
    for what, tensor in (("weight", weight), ("bias", bias)):
        if tensor is None:
            continue
        need_tensor(name, what, tensor)
        if tuple(tensor.shape) != shape:
            raise RuntimeError(
                f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape {list(tensor.shape)} and "
                f"normalized_shape = {list(shape)}"
            )
    return len(shape)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dims, which must have the shape normalized_shape.

    input (*, normalized_shape), floating; weight and bias of normalized_shape. Ba et al. 2016.
    Raises RuntimeError where the shapes do not fit.
    """
    dims = _check_shape("layer_norm", input, normalized_shape, weight, bias)
    return layer_norm_op(input, weight, bias, dims, eps)[0]


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x²) + eps) * weight over the last dims.

    eps None: the machine epsilon of the dtype that is computed in, float32 or, for float64, float64.

    Source: Zhang & Sennrich 2019. Raises RuntimeError where the shapes do not fit.
    """
    dims = _check_shape("rms_norm", input, normalized_shape, weight)
    if eps is None:
        eps = tg.finfo(tg.float64 if input.dtype is tg.float64 else tg.float32).eps
    return rms_norm_op(input, weight, dims, eps)[0]


def _check_channels(name: str, input: Tensor, **vectors: Tensor | None) -> int:
    """The number of channels, once every vector has one entry for each."""
    need_tensor(name, "input", input)
    if input.ndim < 2:
        raise RuntimeError(f"{name}: expected an input of shape (N, C, ...), got {tuple(input.shape)}")
    channels = input.shape[1]
    for what, vector in vectors.items():
        if vector is None:
            continue
        need_tensor(name, what, vector)
        if tuple(vector.shape) != (channels,):
            raise RuntimeError(
                f"{name}: {what} should contain {channels} elements not {vector.numel()} (shape {tuple(vector.shape)})"
            )
    return channels


def _with_running_statistics(
    input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    if mean.dtype is not input.dtype:
        mean, var = mean.to(input.dtype), var.to(input.dtype)
    scale = rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    return channel_affine(input, scale, shift if bias is None else shift + bias)


def _update(running: Tensor | None, value: Tensor, momentum: float) -> None:
    if running is not None:
        running.lerp_(value.to(running.dtype), momentum)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of input (N, C, ...).

    training: mean and variance of this batch, which also move the running statistics, in place:
    running = (1 - momentum) running + momentum batch, with the unbiased variance. Otherwise the running statistics are used.
    All vectors are (C,). Ioffe & Szegedy 2015.

    Raises:
        ValueError: training with one value per channel. RuntimeError: vectors that do not fit, or no running statistics
        where training is False.
    """
    channels = _check_channels(
        "batch_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: running_mean and running_var must be defined in evaluation mode")
        return _with_running_statistics(input, running_mean, running_var, weight, bias, eps)
    count = input.numel() // channels if channels else 0
    if count == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(input.shape)}")
    out, mean, _, var = batch_norm_op(input, weight, bias, eps)
    if running_mean is not None or running_var is not None:
        with tg.no_grad():
            _update(running_mean, mean.detach(), momentum)
            _update(running_var, var.detach() * (count / max(1, count - 1)), momentum)
    return out


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over each group of C / num_groups channels of each sample.

    input (N, C, ...); weight and bias (C,). Wu & He 2018.
    Raises RuntimeError where C is not divisible by num_groups or the vectors do not fit.
    """
    channels = _check_channels("group_norm", input, weight=weight, bias=bias)
    if num_groups <= 0:
        raise RuntimeError(f"group_norm: Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    return group_norm_op(input, weight, bias, num_groups, eps)[0]


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """group_norm with one channel a group: every channel of every sample by itself.

    With running statistics, their update takes the mean over the samples; use_input_stats=False normalises with them.
    Ulyanov et al. 2016. Raises as batch_norm does.
    """
    channels = _check_channels(
        "instance_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
        return _with_running_statistics(input, running_mean, running_var, weight, bias, eps)
    spatial = input.numel() // max(1, input.shape[0] * channels)
    if spatial == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {tuple(input.shape)}")
    if input.numel() and (running_mean is not None or running_var is not None):
        with tg.no_grad():
            planes = input.detach().reshape(input.shape[0], channels, -1)
            _update(running_mean, planes.mean(2).mean(0), momentum)
            _update(running_var, planes.var(2).mean(0), momentum)
    return group_norm_op(input, weight, bias, channels, eps)[0] if channels else input * 1.0


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha mean(x² of the `size` channels around))^beta for input (N, C, ...). Krizhevsky et al. 2012 (AlexNet).

    Raises ValueError for an input of less than 3 dims or a size below 1.
    """
    need_tensor("local_response_norm", "input", input)
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    squares = input * input
    before, channels = size // 2, input.shape[1]
    total = squares
    for offset in range(max(-before, 1 - channels), min(size - before, channels)):
        if offset == 0:
            continue
        low, high = max(0, -offset), min(channels, channels - offset)
        parts = [squares.narrow(1, low + offset, high - low)]
        if low:
            parts.insert(0, tg.zeros_like(squares.narrow(1, 0, low)))
        if high < channels:
            parts.append(tg.zeros_like(squares.narrow(1, 0, channels - high)))
        total = total + (parts[0] if len(parts) == 1 else tg.cat(parts, 1))
    return input / (total * (alpha / size) + k) ** beta
