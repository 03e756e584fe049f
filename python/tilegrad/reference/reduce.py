"""Reductions. `dim` is None (all), a number or a tuple of numbers."""

import math

import numpy as np


def _axis(dim):
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def sum(x, dim=None, keepdim=False):
    """The exact sum, rounded once (math.fsum), so that it can judge any order of summation."""
    if np.asarray(x).dtype.kind != "f":
        return np.sum(x, axis=_axis(dim), keepdims=keepdim, dtype=np.int64)
    x = np.asarray(x, dtype=np.float64)
    if dim is None or dim == ():
        axes = tuple(range(x.ndim))
    else:
        axes = tuple(d % x.ndim for d in np.atleast_1d(dim)) if x.ndim else ()
    kept = [d for d in range(x.ndim) if d not in axes]
    rows = x.transpose(*kept, *axes).reshape([x.shape[d] for d in kept] + [-1 if x.size else 0])
    total = np.apply_along_axis(_fsum, -1, rows) if rows.size else np.zeros([x.shape[d] for d in kept])
    return np.expand_dims(total, axes) if keepdim else np.asarray(total)


def _fsum(row):
    return math.fsum(row) if np.all(np.isfinite(row)) else np.sum(row)


def mean(x, dim=None, keepdim=False):
    total = sum(x, dim, keepdim)
    count = np.asarray(x).size / total.size if total.size else 1
    return total / count if np.asarray(x).size else total * np.nan


def prod(x, dim=None, keepdim=False):
    return np.prod(x, axis=_axis(dim), keepdims=keepdim, dtype=np.float64 if x.dtype.kind == "f" else np.int64)


def max(x, dim=None, keepdim=False):
    """The largest value; with `dim` also where it stands first."""
    if dim is None:
        return np.max(x)
    return np.max(x, axis=dim, keepdims=keepdim), argmax(x, dim, keepdim)


def min(x, dim=None, keepdim=False):
    if dim is None:
        return np.min(x)
    return np.min(x, axis=dim, keepdims=keepdim), argmin(x, dim, keepdim)


def amax(x, dim=(), keepdim=False):
    return np.max(x, axis=_axis(dim) if dim != () else None, keepdims=keepdim)


def amin(x, dim=(), keepdim=False):
    return np.min(x, axis=_axis(dim) if dim != () else None, keepdims=keepdim)


def argmax(x, dim=None, keepdim=False):
    return np.argmax(x, axis=dim, keepdims=keepdim)  # the first of equals; NaN counts as the largest


def argmin(x, dim=None, keepdim=False):
    return np.argmin(x, axis=dim, keepdims=keepdim)


def var(x, dim=None, correction=1, keepdim=False):
    center = x - mean(x, dim, keepdim=True)
    total = sum(center * center, dim, keepdim)
    count = x.size / total.size if total.size else 0
    return total / np.maximum(count - correction, 0)


def std(x, dim=None, correction=1, keepdim=False):
    return np.sqrt(var(x, dim, correction, keepdim))


def any(x, dim=None, keepdim=False):
    return np.any(x != 0, axis=_axis(dim), keepdims=keepdim)


def all(x, dim=None, keepdim=False):
    return np.all(x != 0, axis=_axis(dim), keepdims=keepdim)


def logsumexp(x, dim, keepdim=False):
    peak = np.max(x, axis=_axis(dim), keepdims=True) if x.size else np.zeros(())
    peak = np.where(np.isfinite(peak), peak, 0)
    total = np.sum(np.exp(x - peak), axis=_axis(dim), keepdims=True)
    y = np.log(total) + peak
    return y if keepdim else np.squeeze(y, axis=_axis(dim))


def norm(x, p="fro", dim=None, keepdim=False):
    magnitude = np.abs(x)
    axis = _axis(dim)
    if p == float("inf"):
        return np.max(magnitude, axis=axis, keepdims=keepdim)
    if p == 0:
        return np.sum(magnitude != 0, axis=axis, keepdims=keepdim).astype(np.float64)
    if p in ("fro", 2):
        return np.sqrt(np.sum(magnitude**2, axis=axis, keepdims=keepdim))
    return np.sum(magnitude**p, axis=axis, keepdims=keepdim) ** (1 / p)
