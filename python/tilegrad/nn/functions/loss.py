"""Loss functions: a number (or, with reduction="none", one per element) that says how wrong the input is.

Composites of differentiable ops, except cross_entropy, which is a fused kernel. `size_average` and `reduce` are
PyTorch's old spelling of `reduction` and still work, with a warning.
Source: https://pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from __future__ import annotations

import warnings
from typing import Any

import tilegrad as tg

from ...ops.arguments import need_tensor, need_tensors
from ...ops.elementwise import softplus
from ...ops.loss import cross_entropy as _cross_entropy
from ...ops.loss import nll_loss as _nll_loss
from ...ops.pointwise_loss import pointwise_loss, value
from ...tensor import Tensor


def resolve_reduction(size_average: Any, reduce: Any, reduction: str, allowed: tuple = ("none", "mean", "sum")) -> str:
    """The reduction meant by old and new arguments together. Raises ValueError for an unknown one."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            reduction = "none"
        else:
            reduction = "sum" if size_average is False else "mean"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=4,
        )
    if reduction not in allowed:
        raise ValueError(f"{reduction} is not a valid value for reduction; use one of {', '.join(allowed)}")
    return reduction


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def _warn_sizes(input: Tensor, target: Tensor) -> None:
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"Using a target size ({tuple(target.shape)}) that is different to the input size ({tuple(input.shape)}). "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def _pointwise(
    kind: str, input: Tensor, target: Tensor, reduction: str, parameter: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """The loss `kind` (ops/pointwise_loss.py), by the kernel where the two fit together, else in plain ops."""
    dtype = input.dtype
    if target.shape == input.shape and target.dtype is not dtype and dtype.is_floating_point:
        target = target.to(dtype)
    fused = target.shape == input.shape and target.dtype is dtype and dtype.is_floating_point
    if fused and weight is None:
        return pointwise_loss(kind, input, target, reduction, parameter)
    loss = pointwise_loss(kind, input, target, "none", parameter) if fused else value(kind, input, target, parameter)
    return _reduce(loss if weight is None else loss * weight, reduction)


def _averaged(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """Weighted losses; the mean divides by the sum of the weights."""
    if tuple(weight.shape) != tuple(loss.shape):
        raise ValueError(f"Weights and input must have the same size, got {tuple(weight.shape)} and {tuple(loss.shape)}.")
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _reduce(loss, reduction)


def _distance(kind: str, input: Tensor, target: Tensor, reduction: str, parameter: float, weight: Tensor | None) -> Tensor:
    _warn_sizes(input, target)
    if weight is None:
        return _pointwise(kind, input, target, reduction, parameter)
    return _averaged(_pointwise(kind, input, target, "none", parameter), weight, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """(input - target)², averaged, summed or as it is. Shapes broadcast, with a warning when they differ.

    weight: per-element factors of input's shape; the mean then divides by their sum.
    """
    need_tensors("mse_loss", input=input, target=target)
    return _distance("mse", input, target, resolve_reduction(size_average, reduce, reduction), 1.0, weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """|input - target|; the derivative at 0 is 0. Shapes broadcast, with a warning when they differ."""
    need_tensors("l1_loss", input=input, target=target)
    return _distance("l1", input, target, resolve_reduction(size_average, reduce, reduction), 1.0, weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """½ d² / beta where |d| < beta, |d| - ½ beta elsewhere (Girshick 2015). Raises RuntimeError when beta < 0."""
    need_tensors("smooth_l1_loss", input=input, target=target)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}.")
    if beta == 0:
        return l1_loss(input, target, size_average, reduce, reduction)
    return _distance("smooth_l1", input, target, resolve_reduction(size_average, reduce, reduction), beta, None)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """½ d² where |d| <= delta, delta (|d| - ½ delta) elsewhere. Raises RuntimeError when delta <= 0."""
    need_tensors("huber_loss", input=input, target=target)
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, got {delta}.")
    return _distance("huber", input, target, resolve_reduction(None, None, reduction), delta, weight)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """-(y log x + (1-y) log(1-x)) for probabilities x in [0, 1]; logarithms are limited to >= -100, so it stays finite.

    Raises ValueError when the sizes differ, RuntimeError when an input is outside [0, 1].
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    need_tensor("binary_cross_entropy", "input", input)
    need_tensor("binary_cross_entropy", "target", target)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Using a target size ({tuple(target.shape)}) that is different to the input size ({tuple(input.shape)}) is "
            "deprecated. Please ensure they have the same size."
        )
    return _pointwise("bce", input, target, reduction, weight=weight)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy(sigmoid(x), y), finite for any x: (1-y) x + (1 + (pos_weight-1) y) softplus(-x).

    pos_weight: factor of the positive class, broadcast against the last dimensions. Raises ValueError when sizes
    differ.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    need_tensor("binary_cross_entropy_with_logits", "input", input)
    need_tensor("binary_cross_entropy_with_logits", "target", target)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(f"Target size ({tuple(target.shape)}) must be the same as input size ({tuple(input.shape)})")
    if pos_weight is None:
        return _pointwise("bce_with_logits", input, target, reduction, weight=weight)
    loss = (1.0 - target) * input + softplus(-input) * ((pos_weight - 1.0) * target + 1.0)
    return _reduce(loss if weight is None else loss * weight, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]: the negative log likelihood of logits.

    input (C), (N, C) or (N, C, d1, ...); target int64 class indexes without the C, or floating probabilities of input's
    shape. weight (C) rescales classes; the mean divides by the weights used. ignore_index is left out.
    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
    """
    need_tensors("cross_entropy", input=input, target=target)
    reduction = resolve_reduction(size_average, reduce, reduction)
    return _cross_entropy(
        input, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """-weight[target] * input[target] for log-probabilities: input (C), (N, C) or (N, C, d1, ...), target without the
    C.

    Raises:
        ValueError: batch sizes or the other dimensions of input and target do not match.
        RuntimeError: the target is not int64, or weight has not C elements.
        IndexError: a target outside 0..C-1 that is not ignore_index.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    need_tensor("nll_loss", "input", input)
    need_tensor("nll_loss", "target", target)
    if target.dtype != tg.int64:
        raise RuntimeError(f"nll_loss: expected an int64 target of class indexes, got {target.dtype}; use target.long()")
    dim = 0 if input.ndim == 1 else 1
    shape = tuple(input.shape)
    expected = shape[:dim] + shape[dim + 1 :]
    if input.ndim == 0 or tuple(target.shape) != expected:
        raise ValueError(f"Expected target size {expected}, got {tuple(target.shape)} for input {shape}")
    classes = shape[dim]
    bad = (target != ignore_index) & ((target < 0) | (target >= classes))
    if bool(bad.any()):
        raise IndexError(f"Target {int(target[bad][0])} is out of bounds for {classes} classes.")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor "
            f"of shape: {tuple(weight.shape)}"
        )
    return _nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target (log target - input) with input = log q: KL(p || q) pointwise, 0 where target is 0.

    reduction="batchmean" divides the sum by the batch size and is the mathematical value; "mean" averages the
    elements and warns, as in PyTorch. log_target: the target is log p.
    """
    need_tensors("kl_div", input=input, target=target)
    reduction = resolve_reduction(size_average, reduce, reduction, ("none", "mean", "sum", "batchmean"))
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. 'batchmean' divides "
            "only by the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    kind = "kl_div_log" if log_target else "kl_div"
    if reduction == "batchmean":
        return _pointwise(kind, input, target, "sum") / input.shape[0]
    return _pointwise(kind, input, target, reduction)
