"""Reductions and their gradient rules.

``dim`` is an int, a tuple of ints or None (all dims); NumPy's names ``axis`` and ``keepdims`` are accepted too.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import _core
from ..autograd.op import op
from ..dtypes import float32
from .arguments import need_tensor
from .elementwise import abs as abs_
from .elementwise import cast, copy_, div, exp, sqrt, where


def _restored(dy, x_shape, dim, keepdim):
    """dy with the reduced dims back as size 1."""
    if keepdim or dim is None or dim == () or not x_shape:
        return dy
    dims = (dim,) if isinstance(dim, int) else dim
    reduced = {d % len(x_shape) for d in dims}
    return dy.reshape(tuple(1 if i in reduced else size for i, size in enumerate(x_shape)))


def _spread(dy, x_shape, dim, keepdim):
    return _restored(dy, x_shape, dim, keepdim).expand(x_shape)


def _count(x_shape, dim):
    if dim is None or dim == () or not x_shape:
        dims = range(len(x_shape))
    else:
        dims = (dim,) if isinstance(dim, int) else dim
    n = 1
    for d in dims:
        n *= x_shape[d] if x_shape else 1
    return n


sum_op = op(_core.sum).backward(x=lambda dy, x_shape, dim, keepdim: _spread(dy, x_shape, dim, keepdim))
mean_op = op(_core.mean).backward(
    x=lambda dy, x_shape, dim, keepdim: _spread(dy / float(_count(x_shape, dim)), x_shape, dim, keepdim)
)


def _extreme_dx(dy, x, dim, keepdim, out):
    """Elements that equal the extreme share the gradient."""
    chosen = cast(x == _restored(out, x.shape, dim, keepdim), dy.dtype)
    count = _core.sum(chosen, dim, True)
    return chosen * (_restored(dy, x.shape, dim, keepdim) / count)


amax_op = op(_core.max, name="amax").backward(x=_extreme_dx)
amin_op = op(_core.min, name="amin").backward(x=_extreme_dx)
argmax_op, argmin_op, any_op, all_op = map(op, (_core.argmax, _core.argmin, _core.any, _core.all))


def _prod_dx(dy, x, dim, keepdim):
    if bool(all_op(x, None, False)):
        return _restored(dy, x.shape, dim, keepdim) * (_restored(prod_op(x, dim, keepdim), x.shape, dim, keepdim) / x)
    return _restored(dy, x.shape, dim, keepdim) * _products_of_others(x, dim)


def _products_of_others(x, dim):
    """For every element the product of the others, right also where elements are zero: x / out would lose that gradient.
    Takes n times the memory of x, n elements being multiplied."""
    from .creation import eye
    from .shape import permute_op, reshape_op, unsqueeze

    if x.ndim == 0:
        return _core.full((), 1, x.dtype)
    dims = range(x.ndim) if dim is None or dim == () else (dim,) if isinstance(dim, int) else dim
    reduced = sorted({d % x.ndim for d in dims})
    order = tuple(d for d in range(x.ndim) if d not in reduced) + tuple(reduced)
    moved = permute_op(x, order)
    rows = reshape_op(moved, (*moved.shape[: x.ndim - len(reduced)], -1)) if x.numel() else moved
    n = rows.shape[-1]
    others = prod_op(where(eye(n) == 1, 1.0, unsqueeze(rows, -2)), -1, False)  # (..., n, n) to (..., n)
    back = tuple(order.index(d) for d in range(x.ndim))
    return permute_op(reshape_op(others, moved.shape), back)


prod_op = op(_core.prod).backward(x=_prod_dx)


def _arguments(dim, keepdim, axis, keepdims):
    """PyTorch accepts NumPy's names as well."""
    if axis is not None:
        dim = axis
    if keepdims is not None:
        keepdim = keepdims
    return (tuple(dim) if isinstance(dim, list) else dim), keepdim


def sum(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """Sum over dims; integers and bools add up in int64. Long sums use a fixed tree, the same for any number of threads."""
    if dtype is not None and input.dtype is not dtype:
        input = cast(input, dtype)
    if axis is not None or keepdims is not None or type(dim) is list:
        dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    return sum_op(input, dim, keepdim)


def mean(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """Arithmetic mean over dims of a floating tensor."""
    if dtype is not None and input.dtype is not dtype:
        input = cast(input, dtype)
    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    return mean_op(input, dim, keepdim)


def prod(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """Product over dims."""
    if dtype is not None and input.dtype is not dtype:
        input = cast(input, dtype)
    return prod_op(input, *_arguments(dim, keepdim, axis, keepdims))


def amax(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Largest value over dims; equal elements share the gradient. NaN wins."""
    return amax_op(input, *_arguments(dim, keepdim, axis, keepdims))


def amin(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Smallest value over dims; equal elements share the gradient. NaN wins."""
    return amin_op(input, *_arguments(dim, keepdim, axis, keepdims))


class ValuesIndices(NamedTuple):
    """What a reduction over one dim gives: the values and where they were."""

    values: object
    indices: object


def _extreme(name, x, other, keepdim, best, arg_best, elementwise):
    from .index import gather

    if other is None:
        return best(x, None, False)
    if isinstance(other, _core.TensorBase):
        return elementwise(x, other)
    if isinstance(other, bool) or not isinstance(other, int):
        raise TypeError(f"{name}: dim must be an int, got {type(other).__name__}; use a{name} for several dims")
    indices = arg_best(x, other, True)
    values = gather(x, other, indices)
    if not keepdim and x.ndim:
        values, indices = values.squeeze(other), indices.squeeze(other)
    return ValuesIndices(values, indices)


def _written(result, out):
    """The result itself, or written into `out`: a tensor, or (values, indices)."""
    if out is None:
        return result
    if isinstance(result, ValuesIndices):
        return ValuesIndices(*(copy_(to, value) for to, value in zip(out, result, strict=True)))
    return copy_(out, result)


def max(input, dim=None, keepdim=False, *, axis=None, keepdims=None, out=None):
    """max(input): the largest element. max(input, dim): (values, indices) along a dim. with a tensor for dim: elementwise."""
    from .elementwise import maximum

    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    return _written(_extreme("max", input, dim, keepdim, amax_op, argmax_op, maximum), out)


def min(input, dim=None, keepdim=False, *, axis=None, keepdims=None, out=None):
    """min(input): the smallest element. min(input, dim): (values, indices) along a dim. with a tensor for dim: elementwise."""
    from .elementwise import minimum

    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    return _written(_extreme("min", input, dim, keepdim, amin_op, argmin_op, minimum), out)


def argmax(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Position of the largest element along a dim (of the flattened tensor if dim is None), the first of equals."""
    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    return argmax_op(input, dim, keepdim)


def argmin(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Position of the smallest element along a dim (of the flattened tensor if dim is None), the first of equals."""
    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    return argmin_op(input, dim, keepdim)


def any(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """True where some element is non-zero."""
    return any_op(input, *_arguments(dim, keepdim, axis, keepdims))


def all(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """True where every element is non-zero."""
    return all_op(input, *_arguments(dim, keepdim, axis, keepdims))


# the sum of (x - mean)^2, in one pass
deviations_op = op(_core.deviations).backward(
    x=lambda dy, x, dim, keepdim: (x - mean_op(x, dim, True)) * (_restored(dy, x.shape, dim, keepdim) * 2.0)
)


def var(input, dim=None, unbiased=None, keepdim=False, *, correction=1, axis=None, keepdims=None):
    """Variance over dims, in two passes: sum((input - mean)^2) / (n - correction)."""
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    if unbiased is not None:
        correction = int(unbiased)
    squares = deviations_op(input, dim, keepdim)  # first: it checks the dims
    n = _count(input.shape, dim) - correction
    return div(squares, 0.0) if n <= 0 else squares / float(n)


def std(input, dim=None, unbiased=None, keepdim=False, *, correction=1, axis=None, keepdims=None):
    """Standard deviation over dims: the square root of `var`."""
    return sqrt(var(input, dim, unbiased, keepdim, correction=correction, axis=axis, keepdims=keepdims))


logsumexp_op = op(_core.logsumexp, name="logsumexp")
logsumexp_op.backward(x=lambda dy, x, dim, out: _logsumexp_dx(dy, x, dim, out))


def _logsumexp_dx(dy, x, dim, out):
    """The softmax of x times dy; rows of infinity (where x - out would be NaN) get 0 or their share of 1."""
    total = _restored(out, x.shape, dim, False)
    difference = where(x == total, 0.0, x - where(abs_(total) == float("inf"), 0.0, total))
    return _restored(dy, x.shape, dim, False) * exp(difference)


def logsumexp(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """log(sum(exp(input))) over dims, safe for large input; a fused kernel."""
    need_tensor("logsumexp", "input", input)
    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    if not input.dtype.is_floating_point:
        input = cast(input, float32)
    dims = range(input.ndim) if dim is None or dim == () else (dim,) if isinstance(dim, int) else dim
    if len(dims) == 1:
        (at,) = dims
        out = logsumexp_op(input, at)
    else:
        from .shape import permute_op, reshape_op

        reduced = sorted({_wrapped(d, input.ndim) for d in dims})
        kept = [d for d in range(input.ndim) if d not in reduced]
        rows = permute_op(input, (*kept, *reduced))
        size = 1
        for d in reduced:
            size *= input.shape[d]
        out = logsumexp_op(reshape_op(rows, (*(input.shape[d] for d in kept), size)), -1)
    if not keepdim or not input.ndim:
        return out
    removed = {d % input.ndim for d in dims}
    return out.reshape(tuple(1 if d in removed else n for d, n in enumerate(input.shape)))


def _wrapped(d, ndim):
    if not -ndim <= d < ndim:
        raise IndexError(f"logsumexp: Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {d})")
    return d % ndim


def _norm_dx(dy, x, dim, keepdim, out):
    """x / |x|, and zero at the origin (a subgradient), as in PyTorch."""
    size = _restored(out, x.shape, dim, keepdim)
    return x * where(size == 0, 0.0, _restored(dy, x.shape, dim, keepdim) / where(size == 0, 1.0, size))


norm_op = op(lambda x, dim, keepdim: _core.sqrt(_core.sum_squares(x, dim, keepdim)), name="norm").backward(x=_norm_dx)


def norm(input, p=2, dim=None, keepdim=False, dtype=None, *, axis=None, keepdims=None):
    """The p-norm over dims: (sum |input|^p)^(1/p); p may be inf, -inf, 0 or 'fro'."""
    if dtype is not None:
        input = cast(input, dtype)
    dim, keepdim = _arguments(dim, keepdim, axis, keepdims)
    if p in ("fro", 2, 2.0, None):
        return norm_op(input, dim, keepdim)
    if p == float("inf"):
        return amax_op(abs_(input), dim, keepdim)
    if p == float("-inf"):
        return amin_op(abs_(input), dim, keepdim)
    if p == 1:
        return sum_op(abs_(input), dim, keepdim)
    if p == 0:
        return sum_op(cast(input != 0, input.dtype), dim, keepdim)
    return sum_op(abs_(input) ** p, dim, keepdim) ** (1.0 / p)
