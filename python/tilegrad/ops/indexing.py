"""Elements by number or by mask, read and replaced, made of the ops of ``ops.index``."""

from __future__ import annotations

from .. import _core
from .arguments import need_tensor, need_tensors
from .elementwise import copy_, masked_fill, where
from .index import _dim, _long, gather, index_add_op, index_copy_, index_select_op, setitem
from .shape import broadcast_to, reshape_op


def take(x, index):
    """The elements of the flattened x at the given positions, in the shape of the index."""
    index = _long(index)
    return reshape_op(index_select_op(reshape_op(x, (-1,)), 0, reshape_op(index, (-1,))), index.shape)


def take_along_dim(x, indices, dim=None):
    """gather after broadcasting the other dims; on the flattened tensors if dim is None: takes what argmax and argsort give."""
    if dim is None:
        return gather(reshape_op(x, (-1,)), 0, reshape_op(indices, (-1,)))
    if indices.ndim != x.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {x.ndim} "
            f"dimensions for input, and {indices.ndim} dimensions for indices"
        )
    at = _dim("take_along_dim", dim, x)
    sizes = enumerate(zip(x.shape, indices.shape, strict=True))
    shape = [0 if d == at else _wider(a, b) for d, (a, b) in sizes]
    x_shape = tuple(n if d == at else shape[d] for d, n in enumerate(x.shape))
    index_shape = tuple(n if d == at else shape[d] for d, n in enumerate(indices.shape))
    return gather(broadcast_to(x, x_shape), at, broadcast_to(indices, index_shape))


def _wider(a, b):
    if a != b and 1 not in (a, b):
        raise RuntimeError(f"take_along_dim: sizes {a} and {b} do not broadcast")
    return b if a == 1 else a


def put(x, index, source, accumulate=False):
    """x with source written (or added) at positions of the flattened tensor."""
    need_tensor("put", "x", x)
    return put_(x.clone(), index, source, accumulate)


def put_(x, index, source, accumulate=False):
    """`put` in place."""
    index = reshape_op(_long(index), (-1,))
    values = reshape_op(source, (-1,))
    if values.numel() != index.numel():
        raise RuntimeError(
            f"put_(): expected source and index to have the same number of elements, got {values.numel()} and {index.numel()}"
        )
    flat = reshape_op(x, (-1,))
    if accumulate:
        return copy_(x, reshape_op(flat + index_add_op(values, 0, index, flat.numel()), x.shape))
    flat = flat.clone()
    index_copy_(flat, 0, index, values)
    return copy_(x, reshape_op(flat, x.shape))


def index_put(x, indices, values, accumulate=False):
    """x with values written (or added, equal places in order) at ``x[indices]``; indices is a tuple of tensors."""
    need_tensor("index_put", "x", x)
    return index_put_(x.clone(), indices, values, accumulate)


def index_put_(x, indices, values, accumulate=False):
    """`index_put` in place."""
    key = tuple(slice(None) if i is None else i for i in indices)
    if not accumulate:
        setitem(x, key, values)
        return x
    from .creation import arange
    from .index import getitem

    places = getitem(reshape_op(arange(x.numel()), x.shape), key)
    values = values if isinstance(values, _core.TensorBase) else _core.full((), values, x.dtype)
    spread = reshape_op(broadcast_to(values, places.shape), (-1,))
    return copy_(x, x + reshape_op(index_add_op(spread, 0, reshape_op(places, (-1,)), x.numel()), x.shape))


def index_copy(x, dim, index, source):
    """x with source's slices written at the given positions along a dim."""
    need_tensor("index_copy", "x", x)
    out = x.clone()
    index_copy_(out, _dim("index_copy", dim, x), _long(index), source)
    return out


def index_fill(x, dim, index, value):
    """x with one value in the slices at the given positions along a dim."""
    at = _dim("index_fill", dim, x)
    index = _long(index)
    chosen = _core.full((x.shape[at],), 0, index.dtype)
    _core.index_copy_(chosen, 0, index, _core.full(index.shape, 1, index.dtype))
    mask = reshape_op(chosen != 0, (-1,) + (1,) * (x.ndim - 1 - at))
    return masked_fill(x, broadcast_to(mask, x.shape), value)


def masked_scatter(x, mask, source):
    """x with the elements of source, in order, where the mask (broadcast) holds."""
    need_tensors("masked_scatter", x=x, mask=mask)
    from .scan import cumsum

    shape = (_core.full(x.shape, 0, mask.dtype) | mask).shape
    mask, x = broadcast_to(mask, shape), broadcast_to(x, shape)
    flat = reshape_op(mask, (-1,))
    wanted = int(flat.sum())
    if wanted > source.numel():
        raise RuntimeError(f"masked_scatter: expected at least {wanted} source elements, got {source.numel()}")
    if not wanted:
        return x.clone()
    order = (cumsum(flat, 0) - 1).clamp(min=0)
    return where(mask, reshape_op(index_select_op(reshape_op(source, (-1,)), 0, order), shape), x)


def masked_scatter_(x, mask, source):
    """`masked_scatter` in place."""
    return copy_(x, masked_scatter(x, mask, source))


def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """True where an element is one of test_elements: a binary search in the sorted test elements."""
    from .sort import searchsorted, sort

    elements, tests = (
        v if isinstance(v, _core.TensorBase) else _core.full((), v, o.dtype)
        for v, o in ((elements, test_elements), (test_elements, elements))
    )
    tests = sort(tests.detach().reshape(-1)).values
    if tests.numel() == 0:
        found = elements != elements
    else:
        place = searchsorted(tests, elements.detach()).clamp(max=tests.numel() - 1)
        found = take(tests, place) == elements
    return ~found if invert else found


def argwhere(x):
    """The places of the elements that are not zero, (count, ndim)."""
    return _core.nonzero(x)


def unravel_index(indices, shape):
    """The coordinates of positions in a flattened tensor of the given shape: one tensor per dim."""
    out, rest = [], _long(indices)
    for size in reversed((shape,) if isinstance(shape, int) else tuple(shape)):
        out.append(rest % size)
        rest = rest // size
    return tuple(reversed(out))


# --- one part of a tensor replaced, as an op without side effects
def select_scatter(x, src, dim, index):
    """x with src in place of the slice at a position along a dim."""
    need_tensor("select_scatter", "x", x)
    out = x.clone()
    out[(slice(None),) * _dim("select_scatter", dim, x) + (index,)] = src
    return out


def slice_scatter(x, src, dim=0, start=None, end=None, step=1):
    """x with src in place of a slice along a dim."""
    need_tensor("slice_scatter", "x", x)
    out = x.clone()
    out[(slice(None),) * _dim("slice_scatter", dim, x) + (slice(start, end, step),)] = src
    return out


def diagonal_scatter(x, src, offset=0, dim1=0, dim2=1):
    """x with src on a diagonal."""
    need_tensor("diagonal_scatter", "x", x)
    from .shape import diagonal

    out = x.clone()
    copy_(diagonal(out, offset, dim1, dim2), src)
    return out
