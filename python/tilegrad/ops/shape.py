"""Ops on shapes: views that share memory where they can, joins, and repetitions."""

from __future__ import annotations

import operator

from .. import _core
from ..autograd.op import op
from .arguments import need_sequence, need_tensor
from .elementwise import clone, where

# --- views
view_op = op(_core.view, view=True).backward(x=lambda dy, x_shape: reshape_op(dy, x_shape))
reshape_op = op(_core.reshape, view=True).backward(x=lambda dy, x_shape: reshape_op(dy, x_shape))
permute_op = op(_core.permute, view=True).backward(x=lambda dy, dims: permute_op(dy, _inverse(dims)))
transpose = op(_core.transpose, view=True).backward(x=lambda dy, dim0, dim1: transpose(dy, dim0, dim1))
expand_op = op(_core.expand, view=True).backward(x=lambda dy: dy)  # the engine sums what was repeated
squeeze_op = op(_core.squeeze, view=True).backward(x=lambda dy, x_shape: reshape_op(dy, x_shape))
unsqueeze = op(_core.unsqueeze, view=True).backward(x=lambda dy, x_shape: reshape_op(dy, x_shape))
contiguous_op = op(_core.contiguous).backward(x=lambda dy: dy)
sum_to = op(_core.sum_to).backward(x=lambda dy, x_shape: expand_op(dy, x_shape))

# --- what a view sees of its base (in-place changes through views; see the engine's documentation)
window_gather = op(_core.window_gather).backward(x=lambda dy, window: window_scatter(dy, window))
window_scatter = op(_core.window_scatter).backward(x=lambda dy, window: window_gather(dy, window))
window_zero = op(_core.window_zero).backward(x=lambda dy, window: window_zero(dy, window))


@op
def copy_slices(base, value, window):
    """The base after an in-place change of what a view sees of it. Recorded by the native side, never called."""
    raise RuntimeError("copy_slices is recorded by in-place ops on views")


copy_slices.backward(base=lambda dy, window: window_zero(dy, window), value=lambda dy, window: window_gather(dy, window))
_core.set_callback("window_gather", window_gather)
_core.set_callback("copy_slices", copy_slices)

_as_strided = op(
    lambda x, size, stride, storage_offset, window: _core.as_strided(x, size, stride, storage_offset),
    name="as_strided",
    view=True,
)
_as_strided.backward(x=lambda dy, window: window_scatter(dy, window))


def as_strided(x, size, stride, storage_offset=None):
    """Any geometry on x's storage; strides and offset in elements."""
    offset = x._offset if storage_offset is None else storage_offset
    return _as_strided(
        x, tuple(size), tuple(stride), offset, (x.shape, x._strides, tuple(size), tuple(stride), offset - x._offset)
    )


def _inverse(dims):
    n = len(dims)
    out = [0] * n
    for i, d in enumerate(dims):
        out[d % n] = i
    return tuple(out)


def sizes_of(sizes):
    """Sizes given as separate ints or as one tuple, list or Size."""
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        first = sizes[0]
        sizes = first if isinstance(first, (tuple, list)) else (first,)
    return tuple(map(operator.index, sizes))


def reshape(x, *shape):
    """x in another shape with the same number of elements; one size may be -1. A view where possible, else a copy."""
    return reshape_op(x, sizes_of(shape))


def view(x, *shape):
    """x's memory in another shape; RuntimeError where that needs a copy. ``view(dtype)`` is not supported."""
    return view_op(x, sizes_of(shape))


def permute(x, *dims):
    """Dims in the given order."""
    return permute_op(x, sizes_of(dims))


def expand(x, *shape):
    """Dims of size 1 repeated without copying; -1 keeps a size."""
    return expand_op(x, sizes_of(shape))


def broadcast_to(x, shape):
    """x expanded to `shape`."""
    return expand_op(x, tuple(shape))


def squeeze(x, dim=None):
    """Without the dims of size 1 (all of them, or those in `dim`)."""
    if isinstance(dim, (tuple, list)):
        for d in sorted((d % x.ndim for d in dim), reverse=True):
            x = squeeze_op(x, d)
        return x
    return squeeze_op(x, dim)


def t(x):
    """The transpose of a matrix; vectors stay."""
    need_tensor("t", "x", x)
    if x.ndim > 2:
        raise RuntimeError(f"t: expected at most 2 dims, got shape {x.shape}; use transpose(dim0, dim1)")
    return transpose(x, 0, 1) if x.ndim == 2 else x


def flatten(x, start_dim=0, end_dim=-1):
    """Dims start_dim..end_dim merged into one."""
    need_tensor("flatten", "x", x)
    if x.ndim == 0:
        return reshape_op(x, (1,))
    first, last = _wrap("flatten", start_dim, x.ndim), _wrap("flatten", end_dim, x.ndim)
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {x.shape}")
    merged = 1
    for size in x.shape[first : last + 1]:
        merged *= size
    return reshape_op(x, (*x.shape[:first], merged, *x.shape[last + 1 :]))


def unflatten(x, dim, sizes):
    """One dim split into several; one of `sizes` may be -1."""
    need_tensor("unflatten", "x", x)
    at = _wrap("unflatten", dim, x.ndim)
    sizes = tuple(sizes)
    if -1 in sizes:
        known = 1
        for size in sizes:
            known *= size if size != -1 else 1
        sizes = tuple(x.shape[at] // known if size == -1 else size for size in sizes)
    return reshape_op(x, (*x.shape[:at], *sizes, *x.shape[at + 1 :]))


def movedim(x, source, destination):
    """Dims moved to new positions, the others stay in order."""
    need_tensor("movedim", "x", x)
    sources = (source,) if isinstance(source, int) else tuple(source)
    targets = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(sources) != len(targets):
        raise RuntimeError(f"movedim: {len(sources)} source dims but {len(targets)} destinations")
    sources = tuple(_wrap("movedim", d, x.ndim) for d in sources)
    targets = tuple(_wrap("movedim", d, x.ndim) for d in targets)
    order = [d for d in range(x.ndim) if d not in sources]
    for target, d in sorted(zip(targets, sources, strict=True)):
        order.insert(target, d)
    return permute_op(x, tuple(order))


def contiguous(x):
    """x itself if its elements lie in row-major order, else a copy that does."""
    return x if x.is_contiguous() else contiguous_op(x)


def _wrap(name, dim, ndim):
    if not -ndim <= dim < ndim:
        raise IndexError(f"{name}: Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})")
    return dim % ndim


# --- joining
_cat = op(_core.cat, many=True)


@_cat.backward
def _(dy, tensors_shape, dim, needs):
    from .index import narrow

    start, out = 0, []
    at = dim % dy.ndim
    for shape, wanted in zip(tensors_shape, needs, strict=True):
        empty = len(shape) == 1 and shape[0] == 0 and dy.ndim > 1
        size = 0 if empty else shape[at]
        out.append(narrow(dy, at, start, size).reshape(shape) if wanted else None)
        start += size
    return out


def cat(tensors, dim=0, *, axis=None):
    """Tensors joined along a dim; the other sizes must agree. Dtypes are promoted."""
    return _cat(tuple(tensors), dim if axis is None else axis)


concat = concatenate = cat


def stack(tensors, dim=0):
    """Tensors of one shape joined along a new dim."""
    tensors = need_sequence("stack", "tensors", tensors)
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("stack: expected at least one tensor, got none")
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise RuntimeError(f"stack: tensor {i} has shape {x.shape}, tensor 0 has {tensors[0].shape}; all must be equal")
    return _cat(tuple(unsqueeze(x, dim) for x in tensors), dim)


def vstack(tensors):
    """Tensors joined along dim 0, after vectors became rows."""
    tensors = need_sequence("vstack", "tensors", tensors)
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in tensors], 0)


def hstack(tensors):
    """Tensors joined along dim 1 (dim 0 for vectors)."""
    tensors = need_sequence("hstack", "tensors", tensors)
    tensors = [x.reshape(1) if x.ndim == 0 else x for x in tensors]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


# --- taking apart
def split(x, split_size_or_sections, dim=0):
    """Pieces along a dim: of a given size (the last may be smaller), or of the given sizes. Views."""
    need_tensor("split", "x", x)
    from .index import narrow

    at = _wrap("split", dim, x.ndim)
    total = x.shape[at]
    if isinstance(split_size_or_sections, int):
        if split_size_or_sections <= 0:
            raise RuntimeError(f"split: expected a positive split size, got {split_size_or_sections}")
        step = split_size_or_sections
        sections = [min(step, total - start) for start in range(0, total, step)] or [0]
    else:
        sections = list(split_size_or_sections)
        if sum(sections) != total:
            raise RuntimeError(f"split: sections {sections} add up to {sum(sections)}, dim {at} has size {total}")
    out, start = [], 0
    for size in sections:
        out.append(narrow(x, at, start, size))
        start += size
    return tuple(out)


def chunk(x, chunks, dim=0):
    """At most `chunks` pieces of equal size along a dim (the last may be smaller). Views."""
    need_tensor("chunk", "x", x)
    if chunks <= 0:
        raise RuntimeError(f"chunk: expected a positive number of chunks, got {chunks}")
    at = _wrap("chunk", dim, x.ndim)
    return split(x, max(1, -(-x.shape[at] // chunks)), at)


def unbind(x, dim=0):
    """The slices along a dim, as a tuple of views."""
    need_tensor("unbind", "x", x)
    from .index import select

    at = _wrap("unbind", dim, x.ndim)
    return tuple(select(x, at, i) for i in range(x.shape[at]))


# --- repeating and masking
def repeat(x, *sizes):
    """x repeated `sizes` times along each dim (NumPy's tile); a copy."""
    need_tensor("repeat", "x", x)
    sizes = sizes_of(sizes)
    if len(sizes) < x.ndim:
        raise RuntimeError(f"repeat: {len(sizes)} repeats for a {x.ndim}-d tensor; give one per dim")
    shape = (1,) * (len(sizes) - x.ndim) + x.shape
    interleaved = tuple(s for size in shape for s in (1, size))
    target = tuple(s for n, size in zip(sizes, shape, strict=True) for s in (n, size))
    out = expand_op(reshape_op(x, interleaved), target)
    return clone(out).reshape(tuple(n * size for n, size in zip(sizes, shape, strict=True)))


def tile(x, dims):
    """x repeated; missing leading repeats are 1."""
    need_tensor("tile", "x", x)
    dims = tuple(dims)
    return repeat(x, (1,) * (x.ndim - len(dims)) + dims)


_triangle = op(_core.triangle)
_triangle.backward(x=lambda dy, diagonal, lower: _triangle(dy, diagonal, lower))


def tril(x, diagonal=0):
    """The lower triangle of matrices, zeros above the diagonal."""
    return _triangle(x, diagonal, True)


def triu(x, diagonal=0):
    """The upper triangle of matrices, zeros below the diagonal."""
    return _triangle(x, diagonal, False)


def diagonal(x, offset=0, dim1=0, dim2=1):
    """The diagonals of the matrices in dims dim1 and dim2, as the last dim. A view."""
    need_tensor("diagonal", "x", x)
    a, b = _wrap("diagonal", dim1, x.ndim), _wrap("diagonal", dim2, x.ndim)
    if a == b:
        raise RuntimeError(f"diagonal: dim1 and dim2 must differ, both are {a}")
    rows, cols = x.shape[a], x.shape[b]
    length = max(0, min(rows, cols - offset) if offset >= 0 else min(rows + offset, cols))
    start = x._offset + (offset * x._strides[b] if offset >= 0 else -offset * x._strides[a]) * (length > 0)
    others = [d for d in range(x.ndim) if d not in (a, b)]
    size = (*tuple(x.shape[d] for d in others), length)
    stride = (*tuple(x._strides[d] for d in others), x._strides[a] + x._strides[b])
    return as_strided(x, size, stride, start)


def diag(x, diagonal_=0):
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    need_tensor("diag", "x", x)
    if x.ndim == 2:
        return clone(diagonal(x, diagonal_))
    if x.ndim != 1:
        raise RuntimeError(f"diag: expected 1 or 2 dims, got shape {x.shape}")
    from .creation import arange

    n = x.shape[0] + abs(diagonal_)
    rows, cols = arange(n).reshape(-1, 1), arange(n)
    values = cat([x, x.new_zeros(abs(diagonal_))]) if diagonal_ >= 0 else cat([x.new_zeros(abs(diagonal_)), x])
    return where(cols - rows == diagonal_, values.reshape(-1, 1), x.new_zeros(()))
