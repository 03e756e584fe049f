"""Indexing as PyTorch does it: like NumPy's, but an int beside index arrays is a selection that happens first, so that it
never counts as an index array when NumPy decides where the indexed dims go: x[0, :, [1, 2]] is x[0][:, [1, 2]]."""

import numpy as np


def _select(x, index):
    """(x with the ints of `index` applied, the rest of `index`); a view of x."""
    index = index if isinstance(index, tuple) else (index,)
    others = x.ndim - sum(_dims(i) for i in index)
    selection, rest = [], []
    for i in index:
        if isinstance(i, int) and not isinstance(i, bool):
            selection.append(i)
        else:
            selection += [slice(None)] * (others if i is Ellipsis else _dims(i))
            rest.append(i)
    key = (*selection, Ellipsis)
    return x[key], tuple(rest)


def _dims(i):
    """How many dims of the tensor an entry of an index stands for."""
    if i is None or i is Ellipsis:
        return 0
    return i.ndim if isinstance(i, np.ndarray) and i.dtype == bool else 1


def getitem(x, index):
    selected, rest = _select(x, index)
    return selected[rest]


def setitem(x, index, value):
    """x with x[index] replaced, x itself untouched."""
    y = x.copy()
    selected, rest = _select(y, index)
    selected[rest] = value
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


def scatter(x, dim, index, source):
    y = np.array(x)
    for place in np.ndindex(*index.shape):
        target = list(place)
        if x.ndim:
            target[dim] = index[place]
        y[tuple(target)] = source[place]
    return y


def scatter_reduce(x, dim, index, source, reduce, include_self=True):
    groups = {place: [x[place]] if include_self else [] for place in np.ndindex(*x.shape)}
    for place in np.ndindex(*index.shape):
        target = list(place)
        target[dim] = int(index[place])
        groups[tuple(target)].append(source[place])
    combine = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}[reduce]
    y = x.copy()
    for place, values in groups.items():
        if values:
            y[place] = combine(values)
    return y


def _leading(x, shape, dim):
    """x cut to `shape` in every dim but `dim`."""
    return x[tuple(slice(None) if d == dim % x.ndim else slice(0, n) for d, n in enumerate(shape))]


def nonzero(x):
    return np.argwhere(x)


def masked_select(x, mask):
    x, mask = np.broadcast_arrays(x, mask)
    return x[mask]
