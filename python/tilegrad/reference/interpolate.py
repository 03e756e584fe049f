"""Interpolation: a matrix for each dim, one row for each place of the result."""

import numpy as np

from tilegrad.reference.pool import adaptive, along_last_dims

MODES = ("nearest", "nearest-exact", "linear", "cubic", "area")


def cubic(x, a):
    """Keys' convolution kernel."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def matrix(n_in, n_out, mode, align_corners=False, antialias=False, scale_factor=0.0):
    scale = 1 / scale_factor if scale_factor else n_in / n_out
    if align_corners:
        scale = (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
    m = np.zeros((n_out, n_in))
    for o in range(n_out):
        if mode == "area":
            m[o, adaptive(n_in, n_out)[o]] = 1
        elif mode.startswith("nearest"):
            m[o, min(int((o + (0.5 if mode == "nearest-exact" else 0.0)) * scale), n_in - 1)] = 1
        elif antialias:
            stretch, centre = max(scale, 1.0), scale * (o + 0.5)
            for i in range(n_in):
                x = (i + 0.5 - centre) / stretch
                m[o, i] = cubic(x, -0.5) if mode == "cubic" else max(0.0, 1 - abs(x))
        else:
            place = scale * o if align_corners else scale * (o + 0.5) - 0.5
            place = max(place, 0.0) if mode == "linear" else place
            low = int(np.floor(place))
            for i in range(low - 1, low + 3):
                weight = cubic(place - i, -0.75) if mode == "cubic" else max(0.0, 1 - abs(place - i))
                m[o, min(max(i, 0), n_in - 1)] += weight
        if mode == "area" or antialias:
            m[o] /= m[o].sum()
    return m


def matrices(in_sizes, out_sizes, mode, align_corners, antialias, *scales):
    scales = scales[3 - len(in_sizes) :]
    return [matrix(i, o, MODES[mode], align_corners, antialias, s) for i, o, s in zip(in_sizes, out_sizes, scales, strict=True)]


def interpolate(x, size, *rest):
    return along_last_dims(x, matrices(x.shape[x.ndim - len(size) :], size, *rest))


def interpolate_backward(dy, in_size, *rest):
    return along_last_dims(dy, [m.T for m in matrices(in_size, dy.shape[dy.ndim - len(in_size) :], *rest)])
