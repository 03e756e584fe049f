"""Dropout and its variants: multiply by a random mask that keeps the expectation.

Source: Srivastava et al. 2014; https://pytorch.org/docs/stable/nn.functional.html#dropout-functions
"""

from __future__ import annotations

import math

import tilegrad as tg

from ...ops.arguments import need_tensor
from ...tensor import Tensor


def check_probability(p: float) -> None:
    """Raises ValueError unless 0 <= p <= 1."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _kept(shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
    """A boolean mask that is True with probability 1-p."""
    return tg.rand(*shape, device=like.device) >= p


def _scaled(input: Tensor, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    if p == 1.0:
        mask = tg.zeros(*shape, dtype=input.dtype, device=input.device)
    else:
        mask = _kept(shape, p, input).to(input.dtype) * (1.0 / (1.0 - p))
    return input.mul_(mask) if inplace else input * mask


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability p and divides the rest by 1-p; the identity when training is False.

    input: floating, any shape; the output has the same shape and dtype. Dropped elements get gradient exactly 0.
    Raises ValueError when p is outside [0, 1].
    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
    """
    need_tensor("dropout", "input", input)
    check_probability(p)
    if not training or p == 0.0:
        return input
    return _scaled(input, tuple(input.shape), p, inplace)


def _channel_dropout(name: str, input: Tensor, p: float, training: bool, inplace: bool, spatial: int) -> Tensor:
    check_probability(p)
    if input.ndim not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"{name}: expected a {spatial + 1}-d (C, ...) or {spatial + 2}-d (N, C, ...) input, got shape {tuple(input.shape)}"
        )
    if not training or p == 0.0:
        return input
    batch_and_channels = input.ndim - spatial
    return _scaled(input, (*tuple(input.shape)[:batch_and_channels], *([1] * spatial)), p, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of (N, C, L) or (C, L). Raises RuntimeError for another number of dimensions."""
    need_tensor("dropout1d", "input", input)
    return _channel_dropout("dropout1d", input, p, training, inplace, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of (N, C, H, W) or (C, H, W). Raises RuntimeError for another number of dimensions."""
    need_tensor("dropout2d", "input", input)
    return _channel_dropout("dropout2d", input, p, training, inplace, 2)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drops whole channels of (N, C, D, H, W) or (C, D, H, W). Raises RuntimeError for another number of dimensions."""
    need_tensor("dropout3d", "input", input)
    return _channel_dropout("dropout3d", input, p, training, inplace, 3)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for SELU networks: dropped elements become SELU's lower limit, then an affine map restores mean and
    variance.

    Source: Klambauer et al. 2017, section 3.
    """
    need_tensor("alpha_dropout", "input", input)
    check_probability(p)
    if not training or p == 0.0:
        return input
    limit = -1.7580993408473766  # -scale * alpha of SELU
    if p == 1.0:
        return input * 0.0
    keep = 1.0 - p
    a = 1.0 / math.sqrt(keep + limit * limit * keep * p)
    kept = _kept(tuple(input.shape), p, input).to(input.dtype)
    result = (input * kept + limit * (1.0 - kept)) * a - a * limit * p
    return input.copy_(result) if inplace else result
