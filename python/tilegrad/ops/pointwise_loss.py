"""Losses of one number against one number: the sum is part of the kernel, so nothing of the inputs' size is stored on the way.

kind              f(x, y), with d = x - y                                 parameter
mse               d²
l1                |d|
smooth_l1         d² / (2 beta) where |d| < beta, else |d| - beta / 2     beta
huber             d² / 2 where |d| <= delta, else delta (|d| - delta/2)   delta
bce               -(y log x + (1 - y) log(1 - x)), logarithms >= -100
bce_with_logits   max(x, 0) - x y + log(1 + e^-|x|)
kl_div            y (log y - x), 0 where y is 0
kl_div_log        e^y (y - x)
"""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .elementwise import abs, clamp, exp, log, log1p, relu, sigmoid, sign, where
from .reduce import sum_op

KINDS = ("mse", "l1", "smooth_l1", "huber", "bce", "bce_with_logits", "kl_div", "kl_div_log")
REDUCTIONS = ("none", "sum", "mean")

pointwise_loss_op = op(_core.pointwise_loss).backward(
    x=lambda dy, x, y, kind, parameter, reduction: pointwise_loss_backward(dy, x, y, kind, parameter, reduction),
    y=lambda dy, x, y, kind, parameter, reduction: _spread(dy, x, reduction) * target_slope(KINDS[kind], x, y, parameter),
)
pointwise_loss_backward = op(_core.pointwise_loss_backward)
pointwise_loss_op.set_autocast(-2)


def limited_log(x):
    """max(log x, -100), with gradient 0 instead of 0 * inf where the limit is active."""
    tiny = 3.8e-44  # about exp(-100)
    return where(x > tiny, log(clamp(x, min=tiny)), -100.0)


def value(kind, x, y, parameter=1.0):
    """f(x, y) in plain ops; shapes broadcast."""
    if kind == "bce":
        return -(y * limited_log(x) + (1.0 - y) * limited_log(1.0 - x))
    if kind == "bce_with_logits":
        return relu(x) - x * y + log1p(exp(-abs(x)))
    if kind == "kl_div":
        positive = where(y > 0, y, 1.0)
        return y * log(positive) - y * x
    if kind == "kl_div_log":
        return exp(y) * (y - x)
    d = x - y
    if kind == "mse":
        return d * d
    size = abs(d)
    if kind == "l1":
        return size
    if kind == "smooth_l1":
        return where(size < parameter, d * d * (0.5 / parameter), size - 0.5 * parameter)
    return where(size <= parameter, d * d * 0.5, (size - 0.5 * parameter) * parameter)


def slope(kind, x, y, parameter):
    """df/dx in plain ops."""
    d = x - y
    if kind == "mse":
        return d * 2.0
    if kind == "l1":
        return sign(d)
    if kind == "smooth_l1":
        return where(abs(d) < parameter, d * (1.0 / parameter), sign(d))
    if kind == "huber":
        return where(abs(d) <= parameter, d, sign(d) * parameter)
    if kind == "bce":
        return d / clamp(x * (1.0 - x), min=1e-12)
    if kind == "bce_with_logits":
        return sigmoid(x) - y
    return -y + x * 0.0 if kind == "kl_div" else -exp(y) + x * 0.0


def target_slope(kind, x, y, parameter):
    """df/dy in plain ops."""
    if kind == "bce":
        return limited_log(1.0 - x) - limited_log(x)
    if kind == "bce_with_logits":
        return -x + y * 0.0
    if kind == "kl_div":
        return where(y > 0, log(where(y > 0, y, 1.0)) + 1.0 - x, -x)
    if kind == "kl_div_log":
        return exp(y) * (y - x + 1.0)
    return -slope(kind, x, y, parameter)


def _spread(dy, x, reduction):
    """The gradient of every element's loss."""
    return dy * (1.0 / max(x.numel(), 1)) if REDUCTIONS[reduction] == "mean" else dy


@pointwise_loss_op.composite
def _(x, y, kind, parameter, reduction):
    losses = value(KINDS[kind], x, y, parameter)
    return losses if reduction == 0 else _spread(sum_op(losses, None, False), x, reduction)


@pointwise_loss_backward.composite
def _(dloss, x, y, kind, parameter, reduction):
    return _spread(dloss, x, reduction) * slope(KINDS[kind], x, y, parameter)


def pointwise_loss(kind, x, y, reduction="mean", parameter=1.0):
    """The loss `kind` of x against y, averaged, summed or for each element ("none").

    x and y: floating, of one shape and dtype. Raises RuntimeError where they differ, or where an input of bce is not in [0, 1].
    """
    return pointwise_loss_op(x, y, KINDS.index(kind), float(parameter), REDUCTIONS.index(reduction))
