"""Convolutions over any number of dims, from the definition: one multiply-and-add of shifted slices per kernel element."""

import itertools

import numpy as np

EVERY = (slice(None),) * 3  # batch, group, channel


def _tuple(value, n):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


def _taps(kernel):
    return itertools.product(*map(range, kernel))


def _before(padding, n):
    """Padding before each dim; `padding` may be an int, one per dim, or (before, after) of each dim in turn."""
    p = _tuple(padding, n)
    return p[::2] if len(p) == 2 * n and n > 1 else p


def _windows(n, sizes, kernel, stride, padding, dilation):
    stride, dilation, p = _tuple(stride, n), _tuple(dilation, n), _tuple(padding, n)
    both = [p[2 * d] + p[2 * d + 1] for d in range(n)] if len(p) == 2 * n and n > 1 else [2 * v for v in p]
    return tuple((s + b - d * (k - 1) - 1) // st + 1
                 for s, b, d, k, st in zip(sizes, both, dilation, kernel, stride, strict=True))  # fmt: skip


def _products(n, sizes, out, kernel, stride, padding, dilation):
    """Yields (index of w, of y, of x), each after three more dims, for the pixels where a tap of the kernel meets the image."""
    stride, dilation, before = _tuple(stride, n), _tuple(dilation, n), _before(padding, n)
    for tap in _taps(kernel):
        y_index, x_index = [], []
        for d in range(n):
            at = np.arange(out[d]) * stride[d] - before[d] + tap[d] * dilation[d]
            valid = (at >= 0) & (at < sizes[d])
            y_index.append(np.arange(out[d])[valid])
            x_index.append(at[valid])
        yield (*EVERY, *tap), (*EVERY, *np.ix_(*y_index)), (*EVERY, *np.ix_(*x_index))


def _grouped(a, groups, dim):
    """Splits the channel dim into (groups, channels)."""
    shape = (*a.shape[:dim], groups, a.shape[dim] // groups, *a.shape[dim + 1 :])
    return a.reshape(shape)


def conv(x, weight, bias=None, output_size=None, stride=1, padding=0, dilation=1, groups=1, activation="none"):
    """y (N, O, *out) of x (N, C, *sizes) and weight (O, C / groups, *kernel)."""
    n = x.ndim - 2
    kernel, sizes = weight.shape[2:], x.shape[2:]
    if padding == "same":  # an odd one out goes to the end
        total = [d * (k - 1) for d, k in zip(_tuple(dilation, n), kernel, strict=True)]
        padding, output_size = [t // 2 for t in total], sizes
    out = tuple(output_size) if output_size is not None else _windows(n, sizes, kernel, stride, padding, dilation)
    w = _grouped(weight, groups, 0)
    g = _grouped(x, groups, 1)
    y = np.zeros((x.shape[0], groups, w.shape[1], *out))
    for tap, y_at, x_at in _products(n, sizes, out, kernel, stride, padding, dilation):
        y[y_at] += np.einsum("ngc...,goc->ngo...", g[x_at], w[tap])
    y = y.reshape(x.shape[0], weight.shape[0], *out)
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * n)
    return np.maximum(y, 0) if activation == "relu" else y


def conv_backward_input(dy, weight, input_size, stride=1, padding=0, dilation=1, groups=1):
    """dx (N, C, *input_size)."""
    n = dy.ndim - 2
    w, g = _grouped(weight, groups, 0), _grouped(dy, groups, 1)
    dx = np.zeros((dy.shape[0], groups, weight.shape[1], *input_size))
    for tap, y_at, x_at in _products(n, input_size, dy.shape[2:], weight.shape[2:], stride, padding, dilation):
        dx[x_at] += np.einsum("ngo...,goc->ngc...", g[y_at], w[tap])
    return dx.reshape(dy.shape[0], groups * weight.shape[1], *input_size)


def conv_backward_weight(dy, x, kernel_size, stride=1, padding=0, dilation=1, groups=1):
    """dw (O, C / groups, *kernel_size)."""
    n = dy.ndim - 2
    a, b = _grouped(dy, groups, 1), _grouped(x, groups, 1)
    dw = np.zeros((groups, a.shape[2], b.shape[2], *kernel_size))
    for tap, y_at, x_at in _products(n, x.shape[2:], dy.shape[2:], kernel_size, stride, padding, dilation):
        left, right = (z.reshape(*z.shape[:3], np.prod(z.shape[3:], dtype=int)) for z in (a[y_at], b[x_at]))
        dw[tap] = np.einsum("ngop,ngcp->goc", left, right)
    return dw.reshape(dy.shape[1], b.shape[2], *kernel_size)


def conv_transpose(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """y (N, O, *out) of x (N, C, *sizes) and weight (C, O / groups, *kernel): every pixel of x adds its weight to y."""
    n = x.ndim - 2
    options = zip(
        x.shape[2:],
        _tuple(stride, n),
        _tuple(padding, n),
        _tuple(output_padding, n),
        _tuple(dilation, n),
        weight.shape[2:],
        strict=True,
    )
    out = tuple((size - 1) * s - 2 * p + d * (k - 1) + e + 1 for size, s, p, e, d, k in options)
    y = conv_backward_input(x, weight, out, stride, padding, dilation, groups)
    return y if bias is None else y + bias.reshape(-1, *[1] * n)
