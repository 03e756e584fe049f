"""Pooling by walking over every window."""

import itertools

import numpy as np


def window(in_size, kernel, stride, padding, dilation, ceil_mode):
    """The places of every window of one dim, those in the border included."""
    reach = dilation * (kernel - 1) + 1
    count = (in_size + 2 * padding - reach + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= in_size + padding:
        count -= 1
    return [[o * stride - padding + k * dilation for k in range(kernel)] for o in range(count)]


def adaptive(in_size, out_size):
    return [list(range(o * in_size // out_size, -(-(o + 1) * in_size // out_size))) for o in range(out_size)]


def windows(x, kernel, stride, padding, dilation, ceil_mode):
    """One list of windows for each of the last dims; no kernel: adaptive windows of the sizes `stride`."""
    sizes = x.shape[x.ndim - len(stride) :]
    if not kernel:
        return [adaptive(n, o) for n, o in zip(sizes, stride, strict=True)]
    return [window(*args, ceil_mode) for args in zip(sizes, kernel, stride, padding, dilation, strict=True)]


def maxima(x, *geometry):
    """(values, places in the plane, plane shape): of equal elements the first, NaN before everything, of NaNs the last."""
    per_dim = windows(x, *geometry)
    dims = len(per_dim)
    sizes = x.shape[x.ndim - dims :]
    planes = x.reshape(-1, *sizes)
    out_shape = tuple(map(len, per_dim))
    values, places = np.zeros((len(planes), *out_shape)), np.zeros((len(planes), *out_shape), np.int64)
    for p, plane in enumerate(planes):
        for o in itertools.product(*map(range, out_shape)):
            inside = [[i for i in w[k] if 0 <= i < n] for w, k, n in zip(per_dim, o, sizes, strict=True)]
            best, where = -np.inf, None
            for at in itertools.product(*inside):
                if where is None or plane[at] > best or np.isnan(plane[at]):
                    best, where = plane[at], at
            to = (p, *o)
            values[to], places[to] = best, np.ravel_multi_index(where, sizes)
    lead = x.shape[: x.ndim - dims]
    return values.reshape(*lead, *out_shape), places.reshape(*lead, *out_shape)


def max_pool(x, kernel, stride, padding, dilation, ceil_mode):
    return maxima(x, kernel, stride, padding, dilation, ceil_mode)[0]


def max_pool_backward(dy, x, kernel, stride, padding, dilation, ceil_mode):
    _, places = maxima(x, kernel, stride, padding, dilation, ceil_mode)
    plane = int(np.prod(x.shape[x.ndim - len(stride) :]))
    dx = np.zeros(x.size)
    starts = np.arange(x.size // plane).repeat(dy.size // max(x.size // plane, 1)) * plane
    np.add.at(dx, starts + places.ravel(), dy.ravel())
    return dx.reshape(x.shape)


def average_matrix(in_size, kernel, stride, padding, ceil_mode, count_include_pad):
    """(matrix of ones where a window looks, divisors)."""
    per_window = window(in_size, kernel, stride, padding, 1, ceil_mode)
    matrix = np.zeros((len(per_window), in_size))
    for row, places in zip(matrix, per_window, strict=True):
        row[[i for i in places if 0 <= i < in_size]] = 1
    counted = [len([i for i in places if i < in_size + padding]) for places in per_window]
    return matrix, np.array(counted, float) if count_include_pad else matrix.sum(1)


def average_matrices(in_sizes, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    result = []
    for d, args in enumerate(zip(in_sizes, kernel, stride, padding, strict=True)):
        matrix, divisor = average_matrix(*args, ceil_mode, count_include_pad)
        if divisor_override:
            divisor = np.full_like(divisor, divisor_override if d == 0 else 1.0)
        result.append(matrix / divisor[:, None])
    return result


def along_last_dims(x, matrices):
    """A matrix applied to each of the last dims."""
    for d, matrix in enumerate(matrices, x.ndim - len(matrices)):
        x = np.moveaxis(np.moveaxis(x, d, -1) @ matrix.T, -1, d)
    return x


def avg_pool(x, kernel, *rest):
    return along_last_dims(x, average_matrices(x.shape[x.ndim - len(kernel) :], kernel, *rest))


def avg_pool_backward(dy, in_sizes, kernel, *rest):
    return along_last_dims(dy, [m.T for m in average_matrices(in_sizes, kernel, *rest)])
