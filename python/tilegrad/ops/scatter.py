"""scatter: the reverse of gather. Elements are written, added or combined where an index points along one dim."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor
from .elementwise import cast, copy_, where
from .index import ADD, MAXIMUM, MINIMUM, MULTIPLY, WRITE, _long, gather_op, index_scatter
from .index import index as basic_index


def _scatter_dx(dy, dim, index, operation):
    return dy if operation == ADD else scatter_op(dy, dim, index, _core.full(index.shape, 0, dy.dtype), WRITE)


def _scatter_dsrc(dy, dim, index, src_shape):
    picked = gather_op(dy, dim, index)
    if picked.shape == src_shape:
        return picked
    return index_scatter(picked, src_shape, tuple(slice(0, size) for size in picked.shape))


# rules for writing and adding; the other operations are put together in scatter_reduce
scatter_op = op(_core.scatter).backward(x=_scatter_dx, src=_scatter_dsrc)
scatter_op_ = scatter_op.in_place(_core.scatter_, name="scatter_")


def _source(name, x, index, src, value):
    src = value if src is None else src
    if src is None:
        raise TypeError(f"{name}: missing the source: give src (a tensor) or value (a number)")
    if not isinstance(src, _core.TensorBase) or (src.ndim == 0 and index.ndim):
        fill = src.item() if isinstance(src, _core.TensorBase) else src
        return _core.full(index.shape, fill, x.dtype)
    if src.dtype is not x.dtype:
        raise RuntimeError(f"{name}: expected src to have the dtype of the tensor, {x.dtype}, got {src.dtype}")
    return src


_REDUCTIONS = {None: WRITE, "add": ADD, "multiply": MULTIPLY}


def _scatter_reduction(reduce):
    if reduce not in _REDUCTIONS:
        raise RuntimeError(f"scatter: reduce must be None, 'add' or 'multiply', got {reduce!r}")
    return _REDUCTIONS[reduce]


def scatter_add(x, dim, index, src):
    """x with src added where the index points: out[index[i][j]][j] += src[i][j] for dim 0. Adds in order (deterministic)."""
    need_tensor("scatter_add", "x", x)
    index = _long(index)
    return scatter_op(x, dim, index, _source("scatter_add", x, index, src, None), ADD)


def scatter_add_(x, dim, index, src):
    """`scatter_add` in place."""
    index = _long(index)
    return scatter_op_(x, dim, index, _source("scatter_add_", x, index, src, None), ADD)


def scatter(x, dim, index, src=None, *, value=None, reduce=None):
    """x with src (a tensor, or one number) written where the index points; of equal places the last one stays. reduce "add" or
    "multiply" combines instead."""
    index, operation = _long(index), _scatter_reduction(reduce)
    src = _source("scatter", x, index, src, value)
    if operation == MULTIPLY:
        return scatter_reduce(x, dim, index, src, "prod")
    return scatter_op(x, dim, index, src, operation)


def scatter_(x, dim, index, src=None, *, value=None, reduce=None):
    """`scatter` in place."""
    index, operation = _long(index), _scatter_reduction(reduce)
    src = _source("scatter_", x, index, src, value)
    if operation == MULTIPLY:
        return copy_(x, scatter_reduce(x, dim, index, src, "prod"))
    return scatter_op_(x, dim, index, src, operation)


_KINDS = {"sum": ADD, "mean": ADD, "prod": MULTIPLY, "amax": MAXIMUM, "amin": MINIMUM}


def scatter_reduce(x, dim, index, src, reduce, *, include_self=True):
    """x with src combined where the index points by reduce: sum, prod, mean, amax or amin. With include_self=False the
    elements that the index reaches start from src alone.

    Raises:
        RuntimeError: an unknown reduce, shapes that do not fit. IndexError: a number outside the dim.
    """
    if reduce not in _KINDS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    index = _long(index)
    src = _source("scatter_reduce", x, index, src, None)
    kind = _KINDS[reduce]
    ones = _core.full(index.shape, 1, x.dtype)
    reached = _core.scatter(_core.full(x.shape, 0, x.dtype), dim, index, ones, ADD)  # how often
    start = x
    if not include_self:
        identity = {ADD: 0, MULTIPLY: 1}.get(kind)
        if identity is None:
            identity = _extreme_of(x.dtype, lowest=kind == MAXIMUM)
        start = where(reached > 0, identity, x)
    if kind == ADD:
        total = scatter_op(start, dim, index, src, ADD)
        if reduce == "sum":
            return total
        count = reached + 1 if include_self else where(reached > 0, reached, 1)
        if x.dtype.is_floating_point:
            return total / count
        return total // count
    window = tuple(slice(0, size) for size in index.shape)
    used = src if src.shape == index.shape else basic_index(src, window)
    if kind == MULTIPLY:
        return _scatter_prod(start, dim, index, used)
    out = _core.scatter(start, dim, index, used, kind)
    if not x.dtype.is_floating_point:
        return out
    # equal elements share the gradient, as in PyTorch: the result is their mean
    own = cast(start.detach() == out, x.dtype)
    theirs = cast(used.detach() == _core.gather(out, dim, index), x.dtype)
    count = _core.add(own, _core.scatter(_core.full(x.shape, 0, x.dtype), dim, index, theirs, ADD))
    return _shared(out, start, used, dim, index, own, theirs, count)


_shared = op(lambda out, start, used, dim, index, own, theirs, count: _core.clone(out), name="scatter_reduce")
_shared.backward(
    start=lambda dy, own, count: dy * own / count,
    used=lambda dy, dim, index, theirs, count: theirs * gather_op(dy / count, dim, index),
)


def _extreme_of(dtype, lowest):
    from ..dtypes import iinfo

    if dtype.is_floating_point:
        return float("-inf") if lowest else float("inf")
    if dtype.name == "bool":
        return not lowest
    return iinfo(dtype).min if lowest else iinfo(dtype).max


_scatter_prod = op(lambda x, dim, index, src: _core.scatter(x, dim, index, src, MULTIPLY), name="scatter_prod")


@_scatter_prod.backward
def _(dy, x, dim, index, src, out, needs):
    """Each factor's share: the product of the others. Without zeros that is out / factor."""
    zeros = _core.scatter(_core.cast(x == 0, x.dtype), dim, index, _core.cast(src == 0, x.dtype), ADD)
    safe_x, safe_src = where(x == 0, 1.0, x), where(src == 0, 1.0, src)
    others = _scatter_prod(safe_x, dim, index, safe_src)  # the product of what is not zero
    dx = where(x == 0, where(zeros == 1, others, 0.0), where(zeros == 0, others / safe_x, 0.0)) * dy
    at = gather_op(others * dy, dim, index)
    here = _core.gather(zeros, dim, index)
    dsrc = where(src == 0, where(here == 1, at, 0.0), where(here == 0, at / safe_src, 0.0))
    return dx if needs[0] else None, None, None, dsrc if needs[3] else None


def scatter_reduce_(x, dim, index, src, reduce, *, include_self=True):
    """`scatter_reduce` in place."""
    return copy_(x, scatter_reduce(x, dim, index, src, reduce, include_self=include_self))
