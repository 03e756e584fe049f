"""Running sums and their relatives along one dim."""

import numpy as np


def cumsum(x, dim):
    return np.cumsum(x, axis=dim, dtype=np.float64 if x.dtype.kind == "f" else np.int64).reshape(x.shape)


def cumprod(x, dim):
    return np.cumprod(x, axis=dim, dtype=np.float64 if x.dtype.kind == "f" else np.int64).reshape(x.shape)


def _running(x, dim, better):
    """(values, indices) of the best so far; of equals the last, NaN from its place on."""
    rows = np.moveaxis(x, dim, 0) if x.ndim else x.reshape(1)
    values, indices = rows.copy(), np.zeros(rows.shape, np.int64)
    for i in range(1, len(rows)):
        new = np.isnan(rows[i]) | (~np.isnan(values[i - 1]) & better(rows[i], values[i - 1]))
        values[i] = np.where(new, rows[i], values[i - 1])
        indices[i] = np.where(new, i, indices[i - 1])
    if not x.ndim:
        return values[0], indices[0]
    return np.moveaxis(values, 0, dim), np.moveaxis(indices, 0, dim)


def cummax(x, dim):
    return _running(x, dim, np.greater_equal)


def cummin(x, dim):
    return _running(x, dim, np.less_equal)


def logcumsumexp(x, dim):
    return np.logaddexp.accumulate(x, axis=dim) if x.ndim else x


def diff(x, n=1, dim=-1):
    return np.diff(x, n, axis=dim)
