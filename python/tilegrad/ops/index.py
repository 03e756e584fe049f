"""Indexing. Basic keys (ints, slices, None, ...) give views in one native call; tensors, lists and bool masks gather.

An advanced index becomes one number per element into the flattened indexed dims, so every form runs on three kernels:
index_select, index_add (its gradient) and index_copy (assignment).
"""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor, need_tensors
from .elementwise import copy_
from .shape import broadcast_to, permute_op, reshape_op

# --- basic
index = op(_core.index, view=True).backward(x=lambda dy, x_shape, key: index_scatter(dy, x_shape, key))
index_scatter = op(_core.index_scatter).backward(dy=lambda ddx, key: index(ddx, key))
_core.set_callback("index_op", index)


def select(x, dim, i):
    """The slice at position i along a dim; the dim goes away. A view."""
    at = _dim("select", dim, x)
    if not -x.shape[at] <= i < x.shape[at]:
        raise IndexError(f"select: index {i} is out of bounds for dimension {at} with size {x.shape[at]}")
    return index(x, (slice(None),) * at + (int(i),))


def narrow(x, dim, start, length):
    """`length` slices along a dim from `start` on. A view."""
    at = _dim("narrow", dim, x)
    size = x.shape[at]
    begin = start + size if start < 0 else start
    if length < 0 or begin < 0 or begin + length > size:
        raise RuntimeError(f"narrow: start {start} and length {length} reach outside dim {at} of size {size}")
    return index(x, (slice(None),) * at + (slice(begin, begin + length),))


def _dim(name, dim, x):
    need_tensor(name, "input", x)
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(
            f"{name}: Dimension out of range (expected to be in range of [{-x.ndim}, {x.ndim - 1}], but got {dim})"
        )
    return dim % x.ndim


# --- by number along one dim
index_select_op = op(_core.index_select).backward(
    x=lambda dy, x_shape, dim, index: index_add_op(dy, dim, index, x_shape[dim] if x_shape else 1)
)
index_add_op = op(_core.index_add).backward(dy=lambda d, dim, index: index_select_op(d, dim, index))
index_copy_ = (
    op(_core.index_copy_, params="x, dim, index, source")
    .backward(x=lambda dy, dim, index: _zeroed(dy, dim, index), source=lambda dy, dim, index: index_select_op(dy, dim, index))
    .in_place(_core.index_copy_, name="index_copy_")
)


def _zeroed(dy, dim, index):
    shape = (*dy.shape[:dim], index.numel(), *dy.shape[dim + 1 :])
    return index_copy_(dy.clone(), dim, index, _core.full(shape, 0, dy.dtype))


def index_select(x, dim, index):
    """The slices of x at the given positions along a dim; `index` is a 1-d int tensor. Negative positions are an error in
    PyTorch and count from the end here.

    Raises:
        IndexError: a position outside the dim, named in the text.
    """
    return index_select_op(x, dim, _long(index))


def index_add(x, dim, index, source, *, alpha=1):
    """x plus source's slices added at the given positions along a dim, in order (deterministic)."""
    at = _dim("index_add", dim, x)
    values = source if alpha == 1 else source * alpha
    if x.ndim == 1 and values.ndim == 1 and values.dtype is x.dtype and index.shape == values.shape:
        from .scatter import scatter_op

        return scatter_op(x, 0, _long(index), values, ADD)
    return x + index_add_op(values, at, _long(index), x.shape[at])


def _long(index):
    from ..dtypes import int64

    need_tensor("indexing", "index", index)
    if index.dtype.is_floating_point or index.dtype.name == "bool":
        raise IndexError(f"an index must be an integer tensor, got {index.dtype}")
    return index if index.dtype is int64 else _core.cast(index, int64)


# --- single elements by number along one dim
WRITE, ADD, MULTIPLY, MAXIMUM, MINIMUM = range(5)  # ScatterOp in csrc/kernels/arguments/positions.h


def _gather_backward_kernel(dy, dim, index, x_shape):
    """Zeros of x_shape plus dy where the index points."""
    dx = _core.full(x_shape, 0, dy.dtype)
    _core.scatter_(dx, dim, index, dy, ADD)
    return dx


gather_backward = op(_gather_backward_kernel, name="gather_backward")
gather_backward.backward(dy=lambda d, dim, index: gather_op(d, dim, index))
gather_op = op(_core.gather).backward(x=lambda dy, x_shape, dim, index: gather_backward(dy, dim, index, x_shape))


def gather(x, dim, index):
    """out[i][j] = x[index[i][j]][j] for dim 0, and so on (PyTorch: torch.gather)."""
    return gather_op(x, dim, _long(index))


# --- advanced indexing
def _as_index(entry):
    """A tensor from what stands in a key: list, range, NumPy array, bool."""
    if isinstance(entry, _core.TensorBase):
        return entry
    from .creation import as_tensor

    if isinstance(entry, range):
        entry = list(entry)
    if isinstance(entry, list) and not entry:
        from ..dtypes import int64

        return _core.full((0,), 0, int64)
    return as_tensor(entry)


def _is_advanced(entry):
    return not (
        entry is None
        or entry is Ellipsis
        or isinstance(entry, slice)
        or (isinstance(entry, int) and not isinstance(entry, bool))
    )


def _plan(x, key):
    """Splits a key into a basic one (a view) and the index tensors that remain, one per dim of that view or None."""
    from .creation import nonzero

    entries = list(key) if isinstance(key, tuple) else [key]
    advanced = {i: _as_index(e) for i, e in enumerate(entries) if _is_advanced(e)}
    consumed = sum(
        max(advanced[i].ndim, 0)
        if i in advanced and advanced[i].dtype.name == "bool"
        else int(e is not None and e is not Ellipsis)
        for i, e in enumerate(entries)
    )
    if consumed > x.ndim:
        raise IndexError(f"too many indices for a {x.ndim}-d tensor of shape {x.shape}: {consumed} given")
    if not any(e is Ellipsis for e in entries):
        entries.append(Ellipsis)
    basic: list = []
    per_dim: list = []
    dim = 0
    for i, e in enumerate(entries):
        if i in advanced:
            tensor = advanced[i]
            if tensor.dtype.name == "bool":
                if tensor.ndim == 0:
                    basic.append(None)
                    per_dim.append(nonzero(tensor.reshape(1))[:, 0])
                    continue
                for k, size in enumerate(tensor.shape):
                    if size != x.shape[dim + k]:
                        raise IndexError(f"a mask of shape {tensor.shape} does not fit shape {x.shape} at dim {dim + k}")
                found = nonzero(tensor)
                for k in range(tensor.ndim):
                    basic.append(slice(None))
                    per_dim.append(_core.contiguous(found[:, k]))
                dim += tensor.ndim
            else:
                basic.append(slice(None))
                per_dim.append(_core.wrap_index(_long(tensor), x.shape[dim], dim))
                dim += 1
        elif e is Ellipsis:
            n = x.ndim - consumed
            basic.extend([slice(None)] * n)
            per_dim.extend([None] * n)
            dim += n
        elif e is None:
            basic.append(None)
            per_dim.append(None)
        elif isinstance(e, slice):
            basic.append(e)
            per_dim.append(None)
            dim += 1
        else:  # a plain int selects first, as in PyTorch (in NumPy it would join the index arrays)
            basic.append(e)
            dim += 1
    return tuple(basic), per_dim


def _gathered(seen, per_dim):
    """(order of dims with the indexed ones adjacent, position of the first, flat index, its shape)."""
    dims = [d for d, i in enumerate(per_dim) if i is not None]
    shape = _broadcast_shape([per_dim[d].shape for d in dims], seen.shape)
    adjacent = dims == list(range(dims[0], dims[-1] + 1))
    first = dims[0] if adjacent else 0
    others = [d for d in range(seen.ndim) if d not in dims]
    order = others[:first] + dims + others[first:]
    flat, stride = None, 1
    for d in reversed(dims):
        part = per_dim[d] * stride
        flat = part if flat is None else flat + part
        stride *= seen.shape[d]
    return tuple(order), first, len(dims), reshape_op(broadcast_to(flat, shape), (-1,)), shape


def _broadcast_shape(shapes, of):
    out: list = []
    n = max(len(s) for s in shapes)
    for i in range(n):
        sizes = {s[len(s) - n + i] for s in shapes if len(s) - n + i >= 0} - {1}
        if len(sizes) > 1:
            raise IndexError(
                f"index tensors of shapes {', '.join(map(str, shapes))} cannot be broadcast together (indexing shape {of})"
            )
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def getitem(x, key):
    """x[key] for keys with tensors, lists, ranges, NumPy arrays or bool masks."""
    if isinstance(key, _core.TensorBase) and key.dtype.name == "bool" and key.ndim and key.shape == x.shape[: key.ndim]:
        found = reshape_op(_core.nonzero(reshape_op(key.detach(), (-1,))), (-1,))
        return index_select_op(reshape_op(x, (key.numel(), *x.shape[key.ndim :])), 0, found)
    basic, per_dim = _plan(x, key)
    seen = index(x, basic)
    order, first, count, flat, shape = _gathered(seen, per_dim)
    moved = seen if order == tuple(range(seen.ndim)) else permute_op(seen, order)
    merged = reshape_op(
        moved, (*moved.shape[:first], _product(moved.shape[first : first + count]), *moved.shape[first + count :])
    )
    out = index_select_op(merged, first, flat)
    return reshape_op(out, (*out.shape[:first], *shape, *out.shape[first + 1 :]))


def setitem(x, key, value):
    """x[key] = value. The change is part of the graph, also through views."""
    if _core.is_basic_index(key):
        copy_(index(x, key), _value_like(x, value))
        return
    if (
        isinstance(key, _core.TensorBase)
        and key.dtype.name == "bool"
        and not isinstance(value, _core.TensorBase)
        and key.shape == x.shape
    ):
        from .elementwise import masked_fill_

        if isinstance(value, (int, float)):
            masked_fill_(x, key, value)
            return
    basic, per_dim = _plan(x, key)
    seen = index(x, basic)
    order, first, count, flat, shape = _gathered(seen, per_dim)
    moved = seen if order == tuple(range(seen.ndim)) else permute_op(seen, order)
    target = (*moved.shape[:first], *shape, *moved.shape[first + count :])
    value = _value_like(x, value)
    if not isinstance(value, _core.TensorBase):
        value = _core.full((), value, x.dtype)
    if value.dtype is not x.dtype:
        value = value.to(x.dtype)
    while value.ndim > len(target) and value.shape[0] == 1:
        value = value.squeeze(0)
    value = reshape_op(broadcast_to(value, target), (*moved.shape[:first], flat.numel(), *moved.shape[first + count :]))
    size = _product(moved.shape[first : first + count])
    merged_shape = (*moved.shape[:first], size, *moved.shape[first + count :])
    if moved.is_contiguous():
        index_copy_(moved.view(merged_shape), first, flat, value)
        return
    merged = reshape_op(moved, merged_shape).clone()
    index_copy_(merged, first, flat, value)
    copy_(moved, reshape_op(merged, moved.shape))


def _value_like(x, value):
    if isinstance(value, (_core.TensorBase, int, float)):
        return value
    from .creation import as_tensor

    return as_tensor(value)


def _product(sizes):
    n = 1
    for s in sizes:
        n *= s
    return n


_core.set_callback("getitem", getitem)
_core.set_callback("setitem", setitem)


def masked_select(x, mask):
    """The elements of x where the mask holds, as a vector."""
    need_tensors("masked_select", x=x, mask=mask)
    if x.shape != mask.shape:
        shape = (_core.full(x.shape, 0, mask.dtype) | mask).shape
        x, mask = broadcast_to(x, shape), broadcast_to(mask, shape)
    return getitem(x, mask)


flip_op = op(_core.flip)
flip_op.backward(x=lambda dy, dim: flip_op(dy, dim))
roll_op = op(_core.roll)
roll_op.backward(x=lambda dy, shift, dim: roll_op(dy, -shift, dim))


def flip(x, *dims):
    """x with the given dims reversed; a copy."""
    need_tensor("flip", "x", x)
    if len(dims) == 1 and not isinstance(dims[0], int):
        dims = tuple(dims[0])
    seen = [_dim("flip", d, x) for d in dims]
    if len(set(seen)) < len(seen):
        raise RuntimeError(f"flip: dim {next(d for d in seen if seen.count(d) > 1)} appears multiple times in the list of dims")
    if not seen:
        return x.clone()
    for d in seen:
        x = flip_op(x, d)
    return x


def roll(x, shifts, dims=None):
    """x rolled along dims; what leaves at one end comes in at the other."""
    if dims is None or dims == ():
        if not isinstance(shifts, int):
            (shifts,) = shifts
        return reshape_op(roll_op(reshape_op(x, (-1,)), shifts, 0), x.shape) if x.numel() else x.clone()
    pairs = (
        [(shifts, dims)]
        if isinstance(shifts, int)
        else list(zip(shifts, (dims,) if isinstance(dims, int) else dims, strict=True))
    )
    for shift, d in pairs:
        x = roll_op(x, shift, _dim("roll", d, x))
    return x
