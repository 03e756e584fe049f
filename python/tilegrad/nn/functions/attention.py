"""Attention: scaled dot products, any normalisation of scores, and many heads at once.

Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html,
Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tilegrad as tg

from ..._core import get_autocast
from ...ops.arguments import need_tensor
from ...ops.attention import attention as _attention
from ...ops.attention import attention_composite, safe_softmax, scores_of, shared
from ...random import default_generator
from ...tensor import Tensor
from .dropout import check_probability

_NAME = "scaled_dot_product_attention"


def _broadcast(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of leading dimensions."""
    result: list[int] = []
    for at in range(1, 1 + max(len(s) for s in shapes)):
        sizes = {s[-at] for s in shapes if len(s) >= at and s[-at] != 1}
        if len(sizes) > 1:
            raise RuntimeError(f"{name}: leading dimensions {', '.join(map(str, shapes))} do not broadcast")
        result.insert(0, sizes.pop() if sizes else 1)
    return tuple(result)


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    for what, x in (("query", query), ("key", key), ("value", value)):
        need_tensor(_NAME, what, x)
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            f"{_NAME}: Expected query, key, and value to all be at least 2 dimensional, but got query.dim: {query.ndim}, "
            f"key.dim: {key.ndim} and value.dim: {value.ndim}"
        )
    if query.dtype != key.dtype or query.dtype != value.dtype:
        raise RuntimeError(
            f"{_NAME}: Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype}, "
            f"key.dtype: {key.dtype} and value.dtype: {value.dtype}"
        )
    if not query.dtype.is_floating_point:
        raise RuntimeError(f"{_NAME}: expected floating tensors, got {query.dtype}")
    if query.shape[-1] != key.shape[-1]:
        raise RuntimeError(
            f"{_NAME}: query and key need the same size in their last dim, got shapes {tuple(query.shape)} and "
            f"{tuple(key.shape)}"
        )
    if key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"{_NAME}: key and value need the same length (dim -2), got shapes {tuple(key.shape)} and {tuple(value.shape)}"
        )


def _share_heads(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Checks the heads of grouped-query attention; key and value come back with the same number of heads."""
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise RuntimeError(f"{_NAME}: enable_gqa=True needs tensors with a dimension of heads (dim -3)")
    heads, key_heads, value_heads = query.shape[-3], key.shape[-3], value.shape[-3]
    if 0 in (key_heads, value_heads) or heads % key_heads or heads % value_heads:
        raise RuntimeError(
            f"{_NAME}: Number of heads in key and value must divide the number of heads in query, got {key_heads}, "
            f"{value_heads} and {heads}"
        )
    if key_heads != value_heads:
        key, value = shared(heads, key), shared(heads, value)
    return key, value


def _mask_of(mask: Tensor, query: Tensor, lead: tuple[int, ...], rows: int, cols: int) -> Tensor:
    """The mask with 4 dimensions, each 1 or as large as the scores'."""
    need_tensor(_NAME, "attn_mask", mask)
    if mask.dtype != tg.bool:
        if mask.dtype not in (tg.float32, query.dtype):
            raise RuntimeError(
                f"{_NAME}: Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
                f"{mask.dtype} and query.dtype: {query.dtype}"
            )
        mask = mask.to(tg.float64 if query.dtype == tg.float64 else tg.float32)
    full = (*lead, rows, cols)
    shape = (1,) * (len(full) - mask.ndim) + tuple(mask.shape)
    if len(shape) > len(full) or any(m not in (1, n) for m, n in zip(shape, full, strict=True)):
        raise RuntimeError(f"{_NAME}: attn_mask of shape {tuple(mask.shape)} does not broadcast to the scores' shape {full}")
    if len(full) <= 4:
        return mask.reshape((1,) * (4 - mask.ndim) + tuple(mask.shape))
    return mask.expand(full).reshape(math.prod(lead[:-1]), *full[-3:])


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale * query keyᵀ + mask) value, for every batch and head.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, Ev) -> (..., L, Ev). Leading dimensions broadcast. With
    `enable_gqa` the dim before L and S counts heads, and several heads of the query share one of key and value.

    Args:
        attn_mask: broadcasts to (..., L, S). Boolean: True means that the key takes part. Floating: added to the scores.
        dropout_p: the probability with which a weight is dropped. Not switched off by eval(): pass 0.0 there.
        is_causal: row i sees keys 0..i only, counted from the first of each also when L differs from S. With a mask both
            hold; as in PyTorch on the CPU, not together with dropout or with a mask that wants a gradient.
        scale: 1/sqrt(E) by default.

    A row in which every key is masked gives zeros, and zero gradients, as PyTorch does on the CPU.

    Raises:
        RuntimeError: shapes or dtypes that do not fit; is_causal with a mask as said. ValueError: dropout_p outside [0, 1].
    """
    if is_causal and attn_mask is not None:
        need_tensor(_NAME, "attn_mask", attn_mask)
        if dropout_p > 0.0 or (attn_mask.requires_grad and tg.is_grad_enabled()):
            raise RuntimeError(f"_{_NAME}: Explicit attn_mask should not be set when is_causal=True")
    return masked_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def masked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`scaled_dot_product_attention` in which is_causal, a mask and dropout may all meet."""
    if get_autocast() is not None:  # the three may differ until they are converted
        query, key, value = (get_autocast()(x, False) for x in (query, key, value))
    _check(query, key, value)
    check_probability(dropout_p)
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    if enable_gqa:
        key, value = _share_heads(query, key, value)
    rows, cols = query.shape[-2], key.shape[-2]
    leads = [tuple(x.shape[:-2]) for x in (query, key, value)]
    lead = leads[0]
    if query.ndim != 4 or leads[1] != lead or leads[2] != lead:
        if enable_gqa:
            batch = _broadcast(_NAME, *(s[:-1] for s in leads))
            wanted = [(*batch, s[-1]) for s in leads]
        else:
            wanted = [_broadcast(_NAME, *leads)] * 3
        lead = wanted[0]
        query, key, value = (
            x.expand((*w, *x.shape[-2:])).reshape(math.prod(w[:-1]), w[-1] if w else 1, *x.shape[-2:])
            for x, w in zip((query, key, value), wanted, strict=True)
        )
    mask = None if attn_mask is None else _mask_of(attn_mask, query, lead, rows, cols)
    seed = offset = 0
    if dropout_p > 0.0:
        seed, offset = default_generator.reserve(query.shape[0] * query.shape[1] * rows * (-(-cols // 4) * 4))
    arguments = (query, key, value, mask, float(scale), bool(is_causal), float(dropout_p), seed, offset)
    learned_mask = mask is not None and mask.requires_grad and tg.is_grad_enabled()
    output = (attention_composite if learned_mask else _attention)(*arguments)[0]
    return output if len(lead) == 2 else output.reshape(*lead, rows, value.shape[-1])


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    activation: str | Callable[[Tensor], Tensor] = "softmax",
) -> tuple[Tensor, Tensor]:
    """Attention that shows its weights and leaves open how scores become weights: (output, weights). Not in PyTorch.

    Args:
        query, key, value, attn_mask, scale, is_causal: as in `scaled_dot_product_attention`.
        activation: "softmax"; "relu", which gives max(score, 0) / S; or a function of the scores (..., L, S), in which masked
            entries are -inf. What it makes of masked entries is set to 0.

    Raises:
        RuntimeError: shapes or dtypes that do not fit. ValueError: an unknown activation.
    """
    _check(query, key, value)
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    mask = attn_mask if attn_mask is None or attn_mask.dtype == tg.bool else attn_mask.to(query.dtype)
    scores = scores_of(query, key, mask, scale, is_causal)
    if activation == "softmax":
        weights = safe_softmax(scores)[0]
    elif activation == "relu":
        weights = scores.relu() * (1.0 / max(scores.shape[-1], 1))
    elif callable(activation):
        weights = tg.where(scores == -math.inf, 0.0, activation(scores))
    else:
        raise ValueError(f"attention: activation must be 'softmax', 'relu' or a function, got {activation!r}")
    return weights @ value, weights
