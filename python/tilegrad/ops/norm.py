"""Normalisation: values are shifted and scaled to mean 0 and variance 1 over a group of elements.

    layer_norm, rms_norm   a group is what the last dims hold: one row
    batch_norm             a group is a channel, over the whole batch
    group_norm             a group is some channels of one sample; one channel each is instance_norm

Variances are the mean of squared deviations (divided by n), as in PyTorch.
"""

from __future__ import annotations

from .elementwise import rsqrt
from .reduce import mean
from .shape import reshape_op


def _normalised(x, dims, eps):
    """((x - mean) / sqrt(var + eps), mean, 1 / sqrt(var + eps)) over dims, which are kept."""
    centre = mean(x, dims, True)
    centred = x - centre
    rstd = rsqrt(mean(centred * centred, dims, True) + eps)
    return centred * rstd, centre, rstd


def _scaled(y, weight, bias):
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def layer_norm_composite(x, weight, bias, dims, eps):
    """(y, mean, rstd) in plain ops; the statistics have the shape of the dims that are not normalised."""
    y, centre, rstd = _normalised(x, tuple(range(-dims, 0)), eps)
    lead = x.shape[: x.ndim - dims]
    return _scaled(y, weight, bias), reshape_op(centre, lead), reshape_op(rstd, lead)


def rms_norm_composite(x, weight, dims, eps):
    """(y, rstd) in plain ops."""
    rstd = rsqrt(mean(x * x, tuple(range(-dims, 0)), True) + eps)
    return _scaled(x * rstd, weight, None), reshape_op(rstd, x.shape[: x.ndim - dims])


def _per_channel(v, ndim):
    """(C,) as (1, C, 1, ...)."""
    return None if v is None else reshape_op(v, (1, -1) + (1,) * (ndim - 2))


def batch_norm_composite(x, weight, bias, eps):
    """(y, mean, rstd) in plain ops."""
    y, centre, rstd = _normalised(x, (0, *range(2, x.ndim)), eps)
    y = _scaled(y, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))
    return y, reshape_op(centre, (-1,)), reshape_op(rstd, (-1,))


def group_norm_composite(x, weight, bias, groups, eps):
    """(y, mean, rstd) in plain ops; the statistics are (N, groups)."""
    y, centre, rstd = _normalised(reshape_op(x, (x.shape[0], groups, -1)), 2, eps)
    y = _scaled(reshape_op(y, x.shape), _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))
    return y, reshape_op(centre, (-1, groups)), reshape_op(rstd, (-1, groups))


layer_norm_op, rms_norm_op, batch_norm_op = layer_norm_composite, rms_norm_composite, batch_norm_composite
group_norm_op = group_norm_composite


def channel_affine(x, scale, shift):
    """x * scale + shift with one scale and one shift a channel: x (N, C, ...), scale and shift (C,)."""
    return x * _per_channel(scale, x.ndim) + _per_channel(shift, x.ndim)
