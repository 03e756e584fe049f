"""Normalisation: values are shifted and scaled to mean 0 and variance 1 over a group of elements.

    layer_norm, rms_norm   a group is what the last dims hold: one row
    batch_norm             a group is a channel, over the whole batch
    group_norm             a group is some channels of one sample; one channel each is instance_norm

Variances are the mean of squared deviations (divided by n), as in PyTorch. The ops also return the statistics: they serve the
backward pass and have no gradient of their own. The composites compute them again from x, so that higher orders see how they
depend on it.
"""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .elementwise import rsqrt
from .reduce import mean, sum_op
from .shape import reshape_op, sum_to

# (y, mean, rstd) of every row: what the last `dims` dims hold
layer_norm_op = op(_core.layer_norm)
layer_norm_backward = op(_core.layer_norm_backward)
# (y, rstd)
rms_norm_op = op(_core.rms_norm)
rms_norm_backward = op(_core.rms_norm_backward)
# (y, mean, rstd, variance) of every channel of x (N, C, ...)
batch_norm_op = op(_core.batch_norm)
batch_norm_backward = op(_core.batch_norm_backward)
# (y, mean, rstd), the statistics (N, groups)
group_norm_op = op(_core.group_norm)
group_norm_backward = op(_core.group_norm_backward)


@layer_norm_op.backward
def _(dy, x, weight, dims, eps, out1, out2, needs):
    dx, dw, db = layer_norm_backward(dy, x, weight, out1.detach(), out2.detach(), dims, eps)
    return dx, dw if needs[1] else None, db if needs[2] else None, None, None


@rms_norm_op.backward
def _(dy, x, weight, dims, eps, out1, needs):
    dx, dw = rms_norm_backward(dy, x, weight, out1.detach(), dims, eps)
    return dx, dw if needs[1] else None, None, None


@batch_norm_op.backward
def _(dy, x, weight, eps, out1, out2, needs):
    dx, dw, db = batch_norm_backward(dy, x, weight, out1.detach(), out2.detach(), eps)
    return dx, dw if needs[1] else None, db if needs[2] else None, None


@group_norm_op.backward
def _(dy, x, weight, groups, eps, out1, out2, needs):
    dx, dw, db = group_norm_backward(dy, x, weight, out1.detach(), out2.detach(), groups, eps)
    return dx, dw if needs[1] else None, db if needs[2] else None, None, None


# --- composites ---------------------------------------------------------------------------------------------------------
def _normalised(x, dims, eps):
    """((x - mean) / sqrt(var + eps), mean, 1 / sqrt(var + eps), var) over dims, which are kept."""
    centre = mean(x, dims, True)
    centred = x - centre
    variance = mean(centred * centred, dims, True)
    rstd = rsqrt(variance + eps)
    return centred * rstd, centre, rstd, variance


def _normalised_backward(g, xhat, rstd, dims):
    """dx of xhat = (x - mean) rstd, given the gradient g of xhat."""
    return rstd * (g - mean(g, dims, True) - xhat * mean(g * xhat, dims, True))


def _scaled(y, weight, bias=None):
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def _last(dims):
    return tuple(range(-dims, 0))


def _per_channel(v, ndim):
    """(C,) as (1, C, 1, ...)."""
    return None if v is None else reshape_op(v, (1, -1) + (1,) * (ndim - 2))


def _channel_sum(x):
    return sum_op(x, (0, *range(2, x.ndim)), False)


@layer_norm_op.composite
def _(x, weight, bias, dims, eps):
    y, centre, rstd, _ = _normalised(x, _last(dims), eps)
    lead = x.shape[: x.ndim - dims]
    return _scaled(y, weight, bias), reshape_op(centre, lead), reshape_op(rstd, lead)


@layer_norm_backward.composite
def _(dy, x, weight, mean, rstd, dims, eps):
    xhat, _, inverse, _ = _normalised(x, _last(dims), eps)
    dx = _normalised_backward(_scaled(dy, weight), xhat, inverse, _last(dims))
    shape = x.shape[x.ndim - dims :]
    return dx, sum_to(dy * xhat, shape), sum_to(dy, shape)


@rms_norm_op.composite
def _(x, weight, dims, eps):
    rstd = rsqrt(mean(x * x, _last(dims), True) + eps)
    return _scaled(x * rstd, weight), reshape_op(rstd, x.shape[: x.ndim - dims])


@rms_norm_backward.composite
def _(dy, x, weight, rstd, dims, eps):
    inverse = rsqrt(mean(x * x, _last(dims), True) + eps)
    xhat, g = x * inverse, _scaled(dy, weight)
    dx = inverse * (g - xhat * mean(g * xhat, _last(dims), True))
    return dx, sum_to(dy * xhat, x.shape[x.ndim - dims :])


@batch_norm_op.composite
def _(x, weight, bias, eps):
    y, centre, rstd, variance = _normalised(x, (0, *range(2, x.ndim)), eps)
    y = _scaled(y, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))
    return y, *(reshape_op(s, (x.shape[1],)) for s in (centre, rstd, variance))


@batch_norm_backward.composite
def _(dy, x, weight, mean, rstd, eps):
    dims = (0, *range(2, x.ndim))
    xhat, _, inverse, _ = _normalised(x, dims, eps)
    dx = _normalised_backward(_scaled(dy, _per_channel(weight, x.ndim)), xhat, inverse, dims)
    return dx, _channel_sum(dy * xhat), _channel_sum(dy)


def _grouped(x, groups):
    samples = x.shape[0]
    return reshape_op(x, (samples, groups, x.numel() // max(1, samples * groups)))


@group_norm_op.composite
def _(x, weight, bias, groups, eps):
    y, centre, rstd, _ = _normalised(_grouped(x, groups), 2, eps)
    y = _scaled(reshape_op(y, x.shape), _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))
    return y, reshape_op(centre, (x.shape[0], groups)), reshape_op(rstd, (x.shape[0], groups))


@group_norm_backward.composite
def _(dy, x, weight, mean, rstd, groups, eps):
    xhat, _, inverse, _ = _normalised(_grouped(x, groups), 2, eps)
    g = _grouped(_scaled(dy, _per_channel(weight, x.ndim)), groups)
    dx = reshape_op(_normalised_backward(g, xhat, inverse, 2), x.shape)
    return dx, _channel_sum(dy * reshape_op(xhat, x.shape)), _channel_sum(dy)


# --- channel_affine: batch_norm with given statistics -----------------------------------------------------------------------
channel_affine = op(_core.channel_affine)
channel_affine.__doc__ = "x * scale + shift with one scale and one shift a channel: x (N, C, ...), scale and shift (C,)."
channel_affine_backward = op(_core.channel_affine_backward)


@channel_affine.backward
def _(dy, x, scale, needs):
    if not (needs[1] or needs[2]):
        return dy * _per_channel(scale, dy.ndim), None, None
    dx, dscale, dshift = channel_affine_backward(dy, x, scale)
    return dx, dscale if needs[1] else None, dshift if needs[2] else None


@channel_affine.composite
def _(x, scale, shift):
    return x * _per_channel(scale, x.ndim) + _per_channel(shift, x.ndim)


@channel_affine_backward.composite
def _(dy, x, scale):
    return dy * _per_channel(scale, dy.ndim), _channel_sum(dy * x), _channel_sum(dy)
