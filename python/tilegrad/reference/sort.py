"""Order: NaN counts as the largest number, equal elements keep their order."""

import numpy as np


def argsort(x, dim=-1, descending=False):
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # descending and stable: the ascending order of the reversed rows, read backwards
    flipped = np.flip(x, dim)
    return np.flip(x.shape[dim] - 1 - np.argsort(flipped, axis=dim, kind="stable"), dim)


def sort(x, dim=-1, descending=False):
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    order = argsort(x, dim, descending)
    return np.take_along_axis(x, order, dim), order


def topk(x, k, dim=-1, largest=True):
    values, indices = sort(x, dim, largest)
    if x.ndim == 0:
        return values, indices
    return np.take(values, range(k), dim), np.take(indices, range(k), dim)


def kthvalue(x, k, dim=-1):
    values, indices = sort(x, dim)
    return np.take(values, k - 1, dim), np.take(indices, k - 1, dim)


def median(x):
    """The lower middle of all elements; NaN wins."""
    return np.where(np.any(np.isnan(x)), np.nan, np.sort(x, axis=None)[(x.size - 1) // 2])


def median_along(x, dim):
    values, indices = sort(x, dim)
    middle = np.full([1 if d == dim % x.ndim else n for d, n in enumerate(x.shape)], (x.shape[dim] - 1) // 2)
    first_nan = np.argmax(np.isnan(values), axis=dim, keepdims=True)
    place = np.where(np.isnan(values).any(axis=dim, keepdims=True), first_nan, middle)
    return tuple(np.take_along_axis(v, place, dim).squeeze(dim) for v in (values, indices))


def nanmedian(x):
    present = np.sort(x[~np.isnan(x)])
    return np.asarray(present[(present.size - 1) // 2] if present.size else np.nan)


def mode(x, dim=-1):
    def one(row):
        values, counts = np.unique(row, return_counts=True)
        best = values[np.argmax(counts)]
        return best, np.flatnonzero(row == best)[-1]

    rows = np.moveaxis(x, dim, -1)
    found = [one(row) for row in rows.reshape(-1, rows.shape[-1])]
    return tuple(np.array(v).reshape(rows.shape[:-1]) for v in zip(*found, strict=True))


def quantile(x, q, dim=None, interpolation="linear"):
    return np.quantile(x, q, axis=dim, method=interpolation)


def nanquantile(x, q, dim=None):
    return np.nanquantile(x, q, axis=dim)


def searchsorted(rows, values, right=False):
    side = "right" if right else "left"
    if rows.ndim == 1:
        return np.searchsorted(rows, values, side).astype(np.int64)
    flat = [
        np.searchsorted(r, v, side)
        for r, v in zip(rows.reshape(-1, rows.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True)
    ]
    return np.array(flat, dtype=np.int64).reshape(values.shape)


def unique(x):
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return values, inverse.reshape(x.shape), counts


def unique_slices(x, dim):
    values, inverse, counts = np.unique(x, axis=dim, return_inverse=True, return_counts=True)
    return values, inverse.reshape(-1), counts


def unique_consecutive(x):
    flat = x.reshape(-1)
    first = np.concatenate([[True], flat[1:] != flat[:-1]]) if flat.size else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    return flat[starts], (np.cumsum(first) - 1).reshape(x.shape), np.diff(np.append(starts, flat.size))
