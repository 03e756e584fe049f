"""Counts, norms and moments."""

import numpy as np

from .reduce import mean, var


def _axis(dim):
    return tuple(dim) if isinstance(dim, list) else dim


def aminmax(x, dim=None):
    return np.min(x, axis=dim), np.max(x, axis=dim)


def count_nonzero(x, dim=None):
    return np.asarray(np.count_nonzero(x, axis=_axis(dim)))


def nansum(x, dim=None, keepdim=False):
    return np.nansum(x, axis=_axis(dim), keepdims=keepdim)


def nanmean(x, dim=None, keepdim=False):
    return np.nanmean(x, axis=_axis(dim), keepdims=keepdim)


def var_mean(x, dim=None, correction=1, keepdim=False):
    return var(x, dim, correction, keepdim), mean(x, dim, keepdim)


def std_mean(x, dim=None, correction=1, keepdim=False):
    variance, average = var_mean(x, dim, correction, keepdim)
    return np.sqrt(variance), average


def vector_norm(x, ord=2, dim=None, keepdim=False):
    size = np.abs(x)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(size, axis=_axis(dim), keepdims=keepdim)
    if ord == 0:
        return np.sum(x != 0, axis=_axis(dim), keepdims=keepdim).astype(np.float64)
    return np.sum(size**ord, axis=_axis(dim), keepdims=keepdim) ** (1 / ord)


def matrix_norm(x, ord="fro", dim=(-2, -1), keepdim=False):
    return np.linalg.norm(x, ord, tuple(dim), keepdim)


def histc(x, bins, low, high):
    return np.histogram(x, bins, (low, high))[0].astype(np.float64)


def histogram(x, bins, range=None):
    counts, edges = np.histogram(x, bins, range)
    return counts.astype(np.float64), edges


def histogram_with_edges(x, edges, density):
    return np.histogram(x, edges, density=density)[0].astype(np.float64)


def bincount(x, weights=None, minlength=0):
    return np.bincount(x, weights, minlength)


def cov(x, correction=1, fweights=None, aweights=None):
    return np.cov(x, ddof=correction, fweights=fweights, aweights=aweights)
