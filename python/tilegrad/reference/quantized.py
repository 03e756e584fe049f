"""The int8 linear layer."""

import numpy as np


def quantize_weight(w, per_channel=True):
    """w (outputs, inputs) -> (int8, scale (outputs,)): w is about scale * int8, and 0 is exact."""
    largest = np.abs(w).max(axis=1, initial=0.0) if per_channel else np.full(len(w), np.abs(w).max(initial=0.0))
    scale = np.maximum(largest.astype(np.float32) / np.float32(127), np.finfo(np.float32).tiny)
    q = np.rint(w.astype(np.float32) / scale[:, None])
    return np.clip(q, -127, 127).astype(np.int8), scale


def quantize_rows(x):
    """x (rows, inputs) -> (uint8, scale (rows, 1), zero (rows, 1)): x is about scale * (q - zero), by rows; 0 is exact."""
    x = x.astype(np.float32)
    low, high = np.minimum(x.min(axis=1, initial=0.0), 0), np.maximum(x.max(axis=1, initial=0.0), 0)
    scale = np.maximum(high / np.float32(255) - low / np.float32(255), np.finfo(np.float32).tiny)
    inverse = (np.float32(1) / scale).astype(np.float32)
    zero = np.minimum(np.rint(-low * inverse), 255)
    q = np.clip(np.rint(x * inverse[:, None]) + zero[:, None], 0, 255)
    finite = np.isfinite(x).all(axis=1)
    return np.where(finite[:, None], q, 0).astype(np.uint8), np.where(finite, scale, np.nan)[:, None], zero[:, None]


def quantized_linear(x, w, scale, bias=None, activation="none"):
    """activation(x @ (scale * w).T + bias) as it is computed in integers: x (*, inputs), w int8 (outputs, inputs)."""
    rows = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    with np.errstate(all="ignore"):
        q, s, z = quantize_rows(rows)
        exact = q.astype(np.int64) @ w.T.astype(np.int64) - np.nan_to_num(z).astype(np.int64) * w.sum(1, dtype=np.int64)
        y = exact.astype(np.float32) * (s * scale).astype(np.float32)
        if bias is not None:
            y = y + bias.astype(np.float32)
    if activation == "relu":
        y = np.maximum(y, 0)
    return y.reshape(*x.shape[:-1], len(w)).astype(np.float64)
