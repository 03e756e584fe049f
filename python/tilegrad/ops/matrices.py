"""Matrices made and turned: triangles, diagonals, quarter turns, powers."""

from __future__ import annotations

from .. import _core
from .arguments import need_tensor
from .elementwise import cast, where
from .index import flip
from .shape import cat, movedim, reshape_op, transpose, unsqueeze


def tril_indices(row, col, offset=0, *, dtype=None, device=None):
    """The places of the lower triangle of a (row, col) matrix: (2, count)."""
    return _triangle_places(row, col, lambda i, j: j - i <= offset, dtype)


def triu_indices(row, col, offset=0, *, dtype=None, device=None):
    """The places of the upper triangle of a (row, col) matrix: (2, count)."""
    return _triangle_places(row, col, lambda i, j: j - i >= offset, dtype)


def _triangle_places(rows, columns, inside, dtype):
    from .creation import arange

    found = _core.nonzero(inside(unsqueeze(arange(rows), 1), arange(columns))).t().contiguous()
    return found if dtype is None else cast(found, dtype)


def rot90(x, k=1, dims=(0, 1)):
    """x turned by k quarter turns in the plane of two dims, from the first towards the second; a copy."""
    need_tensor("rot90", "x", x)
    if len(dims) != 2 or dims[0] % x.ndim == dims[1] % x.ndim:
        raise RuntimeError(f"rot90: expected two different rotation dims, got {dims}")
    k %= 4
    if k == 0:
        return x.clone()
    if k == 2:
        return flip(x, dims)
    turned = transpose(x, *dims)
    return flip(turned, dims[0] if k == 1 else dims[1])


def fliplr(x):
    """x with dim 1 reversed."""
    need_tensor("fliplr", "x", x)
    if x.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(x, 1)


def flipud(x):
    """x with dim 0 reversed."""
    need_tensor("flipud", "x", x)
    if x.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(x, 0)


def adjoint(x):
    """The matrices transposed (there are no complex tensors)."""
    return transpose(x, -2, -1)


def ravel(x):
    """x as a vector."""
    return reshape_op(x, (-1,))


def diag_embed(x, offset=0, dim1=-2, dim2=-1):
    """Matrices, in dims dim1 and dim2 of the result, with the last dim of x on a diagonal and zeros elsewhere."""
    need_tensor("diag_embed", "x", x)
    from .creation import arange

    n = x.shape[-1] + abs(offset)
    rows, columns = unsqueeze(arange(n), 1), arange(n)
    zeros = x.new_zeros((*x.shape[:-1], abs(offset)))
    along = cat([x, zeros], -1) if offset >= 0 else cat([zeros, x], -1)
    return movedim(where(columns - rows == offset, unsqueeze(along, -1), x.new_zeros(())), (-2, -1), (dim1, dim2))


def diagflat(x, offset=0):
    """A matrix with the elements of x on a diagonal."""
    return diag_embed(reshape_op(x, (-1,)), offset)


def vander(x, N=None, increasing=False):
    """The Vandermonde matrix of a vector (..., n): its powers as columns (..., n, N), falling unless `increasing`."""
    need_tensor("vander", "x", x)
    from .creation import arange

    n = x.shape[-1] if N is None else N
    powers = unsqueeze(x, -1) ** arange(n)
    return powers if increasing else flip(powers, -1)
