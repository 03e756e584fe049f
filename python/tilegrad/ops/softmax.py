"""softmax and log_softmax: fused kernels, differentiated from their outputs."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor
from .elementwise import cast, exp
from .reduce import logsumexp, sum_op

softmax_op = op(_core.softmax).backward(x=lambda dy, out, dim: softmax_backward(out, dy, dim))
softmax_backward = op(_core.softmax_backward)
log_softmax_op = op(_core.log_softmax).backward(x=lambda dy, out, dim: log_softmax_backward(out, dy, dim))
log_softmax_backward = op(_core.log_softmax_backward)


@softmax_op.composite
def _(x, dim):
    return exp(x - logsumexp(x, dim, True))


@softmax_backward.composite
def _(y, dy, dim):
    return (dy - sum_op(dy * y, dim, True)) * y


@log_softmax_op.composite
def _(x, dim):
    return x - logsumexp(x, dim, True)


@log_softmax_backward.composite
def _(y, dy, dim):
    return dy - exp(y) * sum_op(dy, dim, True)


def _default_dim(name, dim, x):
    if dim is None:  # PyTorch's implicit choice, kept for old lecture code
        return 0 if x.ndim in (0, 1, 3) else 1
    if not isinstance(dim, int):
        raise TypeError(f"{name}: dim must be an int, got {type(dim).__name__}")
    return dim


def softmax(x, dim=None, dtype=None):
    """exp(x) / sum(exp(x)) along a dim; x is any floating tensor. A row of only -inf gives NaN, as in PyTorch."""
    need_tensor("softmax", "x", x)
    return softmax_op(x if dtype is None else cast(x, dtype), _default_dim("softmax", dim, x))


def log_softmax(x, dim=None, dtype=None):
    """log(softmax(x)) along a dim, computed without taking the logarithm of small numbers."""
    need_tensor("log_softmax", "x", x)
    return log_softmax_op(x if dtype is None else cast(x, dtype), _default_dim("log_softmax", dim, x))
