"""Indexing: NumPy indexes as PyTorch does, for ints, slices (positive steps), None, Ellipsis, masks and index arrays."""

import numpy as np


def getitem(x, index):
    return x[index]


def setitem(x, index, value):
    """x with x[index] replaced, x itself untouched."""
    y = x.copy()
    y[index] = value
    return y


def index_select(x, dim, index):
    return np.take(x, index, axis=dim)


def index_add(x, dim, index, source, alpha=1):
    y = x.copy()
    np.add.at(np.moveaxis(y, dim, 0), index, alpha * np.moveaxis(np.asarray(source), dim, 0))
    return y


def gather(x, dim, index):
    return np.take_along_axis(_leading(x, index.shape, dim), index, axis=dim)


def scatter_add(x, dim, index, source):
    y = x.copy()
    places = list(np.indices(index.shape))
    picked = tuple(places)
    places[dim] = index
    np.add.at(y, tuple(places), source[picked])
    return y


def _leading(x, shape, dim):
    """x cut to `shape` in every dim but `dim`."""
    return x[tuple(slice(None) if d == dim % x.ndim else slice(0, n) for d, n in enumerate(shape))]


def nonzero(x):
    return np.argwhere(x)


def masked_select(x, mask):
    x, mask = np.broadcast_arrays(x, mask)
    return x[mask]
