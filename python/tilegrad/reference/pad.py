"""Padding, by NumPy's own."""

import numpy as np

NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(x, pads, mode="constant", value=None):
    """Widths from the last dim on; the positive ones pad, the negative ones cut."""
    if not pads:
        return x
    if mode == "circular" and min(pads) < 0:  # what was cut away does not come round again
        return pad(pad(x, [min(p, 0) for p in pads]), [max(p, 0) for p in pads], mode)
    widths = [(0, 0)] * (x.ndim - len(pads) // 2) + [(pads[i], pads[i + 1]) for i in range(len(pads) - 2, -1, -2)]
    more = {"constant_values": 0 if value is None else value} if mode == "constant" else {}
    grown = np.pad(x, [(max(a, 0), max(b, 0)) for a, b in widths], NUMPY_MODES[mode], **more)
    return grown[tuple(slice(max(-a, 0), size - max(-b, 0)) for (a, b), size in zip(widths, grown.shape, strict=True))]


def pad_backward(dy, before, after, mode):
    """The transpose of pad, found by padding the numbers of the elements."""
    shape = [n - a - b for n, a, b in zip(dy.shape, before, after, strict=True)]
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    pads = [w for a, b in zip(before[::-1], after[::-1], strict=True) for w in (a, b)]
    dx = np.zeros(places.size)
    np.add.at(dx, pad(places, pads, ("constant", "reflect", "replicate", "circular")[mode]).ravel(), dy.ravel())
    return dx.reshape(shape)
