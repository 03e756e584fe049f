"""Counts, norms and moments: what is made of the reductions."""

from __future__ import annotations

import math
from typing import NamedTuple

from .. import _core
from .arguments import need_tensor, need_tensors
from .elementwise import abs as abs_
from .elementwise import cast, isnan, sqrt, where
from .matmul import matmul
from .reduce import _arguments, amax_op, amin_op, mean_op, norm_op, sum_op, var


class MinMax(NamedTuple):
    """What aminmax gives."""

    min: object
    max: object


def aminmax(x, *, dim=None, keepdim=False):
    """The smallest and the largest element, of all or along a dim: (min, max)."""
    return MinMax(amin_op(x, dim, keepdim), amax_op(x, dim, keepdim))


def count_nonzero(x, dim=None):
    """How many elements are not zero, over dims."""
    need_tensor("count_nonzero", "x", x)
    return sum_op(x.detach() != 0, tuple(dim) if isinstance(dim, list) else dim, False)


def nansum(x, dim=None, keepdim=False, *, dtype=None):
    """Sum over dims, NaN counting as 0."""
    need_tensor("nansum", "x", x)
    x = x if dtype is None else cast(x, dtype)
    return sum_op(where(isnan(x), 0, x) if x.dtype.is_floating_point else x, _arguments(dim, keepdim, None, None)[0], keepdim)


def nanmean(x, dim=None, keepdim=False, *, dtype=None):
    """Mean over dims of the elements that are not NaN."""
    need_tensor("nanmean", "x", x)
    x = x if dtype is None else cast(x, dtype)
    dim = _arguments(dim, keepdim, None, None)[0]
    return nansum(x, dim, keepdim) / sum_op(cast(~isnan(x), x.dtype), dim, keepdim)


def var_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """(var, mean) over dims."""
    if isinstance(dim, bool):  # var_mean(unbiased)
        dim, unbiased = None, dim
    dim, keepdim = _arguments(dim, keepdim, None, None)
    return var(x, dim, unbiased, keepdim, correction=correction), mean_op(x, dim, keepdim)


def std_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """(std, mean) over dims."""
    variance, mean = var_mean(x, dim, unbiased, keepdim, correction=correction)
    return sqrt(variance), mean


# --- norms
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum |x|^ord)^(1/ord) over dims, of all elements as one vector if dim is None; ord may be 0, inf or -inf.

    The gradient is 0 where the norm is 0. Source: https://pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html
    """
    need_tensor("vector_norm", "x", x)
    x = x if dtype is None else cast(x, dtype)
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype}")
    dim, keepdim = _arguments(dim, keepdim, None, None)
    if ord == 2:
        return norm_op(x, dim, keepdim)
    magnitude = abs_(x)
    if ord == math.inf:
        return amax_op(magnitude, dim, keepdim)
    if ord == -math.inf:
        return amin_op(magnitude, dim, keepdim)
    if ord == 0:
        return sum_op(cast(x != 0, x.dtype), dim, keepdim)
    if ord == 1:
        return sum_op(magnitude, dim, keepdim)
    largest = amax_op(magnitude.detach(), dim, True)  # |x| / largest is at most 1, so that no power overflows
    scale = where((largest > 0) & (largest < math.inf), largest, 1.0)
    total = sum_op((magnitude / scale) ** ord, dim, keepdim)
    scale = scale if keepdim or dim == () else scale.reshape(total.shape)
    zero = total == 0
    return where(zero, 0.0, where(zero, 1.0, total) ** (1.0 / ord) * scale)


def matrix_norm(x, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """A norm of matrices: 'fro', 'nuc', inf, -inf, 1, -1, 2, -2. 'nuc', 2 and -2 take the singular values."""
    need_tensor("matrix_norm", "x", x)
    from .linalg import svdvals

    x = x if dtype is None else cast(x, dtype)
    if len(dim) != 2 or dim[0] % x.ndim == dim[1] % x.ndim:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple of different dims, got {dim}")
    rows, columns = (d % x.ndim for d in dim)
    if ord == "fro":
        out = norm_op(x, (rows, columns), True)
    elif ord in ("nuc", 2, -2):
        values = svdvals(x.movedim((rows, columns), (-2, -1)))
        out = sum_op(values, -1, False) if ord == "nuc" else values.amax(-1) if ord == 2 else values.amin(-1)
        for d in sorted((rows, columns)):
            out = out.unsqueeze(d)
    elif ord in (1, -1, math.inf, -math.inf):
        first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = sum_op(abs_(x), first, True)
        out = amax_op(sums, second, True) if ord > 0 else amin_op(sums, second, True)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported; use 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2")
    if keepdim:
        return out
    return out.reshape(tuple(n for d, n in enumerate(x.shape) if d not in (rows, columns)))


def linalg_norm(x, ord=None, dim=None, keepdim=False, *, dtype=None):
    """The vector norm or the matrix norm, by the number of dims: 2-norm of all elements if neither ord nor dim is given."""
    need_tensor("linalg_norm", "x", x)
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) == 1 or ord is None:
            return vector_norm(x, 2 if ord is None else ord, dims, keepdim, dtype=dtype)
        return matrix_norm(x, ord, dims, keepdim, dtype=dtype)
    if ord is None:
        out = vector_norm(x.reshape(-1), 2, dtype=dtype)
        return out.reshape((1,) * x.ndim) if keepdim else out
    if x.ndim == 1:
        return vector_norm(x, ord, 0, keepdim, dtype=dtype)
    if x.ndim == 2:
        return matrix_norm(x, ord, (0, 1), keepdim, dtype=dtype)
    raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {x.ndim}D.")


def dist(x, y, p=2):
    """The p-norm of x - y."""
    need_tensors("dist", x=x, y=y)
    return vector_norm((x - y).reshape(-1), p)


def renorm(x, p, dim, maxnorm):
    """x with every slice along a dim whose p-norm is above maxnorm scaled down to it."""
    need_tensor("renorm", "x", x)
    others = tuple(d for d in range(x.ndim) if d != dim % x.ndim)
    size = vector_norm(x, p, others, True)
    return x * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


# --- matrices of observations
def trace(x):
    """The sum of the diagonal of a matrix."""
    need_tensor("trace", "x", x)
    from .shape import diagonal

    if x.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    return sum_op(diagonal(x), None, False)


def cov(x, *, correction=1, fweights=None, aweights=None):
    """The covariance matrix of variables (rows) over observations (columns); optional weights of the observations: how often
    each was made (fweights, integers), how much each counts (aweights)."""
    need_tensor("cov", "x", x)
    if x.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {x.ndim} dimensions")
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    weights = None
    for w in (fweights, aweights):
        if w is not None:
            w = cast(w, x.dtype)
            weights = w if weights is None else weights * w
    if weights is None:
        centered = rows - mean_op(rows, 1, True)
        normal = float(rows.shape[1] - correction)
        weighted = centered
    else:
        total = sum_op(weights, None, False)
        centered = rows - sum_op(rows * weights, 1, True) / total
        used = sum_op(weights * cast(aweights, x.dtype), None, False) / total if aweights is not None else 1.0
        normal = (total - correction * used).clamp(min=0.0)
        weighted = centered * weights
    normal = max(normal, 0.0) if isinstance(normal, float) else normal
    out = matmul(weighted, centered.t()) / normal
    return out.reshape(()) if x.ndim < 2 else out


def corrcoef(x):
    """The correlation coefficients of variables (rows) over observations (columns), limited to [-1, 1]."""
    need_tensor("corrcoef", "x", x)
    c = cov(x)
    if c.ndim == 0:
        return c / c
    from .shape import diagonal

    deviation = sqrt(diagonal(c))
    return (c / deviation.unsqueeze(1) / deviation.unsqueeze(0)).clamp(-1.0, 1.0)


# --- counting
def bincount(x, weights=None, minlength=0):
    """How often each of the numbers 0, 1, ... occurs in a vector of integers, or the sums of their weights."""
    need_tensor("bincount", "x", x)
    from ..dtypes import float64, int64

    if x.ndim != 1 or x.dtype.is_floating_point or x.dtype.name == "bool":
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs, got {x.dtype} of shape {x.shape}")
    if minlength < 0:
        raise RuntimeError(f"minlength should be >= 0, got {minlength}")
    if weights is not None and weights.shape != x.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if x.numel() == 0:
        return _core.full((minlength,), 0, int64 if weights is None else weights.dtype)
    x = x.detach() if x.dtype == int64 else cast(x, int64)
    if weights is None:
        return _core.bincount(x, minlength)
    if int(x.min()) < 0:
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs, got {int(x.min())}")
    size = max(int(x.max()) + 1, minlength)
    weights = weights if weights.dtype.is_floating_point else cast(weights, float64)
    return _core.index_add(weights.detach(), 0, x, size)


def _limits(name, x, low, high):
    if low == 0 and high == 0 and x.numel():
        low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, got min {low} and max {high}")
    return (low - 1, high + 1) if low == high else (low, high)


def _bins(name, x, bins, low, high):
    """The bin of each element and which elements lie inside."""
    if bins <= 0:
        raise RuntimeError(f"{name}: bins must be > 0, but got {bins}")
    flat = x.detach().reshape(-1)
    place = ((flat - low) * (bins / (high - low))).floor().clamp(max=bins - 1)
    inside = (flat >= low) & (flat <= high)
    return where(inside, place, 0.0).long(), inside


def histc(x, bins=100, min=0, max=0):
    """How many elements fall into each of `bins` equal bins between min and max (the range of x if both are 0)."""
    need_tensor("histc", "x", x)
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"histc: expected a floating tensor, got {x.dtype}")
    low, high = _limits("histc", x.detach(), min, max)
    place, inside = _bins("histc", x, bins, low, high)
    return _core.index_add(cast(inside, x.dtype), 0, place, bins)


class Histogram(NamedTuple):
    """What histogram gives."""

    hist: object
    bin_edges: object


def histogram(x, bins, *, range=None, weight=None, density=False):
    """Counts (or sums of weights) in bins: a number of equal bins over `range`, or a sorted tensor of their edges; the last
    bin includes its upper edge. density=True divides so that the integral is 1."""
    need_tensor("histogram", "x", x)
    from .creation import linspace
    from .sort import searchsorted

    flat = x.detach().reshape(-1)
    if isinstance(bins, int):
        low, high = _limits("histogram", flat, *(range if range is not None else (0, 0)))
        edges = linspace(low, high, bins + 1, dtype=x.dtype)
    else:
        need_tensor("histogram", "bins", bins)
        edges = bins
    n = edges.numel() - 1
    place = searchsorted(edges, flat, right=True) - 1
    inside = (flat >= edges[0]) & (flat <= edges[-1])
    place = where(inside, place.clamp(0, n - 1), 0)
    amounts = cast(inside, x.dtype) if weight is None else where(inside, cast(weight.detach().reshape(-1), x.dtype), 0.0)
    counts = _core.index_add(amounts, 0, place, n)
    if density:
        counts = counts / (counts.sum() * (edges[1:] - edges[:-1]))
    return Histogram(counts, edges)
