"""Negative log likelihoods of counts, of normal variables and of label sequences.

Source: https://pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from __future__ import annotations

import math
from typing import Any

import tilegrad as tg

from ...ops.arguments import need_tensor, need_tensors
from ...ops.ctc import ctc_loss_op
from ...tensor import Tensor
from .loss import _reduce, resolve_reduction


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of a label sequence, summed over all its alignments (Graves et al. 2006).

    Args:
        log_probs: (T, N, C) or (T, C), logarithms of probabilities (log_softmax), float32 or float64.
        targets: labels, padded (N, S) or (S,) without a batch, or all of them in one row (sum of target_lengths,).
        input_lengths, target_lengths: (N,), as tensors or lists; how much of each sample counts.
        blank: the class number of the blank. zero_infinity: targets that do not fit their input count 0, not infinity.
        reduction: "mean" divides each loss by its target's length, then averages; "sum"; "none" gives (N,).

    The gradient is the derivative for log_probs as they are; through log_softmax it is that of PyTorch.
    A kernel makes it; with create_graph=True differentiable ops do, a few for each step of time, for gradients of any order.
    Raises RuntimeError for lengths, a blank or shapes that do not fit, IndexError for a label out of range.
    """
    need_tensor("ctc_loss", "targets", targets)
    resolve_reduction(None, None, reduction)
    lengths = [v if isinstance(v, Tensor) else tg.tensor(v, dtype=tg.int64) for v in (input_lengths, target_lengths)]
    inputs, sizes = (v.detach().to(tg.int64).reshape(-1) if v.ndim == 0 else v.detach().to(tg.int64) for v in lengths)
    for what, x in (("targets", targets), *zip(("input_lengths", "target_lengths"), lengths, strict=True)):
        if x.dtype.is_floating_point or x.dtype is tg.bool:
            raise RuntimeError(f"ctc_loss: expected {what} of an integer dtype, got {x.dtype}; use {what}.long()")
    targets = targets.detach().to(tg.int64)
    batched = log_probs.ndim != 2
    if not batched:
        log_probs = log_probs.unsqueeze(1)
    losses = ctc_loss_op(log_probs, targets, inputs, sizes, blank, zero_infinity)[0]
    if zero_infinity:
        losses = tg.where(losses == math.inf, tg.zeros_like(losses), losses)
    if reduction == "mean":
        return (losses / sizes.clamp(min=1).to(losses.dtype)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses if batched else losses.reshape(())


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """e^x - y x (log_input), or x - y log(x + eps): counts y from a Poisson distribution with the rate e^x, or x.

    full adds Stirling's approximation of log y! where y > 1.
    """
    need_tensors("poisson_nll_loss", input=input, target=target)
    reduction = resolve_reduction(size_average, reduce, reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        large = tg.where(target > 1, target, tg.ones_like(target))
        stirling = target * large.log() - target + 0.5 * (2 * math.pi * large).log()
        loss = loss + tg.where(target > 1, stirling, tg.zeros_like(target))
    return _reduce(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """½ (log var + (x - y)² / var): y from a normal distribution with mean x; var is at least eps.

    var: of input's shape, of it without the last dim, with 1 as the last dim, or a number. full adds ½ log 2π. The limit of var
    is not differentiated. Raises ValueError for a var that does not fit or is negative.
    """
    need_tensors("gaussian_nll_loss", input=input, target=target)
    resolve_reduction(None, None, reduction)
    var = var if isinstance(var, Tensor) else tg.full_like(input, float(var))
    if tuple(var.shape) != tuple(input.shape):
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif not (input.ndim == var.ndim and tuple(input.shape[:-1]) == tuple(var.shape[:-1]) and var.shape[-1] == 1):
            raise ValueError(f"var is of incorrect size: {tuple(var.shape)} for an input of shape {tuple(input.shape)}")
    if bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    raised = tg.maximum(var.detach(), tg.full_like(var.detach(), eps)) - var.detach()
    var = var + raised  # the gradient goes past the limit, as in PyTorch
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    return _reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)
