"""Pooling layers: the module forms of `functional`'s pooling functions.

Source: https://pytorch.org/docs/stable/nn.html#pooling-layers
"""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPool(Module):
    dims = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        function = getattr(F, f"max_pool{self.dims}d")
        return function(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window over (N, C, L) or (C, L). See `functional.max_pool2d`."""


class MaxPool2d(_MaxPool):
    """The largest element of each window over (N, C, H, W) or (C, H, W). See `functional.max_pool2d`."""

    dims = 2


class MaxPool3d(_MaxPool):
    """The largest element of each window over (N, C, D, H, W) or (C, D, H, W). See `functional.max_pool2d`."""

    dims = 3


class AvgPool1d(Module):
    """The average of each window over (N, C, L) or (C, L). See `functional.avg_pool2d`."""

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
    ) -> None:
        super().__init__()
        one = [
            (v,) if isinstance(v, int) else tuple(v) for v in (kernel_size, kernel_size if stride is None else stride, padding)
        ]
        self.kernel_size, self.stride, self.padding = one
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The average of each window over (N, C, H, W) or (C, H, W). See `functional.avg_pool2d`."""

    dims = 2

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        function = getattr(F, f"avg_pool{self.dims}d")
        return function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """The average of each window over (N, C, D, H, W) or (C, D, H, W). See `functional.avg_pool2d`."""

    dims = 3


class _AdaptiveAvgPool(Module):
    dims = 1

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, f"adaptive_avg_pool{self.dims}d")(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Averages over windows that give (N, C, output_size), whatever the length of the input."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Averages over windows that give (N, C, *output_size), whatever the size of the input; None keeps a size."""

    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Averages over windows that give (N, C, *output_size), whatever the size of the input; None keeps a size."""

    dims = 3


class _AdaptiveMaxPool(Module):
    dims = 1

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"adaptive_max_pool{self.dims}d")(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima over windows that give (N, C, output_size), whatever the length of the input."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima over windows that give (N, C, *output_size), whatever the size of the input; None keeps a size."""

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima over windows that give (N, C, *output_size), whatever the size of the input; None keeps a size."""

    dims = 3


class _LPPool(Module):
    dims = 1

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        function = getattr(F, f"lp_pool{self.dims}d")
        return function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """(sum of x**p over each window)**(1/p) over (N, C, L) or (C, L)."""


class LPPool2d(_LPPool):
    """(sum of x**p over each window)**(1/p) over (N, C, H, W) or (C, H, W)."""

    dims = 2


class LPPool3d(_LPPool):
    """(sum of x**p over each window)**(1/p) over (N, C, D, H, W) or (C, D, H, W)."""

    dims = 3


class _MaxUnpool(Module):
    dims = 1

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        steps = kernel_size if stride is None else stride
        every = [(v,) * self.dims if isinstance(v, int) else tuple(v) for v in (kernel_size, steps, padding)]
        self.kernel_size, self.stride, self.padding = every

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        function = getattr(F, f"max_unpool{self.dims}d")
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Undoes MaxPool1d: elements go to their places in zeros. See `functional.max_unpool2d`."""


class MaxUnpool2d(_MaxUnpool):
    """Undoes MaxPool2d: elements go to their places in zeros. See `functional.max_unpool2d`."""

    dims = 2


class MaxUnpool3d(_MaxUnpool):
    """Undoes MaxPool3d: elements go to their places in zeros. See `functional.max_unpool2d`."""

    dims = 3
