"""Multi-head attention as one function: projections, heads side by side, output projection.

Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html,
Vaswani et al. 2017, section 3.2.2, https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

import math

import tilegrad as tg

from ...ops.arguments import need_tensor
from ...ops.attention import safe_softmax, scores_of, split_heads
from ...tensor import Tensor
from .attention import masked_attention
from .dropout import dropout
from .linear import linear

_NAME = "multi_head_attention_forward"


def _check_shapes(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, mask: Tensor | None) -> None:
    for what, x in (("query", query), ("key", key), ("value", value)):
        need_tensor(_NAME, what, x)
    if query.ndim not in (2, 3):
        raise RuntimeError(f"{_NAME}: query should be unbatched 2D or batched 3D, got a {query.ndim}-d tensor")
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise RuntimeError(
            f"{_NAME}: for a {query.ndim}-d query, expected key and value to be {query.ndim}-d, got {key.ndim}-d and "
            f"{value.ndim}-d"
        )
    if tuple(key.shape[:-1]) != tuple(value.shape[:-1]):
        raise RuntimeError(
            f"{_NAME}: key's sequence and batch dims {tuple(key.shape[:-1])} do not match value's {tuple(value.shape[:-1])}"
        )
    if padding is not None and padding.ndim != query.ndim - 1:
        raise RuntimeError(
            f"{_NAME}: for a {query.ndim}-d query, expected a {query.ndim - 1}-d key_padding_mask, got {padding.ndim}-d"
        )
    if mask is not None and mask.ndim not in (2, 3):
        raise RuntimeError(f"{_NAME}: attn_mask's dimension {mask.ndim} is not supported; expected 2 or 3")


def _check_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    if mask.dtype != tg.bool and not mask.dtype.is_floating_point:
        raise AssertionError(f"only bool and floating types of {name} are supported, got {mask.dtype}")
    if tuple(mask.shape) != shape:
        raise RuntimeError(f"The shape of the {mask.ndim}D {name} is {tuple(mask.shape)}, but should be {shape}.")


def _additive(mask: Tensor, dtype: tg.dtype) -> Tensor:
    """A mask whose True means "not allowed", or a floating one, as a floating one."""
    if mask.dtype != tg.bool:
        return mask.to(dtype)
    return tg.zeros(*mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -math.inf)


def _open_columns(mask: Tensor, count: int) -> Tensor:
    """The mask with `count` more keys that everybody may see."""
    more = tg.zeros(*mask.shape[:-1], count, dtype=mask.dtype, device=mask.device)
    return tg.cat([mask, more], dim=-1)


def _merged(attn_mask: Tensor | None, padding: Tensor | None, dtype: tg.dtype) -> Tensor | None:
    """One mask for `scaled_dot_product_attention` (True means "takes part"), (N or 1, H or 1, L or 1, S)."""
    masks = [m for m in (attn_mask, padding) if m is not None]
    if not masks:
        return None
    if all(m.dtype == tg.bool for m in masks):
        blocked = masks[0] if len(masks) == 1 else masks[0] | masks[1]
        return ~blocked
    first, *rest = (_additive(m, dtype) for m in masks)
    return first + rest[0] if rest else first


def _projected(
    query: Tensor, key: Tensor, value: Tensor, weights: tuple[Tensor, ...], bias: Tensor | None, heads: int
) -> list[Tensor]:
    """Query, key and value after their projections, (..., H, head_dim) with the leading dims of the input.

    One weight (3E, E) projects whatever is the same tensor in one product; three weights project apart."""
    embed = query.shape[-1]
    if len(weights) == 3:
        biases = [None] * 3 if bias is None else bias.chunk(3)
        inputs = zip((query, key, value), weights, biases, strict=True)
        return [split_heads(linear(x, w, b), 1, heads)[0] for x, w, b in inputs]
    if query is key and key is value:
        return list(split_heads(linear(query, weights[0], bias), 3, heads))
    parts = ((query, 1), (key, 2)) if key is value else ((query, 1), (key, 1), (value, 1))
    projected: list[Tensor] = []
    for x, count in parts:
        start = len(projected) * embed
        rows = slice(start, start + count * embed)
        projected += split_heads(linear(x, weights[0][rows], None if bias is None else bias[rows]), count, heads)
    return projected


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `nn.MultiheadAttention` computes: (output, weights or None).

    Shapes: query (L, N, E), key (S, N, Ek), value (S, N, Ev), without N where nothing is batched, with N first if batch_first;
    output as query; weights (N, L, S), or (N, H, L, S) with average_attn_weights=False. static_k and static_v:
    (N * H, S, head_dim), already projected.

    Keys added by bias_k, bias_v and add_zero_attn are seen by every query, whatever the masks and the is_causal hint say.
    In masks, True means "not allowed". A query all of whose keys are masked gets zeros (PyTorch: zeros without weights, NaN
    with them).

    Raises:
        RuntimeError, AssertionError: shapes or dtypes that do not fit, or is_causal without attn_mask.
    """
    _check_shapes(query, key, value, key_padding_mask, attn_mask)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    embed = query.shape[-1]
    if embed != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed}")
    if num_heads <= 0:
        raise ValueError(f"{_NAME}: num_heads must be positive, got {num_heads}")
    if embed % num_heads:
        raise AssertionError(f"embed_dim {embed} not divisible by num_heads {num_heads}")
    batched = query.ndim == 3
    if not batched:
        same = (query, query is key, key is value)
        query = query.unsqueeze(0)
        key = query if same[1] else key.unsqueeze(0)
        value = key if same[2] else value.unsqueeze(0)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    batch_at = 0 if batch_first or not batched else 1
    if query.shape[batch_at] != key.shape[batch_at]:
        raise RuntimeError(
            f"{_NAME}: query and key need the same batch size, got {query.shape[batch_at]} and {key.shape[batch_at]}"
        )

    if use_separate_proj_weight:
        weights = tuple(w for w in (q_proj_weight, k_proj_weight, v_proj_weight) if w is not None)
        if len(weights) < 3:
            raise AssertionError("use_separate_proj_weight needs q_proj_weight, k_proj_weight and v_proj_weight, one is None")
    else:
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        if tuple(key.shape) != tuple(value.shape):
            raise AssertionError(f"key shape {tuple(key.shape)} does not match value shape {tuple(value.shape)}")
        if tuple(in_proj_weight.shape) != (3 * embed, embed):
            raise RuntimeError(
                f"{_NAME}: expected in_proj_weight of shape {(3 * embed, embed)}, got {tuple(in_proj_weight.shape)}"
            )
        weights = (in_proj_weight,)
    # (N, H, length, head_dim): views, whichever dim comes first
    order = (0, 2, 1, 3) if batch_at == 0 else (1, 2, 0, 3)
    q, k, v = (x.permute(*order) for x in _projected(query, key, value, weights, in_proj_bias, num_heads))
    batch, _, rows, head_dim = q.shape
    if static_k is not None:
        k = static_k.reshape(batch, num_heads, -1, head_dim)
    if static_v is not None:
        v = static_v.reshape(batch, num_heads, -1, head_dim)

    # masks against the keys as they came, then the keys that are added to them
    cols = k.shape[2]
    if attn_mask is not None:
        _check_mask("attn_mask", attn_mask, (rows, cols) if attn_mask.ndim == 2 else (batch * num_heads, rows, cols))
        attn_mask = attn_mask.reshape(*((1, 1) if attn_mask.ndim == 2 else (batch, num_heads)), rows, cols)
    if key_padding_mask is not None:
        _check_mask("key_padding_mask", key_padding_mask, (batch, cols))
        key_padding_mask = key_padding_mask.reshape(batch, 1, 1, cols)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must be given together")
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k, v = (
            tg.cat([x, b.reshape(1, num_heads, 1, head_dim).expand(batch, num_heads, 1, head_dim)], dim=2)
            for x, b in ((k, bias_k), (v, bias_v))
        )
    if add_zero_attn:
        k, v = (tg.cat([x, tg.zeros(batch, num_heads, 1, head_dim, dtype=x.dtype, device=x.device)], dim=2) for x in (k, v))
    added = k.shape[2] - cols
    hint = is_causal and not need_weights and not added
    if hint:
        attn_mask = None
    if added:
        attn_mask = None if attn_mask is None else _open_columns(attn_mask, added)
        key_padding_mask = None if key_padding_mask is None else _open_columns(key_padding_mask, added)
    mask = _merged(attn_mask, key_padding_mask, q.dtype)

    p = dropout_p if training else 0.0
    attention_weights = None
    if need_weights:
        attention_weights = dropout(safe_softmax(scores_of(q, k, mask, 1.0 / math.sqrt(head_dim), False))[0], p)
        output = attention_weights @ v
        if average_attn_weights:
            attention_weights = attention_weights.mean(dim=1)
    else:
        output = masked_attention(q, k, v, mask, p, hint)
    # back to the order of the query; (N, H, L, head_dim) -> (N, L, E) or (L, N, E)
    output = output.permute(*((0, 2, 1, 3) if batch_at == 0 else (2, 0, 1, 3))).flatten(2)
    output = linear(output, out_proj_weight, out_proj_bias)
    if not batched:
        output = output.squeeze(0)
        attention_weights = None if attention_weights is None else attention_weights.squeeze(0)
    return output, attention_weights
