"""More ways to pick, place and rearrange elements."""

import numpy as np


def take(x, index):
    return np.take(x, index)


def put(x, index, source, accumulate=False):
    y = x.copy().reshape(-1)
    if accumulate:
        np.add.at(y, index.reshape(-1), source.reshape(-1))
    else:
        y[index.reshape(-1)] = source.reshape(-1)
    return y.reshape(x.shape)


def index_put(x, indices, values, accumulate=False):
    y = x.copy()
    if accumulate:
        np.add.at(y, tuple(indices), values)
    else:
        y[tuple(indices)] = values
    return y


def index_fill(x, dim, index, value):
    y = x.copy()
    np.moveaxis(y, dim, 0)[index] = value
    return y


def index_copy(x, dim, index, source):
    y = x.copy()
    np.moveaxis(y, dim, 0)[index] = np.moveaxis(source, dim, 0)
    return y


def masked_scatter(x, mask, source):
    mask, y = np.broadcast_to(mask, x.shape), x.copy()
    y[mask] = source.reshape(-1)[: int(mask.sum())]
    return y


def repeat_interleave(x, repeats, dim=None):
    return np.repeat(x, repeats, axis=dim)


def block_diag(*blocks):
    blocks = [np.atleast_2d(b) for b in blocks]
    out = np.zeros([sum(b.shape[d] for b in blocks) for d in (0, 1)])
    i = j = 0
    for b in blocks:
        out[i : i + b.shape[0], j : j + b.shape[1]] = b
        i, j = i + b.shape[0], j + b.shape[1]
    return out


def diag_embed(x):
    return x[..., None] * np.eye(x.shape[-1])


def rot90(x, k=1, dims=(0, 1)):
    return np.rot90(x, k, dims)


def cartesian_prod(*vectors):
    return np.stack([g.reshape(-1) for g in np.meshgrid(*vectors, indexing="ij")], 1)
