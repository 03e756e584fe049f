"""Order: sorting, the best k, binary search, and what is made of them. NaN counts as the largest number."""

from __future__ import annotations

from typing import NamedTuple

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor
from .elementwise import cast, isnan, where
from .index import _dim, gather, gather_backward, index_select, narrow
from .reduce import ValuesIndices

_sort = op(_core.sort)
_sort.backward(x=lambda dy, x_shape, dim, out1: gather_backward(dy, dim, out1, x_shape))
_topk = op(_core.topk)
_topk.backward(x=lambda dy, x_shape, dim, out1: gather_backward(dy, dim, out1, x_shape))

# the element at a place of the sorted order (kind 0), the median (1), the median of what is not NaN (2), and where it is
_select_rank = op(_core.select_rank)
_select_rank.backward(x=lambda dy, x_shape, dim, out1: gather_backward(dy, dim, out1, x_shape))
_RANKED, _MEDIAN, _NANMEDIAN = range(3)


def sort(x, dim=-1, descending=False, stable=False):
    """x sorted along a dim: (values, indices). Equal values keep their order, whether `stable` asks for it or not; NaN comes
    last, first when descending (PyTorch's order)."""
    return ValuesIndices(*_sort(x, dim, bool(descending)))


def argsort(x, dim=-1, descending=False, stable=False):
    """The indices that sort x along a dim; equal values keep their order."""
    return _core.sort(x, dim, bool(descending))[1]


def msort(x):
    """x sorted along dim 0."""
    return _sort(x, 0, False)[0]


def topk(x, k, dim=-1, largest=True, sorted=True):
    """The k largest (or smallest) values along a dim, the best first: (values, indices). Of equal values the first ones are
    taken. The result is in order even if `sorted` is False.

    Raises:
        RuntimeError: k outside 0..size of the dim.
    """
    return ValuesIndices(*_topk(x, k, dim, bool(largest)))


def kthvalue(x, k, dim=-1, keepdim=False):
    """The k-th smallest value along a dim (k counts from 1): (values, indices)."""
    need_tensor("kthvalue", "x", x)
    size = x.shape[_dim("kthvalue", dim, x)] if x.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}: k {k}, size {size}")
    return _selected(x, dim, k - 1, _RANKED, keepdim)


def _selected(x, dim, rank, kind, keepdim):
    values, indices = _select_rank(x, dim, rank, kind)
    return ValuesIndices(values, indices) if keepdim or not x.ndim else ValuesIndices(values.squeeze(dim), indices.squeeze(dim))


def _middle(name, x, dim, keepdim, skip_nan):
    flat = dim is None
    if flat:
        x, dim = x.reshape(-1), 0
    size = x.shape[_dim(name, dim, x)] if x.ndim else 1
    if size == 0:
        if flat and x.dtype.is_floating_point:
            return _core.full((), float("nan"), x.dtype)
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    result = _selected(x, dim, 0, _NANMEDIAN if skip_nan else _MEDIAN, keepdim)
    return result.values if flat else result


def median(x, dim=None, keepdim=False):
    """The middle value, the lower of two middle ones: of all elements, or (values, indices) along a dim. NaN wins."""
    need_tensor("median", "x", x)
    return _middle("median", x, dim, keepdim, skip_nan=False)


def nanmedian(x, dim=None, keepdim=False):
    """`median` of the values that are not NaN."""
    need_tensor("nanmedian", "x", x)
    return _middle("nanmedian", x, dim, keepdim, skip_nan=True)


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name, x, q, dim, keepdim, interpolation, skip_nan):
    from .creation import tensor

    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(f"{name}() interpolation must be one of {', '.join(_INTERPOLATIONS)}, but got {interpolation}")
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype, got {x.dtype}")
    if not isinstance(q, _core.TensorBase):
        q = tensor(q, dtype=x.dtype)
    if q.dtype is not x.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor, got {q.dtype} and {x.dtype}")
    if q.ndim > 1 or not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor of values in the range [0, 1]")
    kept = tuple(1 if dim is None or d == dim % x.ndim else n for d, n in enumerate(x.shape))
    rows = x.reshape(-1) if dim is None else x.movedim(dim, -1) if x.ndim else x.reshape(1)
    size = rows.shape[-1]
    if size == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    values, _ = sort(rows, -1)  # (..., size)
    missing = isnan(rows.detach()).sum(-1, keepdim=True)
    last = cast(size - 1 - missing, x.dtype) if skip_nan else float(size - 1)
    rank = q.detach().reshape(-1) * (last.clamp(min=0) if skip_nan else last)  # (..., q)
    rank = rank.expand((*rows.shape[:-1], q.numel()))
    if interpolation in ("lower", "higher", "nearest"):
        place = {"lower": rank.floor, "higher": rank.ceil, "nearest": rank.round}[interpolation]()
        result = gather(values, -1, place.long())
    else:
        low, high = gather(values, -1, rank.floor().long()), gather(values, -1, rank.ceil().long())
        weight = 0.5 if interpolation == "midpoint" else rank - rank.floor()
        result = where(low == high, low, low + (high - low) * weight)
    if not skip_nan:
        result = where(missing > 0, float("nan"), result)
    result = result.movedim(-1, 0)  # (q, ...)
    shape = result.shape[1:] if not keepdim else kept
    return result.reshape((q.numel(), *shape) if q.ndim else shape)


def quantile(x, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The q-quantiles (0..1; a number or a vector, whose dim comes first) of all elements or along a dim. NaN wins."""
    need_tensor("quantile", "x", x)
    return _quantile("quantile", x, q, dim, keepdim, interpolation, skip_nan=False)


def nanquantile(x, q, dim=None, keepdim=False, *, interpolation="linear"):
    """`quantile` of the values that are not NaN."""
    need_tensor("nanquantile", "x", x)
    return _quantile("nanquantile", x, q, dim, keepdim, interpolation, skip_nan=True)


def mode(x, dim=-1, keepdim=False):
    """The value that occurs most often along a dim, the smallest of equals: (values, indices), the index of its last place."""
    need_tensor("mode", "x", x)
    from .creation import arange
    from .scan import cummax, cumsum

    if not x.ndim:
        return ValuesIndices(x, _core.full((), 0, _int64()))
    at = _dim("mode", dim, x)
    values, indices = sort(x, at)
    plain, size = values.detach(), x.shape[at]
    starts = cat_first(narrow(plain, at, 1, size - 1) != narrow(plain, at, 0, size - 1), at)
    place = arange(size).reshape((-1,) + (1,) * (x.ndim - 1 - at))
    begin = cummax(where(starts, place, 0), at).values
    run = place - begin  # how many equal ones came before, so its first maximum ends the first of the longest runs
    del cumsum
    picked = [gather(v, at, run.argmax(at, keepdim=True)) for v in (values, indices)]
    return ValuesIndices(*(v if keepdim else v.squeeze(at) for v in picked))


def cat_first(flags, at):
    """True put before flags along a dim."""
    from .shape import cat

    return cat([_core.full((*flags.shape[:at], 1, *flags.shape[at + 1 :]), True, flags.dtype), flags], at)


def _int64():
    from ..dtypes import int64

    return int64


# --- binary search
def searchsorted(sorted_sequence, values, *, out_int32=False, right=False, side=None, sorter=None):
    """For each value its place in the sorted sequence (the last dim; 1-d, or one row for each row of values): before equal
    elements, or after them with right=True (side="right").

    Raises:
        RuntimeError: shapes that do not fit, or `side` and `right` that contradict each other.
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted: side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("searchsorted: side and right can't be set to opposites, got side of left while right was True")
    if sorter is not None:
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    if not isinstance(values, _core.TensorBase):
        values = _core.full((), values, sorted_sequence.dtype)
    places = _core.searchsorted(sorted_sequence, values, bool(right or side == "right"))
    if out_int32:
        from ..dtypes import int32

        return cast(places, int32)
    return places


def bucketize(x, boundaries, *, out_int32=False, right=False):
    """For each element the number of its bucket between sorted boundaries: searchsorted(boundaries, x)."""
    need_tensor("bucketize", "boundaries", boundaries)
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize: boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)


# --- unique
class Unique(NamedTuple):
    """What unique gives when asked for more than the values."""

    output: object
    inverse_indices: object
    counts: object


def _result(output, inverse, counts, return_inverse, return_counts):
    picked = [output] + [inverse] * bool(return_inverse) + [counts] * bool(return_counts)
    return picked[0] if len(picked) == 1 else tuple(picked)


def _runs(changed, n, numbered=True):
    """(first places, numbers, counts) of the runs of equal neighbours; changed (n - 1): does element i + 1 begin a run?"""
    from .creation import nonzero, tensor
    from .scan import cumsum, diff

    first = cat_first(changed, 0) if n else changed
    starts = nonzero(first)[:, 0]
    return starts, cumsum(first, 0) - 1 if numbered else None, diff(starts, append=tensor([n]))


def unique(x, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different elements in ascending order, or the different slices along a dim in lexicographic order; on request the
    number of its value for each element, and how often each value occurs. The result is sorted even if `sorted` is False."""
    need_tensor("unique", "x", x)
    if dim is None:
        at = 0
        ordered, order = _core.sort(x.detach().reshape(-1), 0, False)
    else:
        at = _dim("unique", dim, x)
        order = _order_of_slices(x.detach(), at)
        ordered = index_select(x.detach(), at, order)
    n = ordered.shape[at]
    starts, numbers, counts = _runs(_changes(ordered, at), n, return_inverse)
    inverse = None
    if return_inverse:
        inverse = _core.full((n,), 0, _int64())
        _core.scatter_(inverse, 0, order, numbers, 0)
        inverse = inverse.reshape(x.shape) if dim is None else inverse
    return _result(index_select(ordered, at, starts), inverse, counts, return_inverse, return_counts)


def _order_of_slices(x, at):
    """The order of the slices along a dim: by their first element, then by the second, ... (stable sorts from the last on)."""
    from .creation import arange

    n = x.shape[at]
    rows = x.movedim(at, 0).reshape(n, x.numel() // n if n else 0)  # (n, elements)
    order = arange(n)
    for column in reversed(range(rows.shape[1])):
        order = index_select(order, 0, argsort(index_select(rows[:, column], 0, order), 0))
    return order


def _changes(x, at):
    """Does slice i + 1 differ from slice i?"""
    n = x.shape[at]
    if n == 0:
        from ..dtypes import bool as bool_

        return _core.full((0,), False, bool_)
    differs = narrow(x, at, 1, n - 1) != narrow(x, at, 0, n - 1)
    others = tuple(d for d in range(x.ndim) if d != at)
    return differs.any(others) if others else differs


def unique_consecutive(x, return_inverse=False, return_counts=False, dim=None):
    """x without the elements (slices along a dim) that equal the one before them; on request the number of its run for each
    element, and the lengths of the runs."""
    need_tensor("unique_consecutive", "x", x)
    values = x.detach().reshape(-1) if dim is None else x.detach()
    at = 0 if dim is None else _dim("unique_consecutive", dim, x)
    starts, numbers, counts = _runs(_changes(values, at), values.shape[at])
    inverse = numbers.reshape(x.shape) if dim is None else numbers
    return _result(index_select(values, at, starts), inverse, counts, return_inverse, return_counts)
