"""Scaled dot product attention: the fused kernel, and the same in plain ops."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from ..dtypes import float32
from .creation import arange
from .elementwise import cast, exp, log, where
from .matmul import matmul
from .reduce import amax, sum_op
from .shape import stack, transpose, unsqueeze

_INFINITY = float("inf")


def causal(rows, cols):
    """Boolean (rows, cols): True where column j may be seen by row i, which is j <= i."""
    return unsqueeze(arange(cols), 0) <= unsqueeze(arange(rows), 1)


def kept_by_dropout(shape, p, seed, offset):
    """Boolean mask of shape (B, H, L, S), True with probability 1 - p.

    Element (b, h, q, k) is decided by number ((b H + h) L + q) S' + k of the stream (seed, offset), with S' = S rounded up
    to a multiple of 4. So a kernel can decide any element by itself, four neighbours at a time.
    """
    batch, heads, rows, cols = shape
    numbers = _core.empty((batch, heads, rows, -(-cols // 4) * 4), float32)
    _core.uniform_(numbers, 0.0, 1.0, seed, offset)
    return (numbers >= p)[..., :cols]


def factors_of_dropout(weights, p, seed, offset):
    """What weights (B, H, L, S) are multiplied by: 0 where dropped, 1 / (1 - p) where kept."""
    if p == 0.0:
        return 1.0
    kept = cast(kept_by_dropout(weights.shape, p, seed, offset), weights.dtype)
    return kept * (1.0 / (1.0 - p) if p < 1.0 else 0.0)


def safe_softmax(scores):
    """(softmax over the last dim, log-sum-exp). A row of -inf only gives zeros and -inf, and zero gradients."""
    if scores.shape[-1] == 0:
        return scores, sum_op(scores, -1, False) - _INFINITY
    high = amax(scores, -1, True).detach()
    high = where(high == -_INFINITY, 0.0, high)
    e = exp(scores - high)
    total = sum_op(e, -1, True)
    return e / where(total == 0.0, 1.0, total), (high + log(total)).squeeze(-1)


def shared(heads, x):
    """Keys or values (..., G, S, D) as (..., heads, S, D): each of the G is used by heads / G neighbouring heads."""
    *lead, groups, length, size = x.shape
    if groups == heads:
        return x
    return unsqueeze(x, -3).expand(*lead, groups, heads // groups, length, size).reshape(*lead, heads, length, size)


def unshared(groups, x):
    """The reverse of `shared` for gradients: heads that share a key are added."""
    batch, heads, length, size = x.shape
    return x if groups == heads else sum_op(x.reshape(batch, groups, heads // groups, length, size), 2, False)


def scores_of(query, key, mask, scale, is_causal):
    """(B, H, L, S): scale * query @ key^T; -inf where a boolean mask is False or causality forbids, plus a float mask."""
    scores = matmul(query * scale, transpose(key, -1, -2))
    if mask is not None:
        scores = scores + cast(mask, scores.dtype) if mask.dtype.is_floating_point else where(mask, scores, -_INFINITY)
    if is_causal:
        scores = where(causal(*scores.shape[-2:]), scores, -_INFINITY)
    return scores


def attention_composite(query, key, value, mask, scale, is_causal, dropout_p, seed, offset):
    """(output, log-sum-exp per row) in plain ops: it fills a (B, H, L, S) tensor, and has derivatives of any order."""
    heads = query.shape[1]
    weights, lse = safe_softmax(scores_of(query, shared(heads, key), mask, scale, is_causal))
    return matmul(weights * factors_of_dropout(weights, dropout_p, seed, offset), shared(heads, value)), lse


# softmax(scale * query @ key^T + mask) @ value for every head: (output, log-sum-exp per row). query (B, H, L, D),
# key (B, G, S, D), value (B, G, S, Dv) with H a multiple of G, mask (B or 1, H or 1, L or 1, S or 1) or None;
# output (B, H, L, Dv), log-sum-exp (B, H, L), which is a hint for the backward pass and has no gradient.
attention = op(_core.attention)
attention_backward = op(_core.attention_backward)
attention.set_autocast(3)
attention.composite(attention_composite)


@attention.backward
def _(dy, query, key, value, mask, scale, is_causal, dropout_p, seed, offset, out, out1):
    arguments = (query, key, value, mask, out.detach(), out1.detach(), scale, is_causal, dropout_p, seed, offset)
    return *attention_backward(dy, *arguments), *(None,) * 6


@attention_backward.composite
def _(dy, query, key, value, mask, out, lse, scale, is_causal, dropout_p, seed, offset):
    heads = query.shape[1]
    k, v = shared(heads, key), shared(heads, value)
    weights = safe_softmax(scores_of(query, k, mask, scale, is_causal))[0]
    factors = factors_of_dropout(weights, dropout_p, seed, offset)
    dweights = matmul(dy, transpose(v, -1, -2)) * factors
    dscores = weights * (dweights - sum_op(dweights * weights, -1, True)) * scale
    dkey = matmul(transpose(dscores, -1, -2), query)
    dvalue = matmul(transpose(weights * factors, -1, -2), dy)
    return matmul(dscores, k), unshared(key.shape[1], dkey), unshared(value.shape[1], dvalue)


# --- the heads of a projection
def _split_kernel(x, count, heads):
    *lead, features = x.shape
    parts = _core.reshape(x, (*lead, count, heads, features // (count * heads)))
    return tuple(_core.index(parts, (Ellipsis, i, slice(None), slice(None))) for i in range(count))


# x (..., count * heads * size) as `count` tensors (..., heads, size) that share its memory. Their gradients meet in one copy,
# where slices would each fill a tensor as large as x.
split_heads = op(_split_kernel, name="split_heads")


@split_heads.backward
def _(dy, x_shape, all_dy):
    given = [g for g in all_dy if g is not None]
    zero = None if len(given) == len(all_dy) else given[0] * 0.0
    return stack([zero if g is None else g for g in all_dy], -3).reshape(x_shape), None, None
