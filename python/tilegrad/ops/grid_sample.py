"""grid_sample: images read at any points. The kernels are for images, bilinear and nearest; the plain form does everything."""

from __future__ import annotations

import itertools

from .. import _core
from ..autograd.op import op
from .creation import arange
from .elementwise import cast, where
from .index import index_select_op
from .shape import reshape_op

PADDINGS = ("zeros", "border", "reflection")


def _reflect(x, low, high):
    """x reflected at low and high until it lies between them."""
    if low == high:
        return x * 0
    span = high - low
    distance = (x - low).abs()
    flips = (distance.detach() / span).floor()
    rest = distance - flips * span
    return where(flips % 2 == 0, rest + low, high - rest)


def _padded(x, n, padding_mode, align_corners):
    if padding_mode == "reflection":
        x = _reflect(x, 0.0, n - 1.0) if align_corners else _reflect(x, -0.5, n - 0.5)
    return x if padding_mode == "zeros" else x.clamp(0, n - 1)


def _cubic_weights(t):
    """Keys' kernel with a = -0.75 at the four places around a point t behind the second."""
    a = -0.75
    near = [((a + 2) * x - (a + 3)) * x * x + 1 for x in (t, 1 - t)]
    far = [((a * x - 5 * a) * x + 8 * a) * x - 4 * a for x in (t + 1, 2 - t)]
    return [far[0], near[0], near[1], far[1]]


def _taps(x, n, mode, padding_mode, align_corners):
    """(place, weight) pairs for one coordinate in pixels; weight None is 1. Places are whole floating numbers."""
    if mode == "bicubic":
        low = x.detach().floor()
        places = [_padded(low + k, n, padding_mode, align_corners).detach() for k in (-1, 0, 1, 2)]
        return list(zip(places, _cubic_weights(x - low), strict=True))
    x = _padded(x, n, padding_mode, align_corners)
    if mode == "nearest":
        return [(x.detach().round(), x * 0 + 1 if x.requires_grad else None)]  # the grid's gradient is zeros, not nothing
    low = x.detach().floor()
    part = x - low
    return [(low, 1 - part), (low + 1, part)]


def grid_sample_plain(input, grid, mode, padding_mode, align_corners):
    """grid_sample in plain ops, for images and volumes and with derivatives of any order."""
    batch, channels, *sizes = input.shape
    count = len(sizes)
    places = 1
    for n in grid.shape[1:-1]:
        places *= n
    points = reshape_op(grid, (batch * places, count))
    taps = []
    for d, n in enumerate(sizes):
        x = points[:, count - 1 - d]
        x = (x + 1) * ((n - 1) / 2) if align_corners else ((x + 1) * n - 1) / 2
        taps.append(_taps(x, n, mode, padding_mode, align_corners))

    pixels = 1
    for n in sizes:
        pixels *= n
    rows = input.reshape(batch, channels, pixels).transpose(1, 2).reshape(batch * pixels, channels)
    starts = (arange(batch) * pixels).reshape(-1, 1).expand(batch, places).reshape(batch * places)
    total = None
    for corner in itertools.product(*taps):
        place, weight = starts, None
        stride = pixels
        for (x, w), n in zip(corner, sizes, strict=True):
            stride //= n
            place = place + cast(x.clamp(0, n - 1), starts.dtype) * stride
            if padding_mode == "zeros":
                inside = cast((x >= 0) & (x <= n - 1), grid.dtype)
                w = inside if w is None else w * inside
            if w is not None:
                weight = w if weight is None else weight * w
        found = index_select_op(rows, 0, place)
        if weight is not None:
            found = found * weight.reshape(-1, 1)
        total = found if total is None else total + found
    return total.reshape(batch, places, channels).transpose(1, 2).reshape(batch, channels, *grid.shape[1:-1])


grid_sample_op = op(_core.grid_sample)
grid_sample_backward = op(_core.grid_sample_backward)


@grid_sample_op.backward
def _(dy, x, grid, nearest, padding, align_corners):
    return *grid_sample_backward(dy, x, grid, nearest, padding, align_corners), None, None, None


@grid_sample_op.composite
def _(x, grid, nearest, padding, align_corners):
    return grid_sample_plain(x, grid, "nearest" if nearest else "bilinear", PADDINGS[padding], align_corners)


@grid_sample_backward.composite
def _(dy, x, grid, nearest, padding, align_corners):
    from ..autograd import enable_grad, grad

    with enable_grad():
        leaves = [t if t.requires_grad else t.detach().requires_grad_() for t in (x, grid)]
        y = grid_sample_plain(*leaves, "nearest" if nearest else "bilinear", PADDINGS[padding], align_corners)
        dx, dgrid = grad(y, leaves, dy, create_graph=True)
    return dx, dgrid
