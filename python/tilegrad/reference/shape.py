"""Shape ops: NumPy's own functions under PyTorch's names."""

import numpy as np


def reshape(x, shape):
    return np.reshape(x, shape)


def permute(x, dims):
    return np.transpose(x, dims)


def transpose(x, dim0, dim1):
    return np.swapaxes(x, dim0, dim1)


def squeeze(x, dim=None):
    if dim is None:
        return np.squeeze(x)
    dims = dim if isinstance(dim, tuple) else (dim,)
    return np.squeeze(x, axis=tuple(d for d in dims if x.ndim and x.shape[d] == 1))


def unsqueeze(x, dim):
    return np.expand_dims(x, dim)


def expand(x, shape):
    padded = (1,) * (len(shape) - x.ndim) + x.shape
    return np.broadcast_to(x, tuple(n if s == -1 else s for s, n in zip(shape, padded, strict=True)))


def flatten(x, start_dim=0, end_dim=-1):
    if x.ndim == 0:
        return x.reshape(1)
    start, end = start_dim % x.ndim, end_dim % x.ndim
    joined = int(np.prod(x.shape[start : end + 1]))
    return x.reshape((*x.shape[:start], joined, *x.shape[end + 1 :]))


def movedim(x, source, destination):
    return np.moveaxis(x, source, destination)


def flip(x, dims):
    return np.flip(x, dims)


def narrow(x, dim, start, length):
    return np.take(x, range(start, start + length), axis=dim)


def select(x, dim, index):
    return np.take(x, index, axis=dim)


def split(x, size, dim=0):
    """Pieces of `size` (the last one shorter), or of the sizes in a list."""
    n = x.shape[dim]
    sizes = [min(size, n - i) for i in range(0, n, size)] or [0] if isinstance(size, int) else size
    return np.split(x, np.cumsum(sizes)[:-1], axis=dim)


def chunk(x, chunks, dim=0):
    return split(x, -(-x.shape[dim] // chunks), dim)


def cat(arrays, dim=0):
    return np.concatenate(arrays, axis=dim)


def stack(arrays, dim=0):
    return np.stack(arrays, axis=dim)


def unbind(x, dim=0):
    return list(np.moveaxis(x, dim, 0))


def repeat(x, repeats):
    return np.tile(x, repeats)


def tril(x, diagonal=0):
    return np.tril(x, diagonal)


def triu(x, diagonal=0):
    return np.triu(x, diagonal)


def diagonal(x, offset=0, dim1=0, dim2=1):
    return np.diagonal(x, offset, dim1, dim2)
