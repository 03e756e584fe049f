"""Padding layers: a border around the last 1, 2 or 3 dims.

Source: https://pytorch.org/docs/stable/nn.html#padding-layers
"""

from __future__ import annotations

from collections.abc import Sequence

from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    dims = 1
    mode = "constant"

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        if not isinstance(padding, int) and len(padding) != 2 * self.dims:
            raise ValueError(
                f"{type(self).__name__}: padding must be an int or {2 * self.dims} ints (left, right, ...), got {padding}"
            )
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """(N, C, L) or (C, L) with `value` on either side. padding: an int or (left, right); negative cuts."""


class ConstantPad2d(_ConstantPad):
    """(N, C, H, W) or (C, H, W) with a border of `value`. padding: an int or (left, right, top, bottom)."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """(N, C, D, H, W) or (C, D, H, W) with a border of `value`. padding: an int or (left, right, top, bottom, front, back)."""

    dims = 3


class ZeroPad1d(_Pad):
    """(N, C, L) or (C, L) with zeros on either side."""


class ZeroPad2d(_Pad):
    """(N, C, H, W) or (C, H, W) with a border of zeros."""

    dims = 2


class ZeroPad3d(_Pad):
    """(N, C, D, H, W) or (C, D, H, W) with a border of zeros."""

    dims = 3


class ReflectionPad1d(_Pad):
    """(N, C, L) or (C, L) mirrored at its ends, the end not repeated: c b a b c b a."""

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """(N, C, H, W) or (C, H, W) mirrored at its edges."""

    dims = 2


class ReflectionPad3d(ReflectionPad1d):
    """(N, C, D, H, W) or (C, D, H, W) mirrored at its faces."""

    dims = 3


class ReplicationPad1d(_Pad):
    """(N, C, L) or (C, L) with its ends repeated: a a a b c c c."""

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """(N, C, H, W) or (C, H, W) with its edges repeated."""

    dims = 2


class ReplicationPad3d(ReplicationPad1d):
    """(N, C, D, H, W) or (C, D, H, W) with its faces repeated."""

    dims = 3


class CircularPad1d(_Pad):
    """(N, C, L) or (C, L) going round: b c a b c a b."""

    mode = "circular"


class CircularPad2d(CircularPad1d):
    """(N, C, H, W) or (C, H, W) going round in both dims."""

    dims = 2


class CircularPad3d(CircularPad1d):
    """(N, C, D, H, W) or (C, D, H, W) going round in all three dims."""

    dims = 3
