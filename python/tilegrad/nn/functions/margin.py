"""Losses that want a margin between right and wrong, and the distances they use.

Source: https://pytorch.org/docs/stable/nn.functional.html#loss-functions and #distance-functions
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ...ops.arguments import need_tensor, need_tensors
from ...ops.elementwise import relu, softplus
from ...tensor import Tensor
from .loss import _reduce, binary_cross_entropy_with_logits, resolve_reduction


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along dim; the other dimensions broadcast."""
    need_tensors("cosine_similarity", x1=x1, x2=x2)
    dot = (x1 * x2).sum(dim)
    squares = (x1 * x1).sum(dim).clamp(min=eps * eps).sqrt() * (x2 * x2).sum(dim).clamp(min=eps * eps).sqrt()
    return dot / squares


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x1 - x2 + eps‖_p along the last dimension: (N, D), (N, D) -> (N)."""
    need_tensors("pairwise_distance", x1=x1, x2=x2)
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖_p, eps) along dim: unit vectors."""
    need_tensor("normalize", "input", input)
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
    need_tensor("hinge_embedding_loss", "input", input)
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
    need_tensors("margin_ranking_loss", input1=input1, input2=input2, target=target)
    reduction = resolve_reduction(size_average, reduce, reduction)
    return _reduce(relu(-target * (input1 - input2) + margin), reduction)


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-y x)) with y in {-1, 1}."""
    need_tensors("soft_margin_loss", input=input, target=target)
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
    need_tensors("multi_margin_loss", input=input, target=target)
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
    need_tensors("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    reduction = resolve_reduction(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = tg.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce(relu(near - far + margin), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss with a distance of one's own: distance_function(x1, x2) -> (N,); default pairwise_distance."""
    need_tensors("triplet_margin_with_distance_loss", anchor=anchor, positive=positive, negative=negative)
    resolve_reduction(None, None, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = tg.minimum(far, distance(positive, negative))
    return _reduce(relu(near - far + margin), reduction)


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """Sum over the labels j and the other classes i of max(0, 1 - (x_j - x_i)) / C. input (N, C) or (C).

    target, int64 of input's shape, lists the labels of each row; the first negative number ends the list.
    Raises RuntimeError for a target of another shape or dtype, IndexError for a label out of range.
    """
    need_tensors("multilabel_margin_loss", input=input, target=target)
    reduction = resolve_reduction(size_average, reduce, reduction)
    if tuple(target.shape) != tuple(input.shape) or input.ndim not in (1, 2):
        raise RuntimeError(f"inconsistent target size: {tuple(target.shape)} for input of size: {tuple(input.shape)}")
    if target.dtype != tg.int64:
        raise RuntimeError(f"multilabel_margin_loss: expected an int64 target, got {target.dtype}; use target.long()")
    if input.ndim == 1:
        return multilabel_margin_loss(input.unsqueeze(0), target.unsqueeze(0), reduction=reduction).reshape(())
    classes = input.shape[1]
    ends = (target < 0).to(tg.int64)
    listed = tg.stack([ends[:, : i + 1].sum(1) == 0 for i in range(classes)], 1) if classes else target >= 0
    bad = listed & (target >= classes)
    if bool(bad.any()):
        raise IndexError(f"multilabel_margin_loss: label {int(target[bad][0])} is out of range for {classes} classes")
    labels = tg.where(listed, target, tg.zeros_like(target))
    chosen = tg.zeros(input.shape, dtype=input.dtype).scatter_add(1, labels, listed.to(input.dtype))  # (N, C)
    others = (chosen == 0).to(input.dtype).unsqueeze(1)  # (N, 1, C)
    right = input.gather(1, labels).unsqueeze(2)  # (N, C, 1): the score of each listed label
    hinge = relu(1.0 - right + input.unsqueeze(1)) * others * listed.to(input.dtype).unsqueeze(2)
    return _reduce(hinge.sum(2).sum(1) / classes, reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """binary_cross_entropy_with_logits averaged over the classes (the last dim). weight (C) rescales classes."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    loss = binary_cross_entropy_with_logits(input, target, reduction="none")
    return _reduce((loss if weight is None else loss * weight).mean(-1), reduction)
