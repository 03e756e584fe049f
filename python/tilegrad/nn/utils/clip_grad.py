"""Gradient clipping, in place.

Source: Pascanu et al. 2013; https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import tilegrad as tg

from ... import _core
from ...tensor import Tensor


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for parameter in parameters:
        if not isinstance(parameter, Tensor):
            raise TypeError(f"expected a Tensor or an iterable of Tensors, got an item of type {type(parameter).__name__}")
    return [p.grad for p in parameters if p.grad is not None]


def _one_block(tensors: list[Tensor]) -> bool:
    """Can one native call walk over all of them?"""
    dtype = tensors[0].dtype
    return dtype in (tg.float32, tg.float64) and all(t.dtype is dtype and t.is_contiguous() for t in tensors)


def get_total_norm(tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all tensors taken as one vector, a 0-d tensor (0 when there are none).

    Raises RuntimeError with error_if_nonfinite when the norm is inf or nan.
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return tg.tensor(0.0)
    with tg.no_grad():
        if norm_type in (1.0, 2.0, math.inf) and _one_block(tensors):
            total = tg.tensor(_core.total_norm(tensors, norm_type), dtype=tensors[0].dtype)
        elif norm_type == math.inf:
            total = tg.stack([t.abs().max() for t in tensors]).max()
        elif norm_type == 2.0:
            total = tg.stack([(t * t).sum() for t in tensors]).sum().sqrt()
        else:
            total = tg.stack([(t.abs() ** norm_type).sum() for t in tensors]).sum() ** (1.0 / norm_type)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
                "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
                "`error_if_nonfinite=False`"
            )
    return total


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients by one factor so that their total norm is at most max_norm; returns the norm before.

    The factor is min(1, max_norm / (norm + 1e-6)). Parameters without a gradient are skipped; `foreach` is accepted and
    ignored. Raises RuntimeError with error_if_nonfinite when the norm is inf or nan.
    """
    gradients = _gradients(parameters)
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    if gradients:
        with tg.no_grad():
            factor = (float(max_norm) / (total + 1e-6)).clamp(max=1.0)
            if _one_block(gradients):
                if factor.item() != 1.0:
                    _core.scale_all_(gradients, factor.item())
                return total
            for gradient in gradients:
                gradient.mul_(factor.to(gradient.dtype))
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Limits every element of every gradient to [-clip_value, clip_value]."""
    clip_value = float(clip_value)
    with tg.no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(-clip_value, clip_value)
