"""Scaled dot product attention, as in Vaswani et al. 2017, section 3.2.1."""

import numpy as np


def scores(query, key, mask=None, is_causal=False, scale=None):
    """scale * query key^T, -inf where masked."""
    s = query @ np.swapaxes(key, -1, -2) * (1 / np.sqrt(query.shape[-1]) if scale is None else scale)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if is_causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    return s


def weights_of(s):
    """softmax over the last dim; rows without a key become zeros. And log-sum-exp."""
    if s.shape[-1] == 0:
        return s, np.full(s.shape[:-1], -np.inf)
    high = np.max(s, axis=-1, keepdims=True)
    high = np.where(high == -np.inf, 0.0, high)
    e = np.exp(s - high)
    total = np.sum(e, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return e / np.where(total == 0, 1.0, total), (high + np.log(total))[..., 0]


def repeated(heads, x):
    return x if x.shape[-3] == heads else np.repeat(x, heads // x.shape[-3], axis=-3)


def scaled_dot_product_attention(query, key, value, attn_mask=None, is_causal=False, scale=None, enable_gqa=False):
    if enable_gqa:
        key, value = repeated(query.shape[-3], key), repeated(query.shape[-3], value)
    return weights_of(scores(query, key, attn_mask, is_causal, scale))[0] @ value


def attention(query, key, value, mask, scale, is_causal):
    """(output, log-sum-exp) with shared heads."""
    key, value = repeated(query.shape[1], key), repeated(query.shape[1], value)
    weights, lse = weights_of(scores(query, key, mask, is_causal, scale))
    return weights @ value, lse


def attention_backward(dy, query, key, value, mask, scale, is_causal):
    """(dquery, dkey, dvalue) of the output's gradient dy."""
    batch, groups, length, _ = key.shape
    heads = query.shape[1]
    k, v = repeated(heads, key), repeated(heads, value)
    p = weights_of(scores(query, k, mask, is_causal, scale))[0]
    dp = dy @ np.swapaxes(v, -1, -2)
    ds = p * (dp - np.sum(dp * p, axis=-1, keepdims=True)) * scale

    def summed(x):
        return x.reshape(batch, groups, heads // groups, length, x.shape[-1]).sum(2)

    return ds @ k, summed(np.swapaxes(ds, -1, -2) @ query), summed(np.swapaxes(p, -1, -2) @ dy)
