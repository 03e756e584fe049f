"""Windows as columns, and images read at any places: loops over windows and points."""

import itertools

import numpy as np


def unfold(x, kernel, dilation, padding, stride):
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = kernel, dilation, padding, stride
    x = np.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    rows = range(0, x.shape[2] - dh * (kh - 1), sh)
    cols = range(0, x.shape[3] - dw * (kw - 1), sw)
    columns = [x[:, :, r : r + dh * kh : dh, c : c + dw * kw : dw][:, :, :kh, :kw] for r in rows for c in cols]
    return np.stack([c.reshape(x.shape[0], x.shape[1] * kh * kw) for c in columns], -1)


def fold(columns, size, kernel, dilation, padding, stride):
    """The transpose of unfold, found by unfolding the numbers of the pixels."""
    batch, channels = columns.shape[0], columns.shape[1] // (kernel[0] * kernel[1])
    pixels = channels * size[0] * size[1]
    places = unfold(np.arange(1, pixels + 1).reshape(1, channels, *size), kernel, dilation, padding, stride)
    out = np.zeros((batch, pixels + 1))  # place 0 collects what falls on the border
    for image, column in zip(out, columns, strict=True):
        np.add.at(image, places[0], column)
    return out[:, 1:].reshape(batch, channels, *size)


def reflected(x, low, high):
    while high > low and not low <= x <= high:
        x = 2 * low - x if x < low else 2 * high - x
    return x if high > low else low


def pixel(x, n, align_corners):
    return (x + 1) / 2 * (n - 1) if align_corners else ((x + 1) * n - 1) / 2


def continued(x, n, padding_mode, align_corners):
    """A coordinate beyond the border as one inside."""
    if padding_mode == "reflection":
        x = reflected(x, 0, n - 1) if align_corners else reflected(x, -0.5, n - 0.5)
    return x if padding_mode == "zeros" else min(max(x, 0), n - 1)


def cubic(x, a=-0.75):
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def taps(x, n, mode, padding_mode, align_corners):
    """(place, weight) along one dim."""
    x = pixel(x, n, align_corners)
    if mode == "bicubic":
        low = int(np.floor(x))
        return [(int(continued(i, n, padding_mode, align_corners)), cubic(x - i)) for i in range(low - 1, low + 3)]
    x = continued(x, n, padding_mode, align_corners)
    if mode == "nearest":
        return [(int(np.rint(x)), 1.0)]
    low = int(np.floor(x))
    return [(low, low + 1 - x), (low + 1, x - low)]


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    sizes = x.shape[2:]
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for place in np.ndindex(*grid.shape[:-1]):
        per_dim = [taps(g, n, mode, padding_mode, align_corners) for g, n in zip(grid[place][::-1], sizes, strict=True)]
        for corner in itertools.product(*per_dim):
            at = tuple(i for i, _ in corner)
            if all(0 <= i < n for i, n in zip(at, sizes, strict=True)):
                to, source = (place[0], slice(None), *place[1:]), (place[0], slice(None), *at)
                out[to] += np.prod([w for _, w in corner]) * x[source]
    return out


def affine_grid(theta, size, align_corners=False):
    axes = []
    for n in size[2:]:
        steps = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        axes.append(steps if align_corners else steps * (n - 1) / n)
    points = np.stack([*reversed(np.meshgrid(*axes, indexing="ij")), np.ones(size[2:])], -1)
    return np.einsum("...k,njk->n...j", points, theta)
