"""Normalisation over rows, channels and groups of channels, and the gradients."""

import numpy as np


def _statistics(x, axes, eps):
    """(x - mean) / deviation, and 1 / deviation."""
    rstd = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    return (x - x.mean(axes, keepdims=True)) * rstd, rstd


def _last(dims):
    return tuple(range(-dims, 0))


def _channel(v, ndim):
    return v.reshape(1, -1, *[1] * (ndim - 2))


def _one(v, otherwise):
    return otherwise if v is None else v


def _dx(g, xhat, rstd, axes):
    return rstd * (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True))


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if x.size == 0:
        return x
    return _statistics(x, _last(len(normalized_shape)), eps)[0] * _one(weight, 1.0) + _one(bias, 0.0)


def layer_norm_backward(dy, x, weight, dims, eps):
    xhat, rstd = _statistics(x, _last(dims), eps)
    lead = tuple(range(x.ndim - dims))
    return _dx(dy * _one(weight, 1.0), xhat, rstd, _last(dims)), (dy * xhat).sum(lead), dy.sum(lead)


def rms_norm(x, normalized_shape, weight=None, eps=1e-5):
    if x.size == 0:
        return x
    return x / np.sqrt((x * x).mean(_last(len(normalized_shape)), keepdims=True) + eps) * _one(weight, 1.0)


def rms_norm_backward(dy, x, weight, dims, eps):
    rstd = 1 / np.sqrt((x * x).mean(_last(dims), keepdims=True) + eps)
    xhat, g = x * rstd, dy * _one(weight, 1.0)
    dx = rstd * (g - xhat * (g * xhat).mean(_last(dims), keepdims=True))
    return dx, (dy * xhat).sum(tuple(range(x.ndim - dims)))


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if x.size == 0:
        return x
    axes = (0, *range(2, x.ndim))
    if training:
        xhat = _statistics(x, axes, eps)[0]
    else:
        xhat = (x - _channel(running_mean, x.ndim)) / np.sqrt(_channel(running_var, x.ndim) + eps)
    ones, zeros = np.ones(x.shape[1]), np.zeros(x.shape[1])
    return xhat * _channel(_one(weight, ones), x.ndim) + _channel(_one(bias, zeros), x.ndim)


def batch_norm_backward(dy, x, weight, eps):
    axes = (0, *range(2, x.ndim))
    xhat, rstd = _statistics(x, axes, eps)
    g = dy * _channel(_one(weight, np.ones(x.shape[1])), x.ndim)
    return _dx(g, xhat, rstd, axes), (dy * xhat).sum(axes), dy.sum(axes)


def channel_affine(x, scale, shift):
    return x * _channel(scale, x.ndim) + _channel(shift, x.ndim)


def channel_affine_backward(dy, x, scale):
    axes = (0, *range(2, x.ndim))
    return dy * _channel(scale, x.ndim), (dy * x).sum(axes), dy.sum(axes)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    if x.size == 0:
        return x
    xhat = _statistics(x.reshape(x.shape[0], num_groups, -1), 2, eps)[0].reshape(x.shape)
    ones, zeros = np.ones(x.shape[1]), np.zeros(x.shape[1])
    return xhat * _channel(_one(weight, ones), x.ndim) + _channel(_one(bias, zeros), x.ndim)


def group_norm_backward(dy, x, weight, groups, eps):
    xhat, rstd = _statistics(x.reshape(x.shape[0], groups, -1), 2, eps)
    g = (dy * _channel(_one(weight, np.ones(x.shape[1])), x.ndim)).reshape(xhat.shape)
    axes = (0, *range(2, x.ndim))
    return _dx(g, xhat, rstd, 2).reshape(x.shape), (dy * xhat.reshape(x.shape)).sum(axes), dy.sum(axes)
