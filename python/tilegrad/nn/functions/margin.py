"""Losses that want a margin between right and wrong, and the distances they use.

Source: https://pytorch.org/docs/stable/nn.functional.html#loss-functions and #distance-functions
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ...ops.elementwise import relu, softplus
from ...tensor import Tensor
from .loss import _reduce, resolve_reduction


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along dim; the other dimensions broadcast."""
    dot = (x1 * x2).sum(dim)
    squares = (x1 * x1).sum(dim).clamp(min=eps * eps).sqrt() * (x2 * x2).sum(dim).clamp(min=eps * eps).sqrt()
    return dot / squares


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x1 - x2 + eps‖_p along the last dimension: (N, D), (N, D) -> (N)."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖_p, eps) along dim: unit vectors."""
    return input / input.norm(p, dim, True).clamp(min=eps)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """x where y = 1, max(0, margin - x) where y = -1."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    zero = tg.zeros_like(input)
    loss = tg.where(target == 1, input, zero) + tg.where(target == -1, relu(margin - input), zero)
    return _reduce(loss, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -y (x1 - x2) + margin): y = 1 wants x1 above x2."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    return _reduce(relu(-target * (input1 - input2) + margin), reduction)


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-y x)) with y in {-1, 1}."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    return _reduce(softplus(-target * input), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Multi-class hinge: sum over the wrong classes i of max(0, margin - x_y + x_i)^p / C. input (N, C), target (N)
    int64.

    Raises ValueError unless p is 1 or 2.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, got {p}")
    right = input.gather(1, target.unsqueeze(1))  # (N, 1)
    hinge = relu(margin - right + input)
    hinge = hinge * hinge if p == 2 else hinge
    if weight is not None:
        hinge = hinge * weight[target].unsqueeze(1)
    wrong = (target.unsqueeze(1) != tg.arange(input.shape[1])).to(input.dtype)
    return _reduce((hinge * wrong).sum(1) / input.shape[1], reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where y = 1, max(0, cos - margin) where y = -1. input (N, D), target (N)."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    cosine = cosine_similarity(input1, input2, dim=-1)
    return _reduce(tg.where(target == 1, 1.0 - cosine, relu(cosine - margin)), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin); swap also considers d(p, n). All (N, D). Schroff et al. 2015."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = tg.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce(relu(near - far + margin), reduction)
