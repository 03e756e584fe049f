"""Running sums and their relatives along one dim, with their gradient rules."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor
from .elementwise import cast, exp, where
from .index import _dim, gather_backward
from .reduce import ValuesIndices, all_op

_cumsum = op(_core.cumsum)
_cumsum.backward(x=lambda dy, dim, reverse: _cumsum(dy, dim, not reverse))


def _cumprod_dx(dy, x, dim, out):
    if bool(all_op(x, None, False)):
        return _cumsum(dy * out, dim, True) / x
    return _cumprod_dx_with_zeros(dy, x, dim)


def _cumprod_dx_with_zeros(dy, x, dim):
    """dx[k] = sum of dy[i] times the product of all x[j], j <= i and j != k, over i >= k: n times the memory of x."""
    from .creation import eye
    from .shape import movedim, triu, unsqueeze

    if x.ndim == 0:
        return dy
    rows, d = movedim(x, dim, -1), movedim(dy, dim, -1)
    n = rows.shape[-1]
    others = _cumprod(where(eye(n) == 1, 1.0, unsqueeze(rows, -2)), -1)  # (..., k, i)
    return movedim((triu(others) * unsqueeze(d, -2)).sum(-1), -1, dim)


_cumprod = op(_core.cumprod).backward(x=_cumprod_dx)


def _extreme_dx(dy, x_shape, dim, out1):
    return gather_backward(dy, dim, out1, x_shape)


_cummax = op(_core.cummax).backward(x=_extreme_dx)
_cummin = op(_core.cummin).backward(x=_extreme_dx)


def _logcumsumexp_backward_kernel(dy, x, y, dim, reverse):
    """The sum of dy[i] e^(x[k] - y[i]) over all i that x[k] went into, in the logarithm: positive and negative dy apart."""
    infinity = float("inf")

    def part(g):  # g > 0 is taken, the rest is log 0
        logs = _core.where(_core.gt(g, 0), _core.log(_core.where(_core.gt(g, 0), g, 1.0)), -infinity)
        return _core.exp(_core.add(_core.logcumsumexp(_core.sub(logs, y), dim, not reverse), x))

    return _core.sub(part(dy), part(_core.neg(dy)))


logcumsumexp_backward = op(_logcumsumexp_backward_kernel, name="logcumsumexp_backward")


@logcumsumexp_backward.composite
def _(dy, x, y, dim, reverse):
    from .shape import movedim, tril, triu, unsqueeze

    if x.ndim == 0:
        return dy * exp(x - y)
    a, b, d = (movedim(v, dim, -1) for v in (x, y, dy))
    weights = exp(unsqueeze(a, -1) - unsqueeze(b, -2))  # (..., k, i)
    used = tril(weights) if reverse else triu(weights)
    return movedim((used * unsqueeze(d, -2)).sum(-1), -1, dim)


_logcumsumexp = op(_core.logcumsumexp)
_logcumsumexp.backward(x=lambda dy, x, dim, reverse, out: logcumsumexp_backward(dy, x, out, dim, reverse))


def cumsum(x, dim, *, dtype=None):
    """Running sum along a dim; integers and bools add up in int64, float32 in float64 with one rounding per element."""
    return _cumsum(x if dtype is None else cast(x, dtype), _dim_of("cumsum", dim, x), False)


def cumprod(x, dim, *, dtype=None):
    """Running product along a dim. The gradient is right also where elements are zero (at n times the memory then)."""
    return _cumprod(x if dtype is None else cast(x, dtype), _dim_of("cumprod", dim, x))


def cummax(x, dim):
    """Running maximum along a dim: (values, indices), of equals the last. NaN stays."""
    return ValuesIndices(*_cummax(x, _dim_of("cummax", dim, x)))


def cummin(x, dim):
    """Running minimum along a dim: (values, indices), of equals the last. NaN stays."""
    return ValuesIndices(*_cummin(x, _dim_of("cummin", dim, x)))


def logcumsumexp(x, dim):
    """The logarithm of the running sum of exp(x) along a dim, without overflow."""
    return _logcumsumexp(x, _dim_of("logcumsumexp", dim, x), False)


def _dim_of(name, dim, x):
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"{name}: dim must be an int, got {type(dim).__name__}")
    need_tensor(name, "input", x)
    return _dim(name, dim, x) if x.ndim else dim


cumsum_ = _cumsum.in_place(lambda x, dim, reverse: _core.copy_(x, _core.cumsum(x, dim, reverse)), name="cumsum_")
cumprod_ = _cumprod.in_place(lambda x, dim: _core.copy_(x, _core.cumprod(x, dim)), name="cumprod_")


def diff(x, n=1, dim=-1, prepend=None, append=None):
    """The n-th differences of neighbours along a dim: x[i + 1] - x[i], n times over."""
    need_tensor("diff", "x", x)
    from .index import narrow
    from .shape import cat

    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative but got {n}")
    parts = [v for v in (prepend, x, append) if v is not None]
    x = cat(parts, dim) if len(parts) > 1 else x
    if x.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    at = _dim("diff", dim, x)
    for _ in range(n):
        size = x.shape[at]
        if size == 0:
            return x
        after, before = narrow(x, at, 1, size - 1), narrow(x, at, 0, size - 1)
        x = after ^ before if x.dtype.name == "bool" else after - before
    return x
