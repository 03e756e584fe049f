"""Tensors taken apart, joined, repeated, brought to a common shape and combined."""

from __future__ import annotations

import itertools

from .. import _core
from .arguments import need_sequence, need_tensor
from .index import _dim, _long, index_select, narrow
from .shape import broadcast_to, cat, expand_op, reshape_op, split, stack, unsqueeze


def repeat_interleave(x, repeats=None, dim=None, *, output_size=None):
    """Every slice along a dim (every element if dim is None) repeated: `repeats` times, or each its own number of times.
    ``repeat_interleave(repeats)`` gives the numbers 0, 1, ... so often."""
    need_tensor("repeat_interleave", "x", x)
    from .creation import arange
    from .scan import cumsum
    from .sort import searchsorted

    if repeats is None:
        if x.ndim != 1:
            raise RuntimeError(f"repeat_interleave: repeats must be 1-d, got shape {x.shape}")
        return repeat_interleave(arange(x.shape[0]), x, 0, output_size=output_size)
    if dim is None:
        x, dim = reshape_op(x, (-1,)), 0
    at = _dim("repeat_interleave", dim, x)
    size = x.shape[at]
    if isinstance(repeats, _core.TensorBase) and repeats.numel() == 1:
        repeats = int(repeats)
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError("repeat_interleave: repeats can not be negative")
        spread = expand_op(unsqueeze(x, at + 1), (*x.shape[: at + 1], repeats, *x.shape[at + 1 :]))
        return reshape_op(spread, (*x.shape[:at], size * repeats, *x.shape[at + 1 :]))
    repeats = _long(repeats)
    if repeats.ndim != 1 or repeats.shape[0] != size:
        raise RuntimeError(
            f"repeat_interleave: repeats must have the same size as input along dim, got {repeats.shape} for {size}"
        )
    if size and int(repeats.min()) < 0:
        raise RuntimeError("repeat_interleave: repeats can not be negative")
    ends = cumsum(repeats, 0)
    total = int(ends[-1]) if size else 0
    if output_size is not None and output_size != total:
        raise RuntimeError(f"repeat_interleave: output_size {output_size} but the repeats add up to {total}")
    return index_select(x, at, searchsorted(ends, arange(total), right=True))


def tensor_split(x, indices_or_sections, dim=0):
    """Pieces along a dim: a number of pieces whose sizes differ by at most 1, or pieces that end at the given positions."""
    at = _dim("tensor_split", dim, x)
    size = x.shape[at]
    if isinstance(indices_or_sections, _core.TensorBase):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        if indices_or_sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {indices_or_sections}")
        if indices_or_sections > 1 << 24:
            raise RuntimeError(
                f"tensor_split: {indices_or_sections} sections are more than can be kept, for a dim of size {size}"
            )
        small, larger = divmod(size, indices_or_sections)
        return split(x, [small + (i < larger) for i in range(indices_or_sections)], at)
    out, start = [], 0
    for end in (*indices_or_sections, size):
        low, high, _ = slice(start, end).indices(size)
        out.append(narrow(x, at, low, max(0, high - low)))
        start = end
    return tuple(out)


def hsplit(x, indices_or_sections):
    """tensor_split along dim 1 (dim 0 of a vector)."""
    need_tensor("hsplit", "x", x)
    if x.ndim == 0:
        raise RuntimeError("torch.hsplit requires a tensor with at least 1 dimension, but got a tensor with 0 dimensions!")
    return tensor_split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


def vsplit(x, indices_or_sections):
    """tensor_split along dim 0."""
    need_tensor("vsplit", "x", x)
    if x.ndim < 2:
        raise RuntimeError(
            f"torch.vsplit requires a tensor with at least 2 dimension, but got a tensor with {x.ndim} dimensions!"
        )
    return tensor_split(x, indices_or_sections, 0)


def dsplit(x, indices_or_sections):
    """tensor_split along dim 2."""
    need_tensor("dsplit", "x", x)
    if x.ndim < 3:
        raise RuntimeError(
            f"torch.dsplit requires a tensor with at least 3 dimension, but got a tensor with {x.ndim} dimensions!"
        )
    return tensor_split(x, indices_or_sections, 2)


def dstack(tensors):
    """Tensors joined along dim 2, after they were given 3 dims."""
    tensors = need_sequence("dstack", "tensors", tensors)
    return cat(list(atleast_3d(list(tensors))), 2)


def column_stack(tensors):
    """Tensors joined along dim 1, after vectors became columns."""
    tensors = need_sequence("column_stack", "tensors", tensors)
    return cat([x.reshape(-1, 1) if x.ndim < 2 else x for x in tensors], 1)


def _each(function, tensors):
    if len(tensors) == 1:
        return function(tensors[0]) if isinstance(tensors[0], _core.TensorBase) else tuple(map(function, tensors[0]))
    return tuple(map(function, tensors))


def atleast_1d(*tensors):
    """Tensors with at least 1 dim; one tensor, or a tuple for several or a list."""
    return _each(lambda x: x.reshape(1) if x.ndim == 0 else x, tensors)


def atleast_2d(*tensors):
    """Tensors with at least 2 dims; vectors become rows."""
    return _each(lambda x: x.reshape(1, -1) if x.ndim < 2 else x, tensors)


def atleast_3d(*tensors):
    """Tensors with at least 3 dims: () to (1, 1, 1), (N) to (1, N, 1), (M, N) to (M, N, 1)."""
    return _each(lambda x: x.reshape(1, -1, 1) if x.ndim < 2 else unsqueeze(x, -1) if x.ndim == 2 else x, tensors)


def broadcast_tensors(*tensors):
    """The tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(broadcast_to(x, shape) for x in tensors)


def broadcast_shapes(*shapes):
    """The shape that the given shapes broadcast to."""
    out: list = []
    for shape in shapes:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        out = [1] * (len(shape) - len(out)) + out
        for i, n in enumerate(shape, len(out) - len(shape)):
            if out[i] == 1:
                out[i] = n
            elif n not in (1, out[i]):
                raise RuntimeError(f"Shape mismatch: objects cannot be broadcast to a single shape, got {shapes}")
    return tuple(out)


def block_diag(*tensors):
    """The matrices as blocks on the diagonal of a matrix; vectors count as rows."""
    blocks = atleast_2d(list(tensors))
    for b in blocks:
        if b.ndim > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Got shape {b.shape}")
    width, rows, before = sum(b.shape[1] for b in blocks), [], 0
    for b in blocks:
        left, right = b.new_zeros(b.shape[0], before), b.new_zeros(b.shape[0], width - before - b.shape[1])
        rows.append(cat([left, b, right], 1))
        before += b.shape[1]
    return cat(rows, 0)


def cartesian_prod(*tensors):
    """All combinations of one element from each vector, (count, number of vectors); one vector stays as it is."""
    from .creation import meshgrid

    if len(tensors) == 1:
        return tensors[0]
    return stack([g.reshape(-1) for g in meshgrid(*tensors, indexing="ij")], 1)


def combinations(x, r=2, with_replacement=False):
    """All combinations of r elements of a vector, (count, r), in the order of itertools."""
    need_tensor("combinations", "x", x)
    from .creation import tensor

    if x.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {x.shape}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = list(choose(range(x.shape[0]), r))
    if not places:
        return x.new_zeros(0, r)
    return reshape_op(index_select(x, 0, tensor(places).reshape(-1)), (len(places), r))
