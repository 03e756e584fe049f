"""Convolution layers.

Source: https://pytorch.org/docs/stable/nn.html#convolution-layers
"""

from __future__ import annotations

import math
from typing import Any

import tilegrad as tg

from ...ops.conv import numbers, same_padding
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What the layers share: the options, the parameters and how they start."""

    dims = 0
    transposed = False
    weight: Parameter
    bias: Any  # a Parameter, or None with bias=False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        output_padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name, dims = type(self).__name__, self.dims
        if groups <= 0:
            raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
        if in_channels % groups != 0:
            raise ValueError(f"{name}: in_channels must be divisible by groups, got {in_channels} and groups={groups}")
        if out_channels % groups != 0:
            raise ValueError(f"{name}: out_channels must be divisible by groups, got {out_channels} and groups={groups}")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"{name}: padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
        if self.transposed and padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {name}, got {padding_mode!r}')
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = numbers(name, "kernel_size", kernel_size, dims)
        self.stride = numbers(name, "stride", stride, dims)
        self.dilation = numbers(name, "dilation", dilation, dims)
        self.output_padding = numbers(name, "output_padding", output_padding, dims)
        self.padding_mode = padding_mode
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(f"{name}: Invalid padding string {padding!r}, should be one of valid, same")
            if padding == "same":
                if any(s != 1 for s in self.stride):
                    raise ValueError(f"{name}: padding='same' is not supported for strided convolutions")
                self._around = same_padding(name, self.kernel_size, self.stride, self.dilation)
            else:
                self._around = [(0, 0)] * dims
            self.padding: Any = padding
        else:
            self.padding = numbers(name, "padding", padding, dims)
            self._around = [(p, p) for p in self.padding]
        shape = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(tg.empty(*shape, *self.kernel_size, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(tg.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws fresh weights: weight and bias from U(-1/√fan_in, 1/√fan_in), with fan_in the terms of one output."""
        if self.weight.numel():
            init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input, and the padding left to the convolution: none when the border is not zero."""
        if self.padding_mode == "zeros":
            return input, self.padding
        around = [p for pair in reversed(self._around) for p in pair]  # the last dim comes first
        return F.pad(input, around, mode=self.padding_mode), 0

    def extra_repr(self) -> str:
        dims = self.dims
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * dims:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * dims:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * dims:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(_ConvNd):
    """A weight slides over a sequence; every output channel has its own.

    Shapes: x (N, C, L) or (C, L) -> (N, O, P) or (O, P), P = (L + 2 padding - dilation (K - 1) - 1) // stride + 1;
    weight (O, C / groups, K), bias (O). Start: U(-1/√fan_in, 1/√fan_in) with fan_in = C / groups * K.
    padding_mode: zeros, reflect, replicate or circular.

    Raises:
        ValueError: groups that do not divide the channels, an unknown padding or padding_mode. A wrong x raises the error of
            `tilegrad.ops.conv.conv1d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html
    """

    dims = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return F.conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_ConvNd):
    """A weight slides over an image; every output channel has its own.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, O, P, Q) or (O, P, Q), P = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1;
    weight (O, C / groups, KH, KW), bias (O). Start: U(-1/√fan_in, 1/√fan_in) with fan_in = C / groups * KH * KW.
    padding_mode: zeros, reflect, replicate or circular.

    Raises:
        ValueError: groups that do not divide the channels, an unknown padding or padding_mode. A wrong x raises the error of
            `tilegrad.ops.conv.conv2d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """

    dims = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_ConvNd):
    """A weight slides over a volume; every output channel has its own.

    Shapes: x (N, C, D, H, W) or (C, D, H, W) -> (N, O, ...) or (O, ...), each size as in Conv2d;
    weight (O, C / groups, KD, KH, KW), bias (O). Start: U(-1/√fan_in, 1/√fan_in) with fan_in = C / groups * KD * KH * KW.
    padding_mode: zeros, reflect, replicate or circular.

    Raises:
        ValueError: groups that do not divide the channels, an unknown padding or padding_mode. A wrong x raises the error of
            `tilegrad.ops.conv.conv3d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv3d.html
    """

    dims = 3

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._padded(input)
        return F.conv3d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvTransposeNd(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if isinstance(padding, str):
            raise TypeError(f"{type(self).__name__}: padding must be an int or a tuple of ints, got {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """What must be added to the smallest output to get the size asked for."""
        dims = self.dims
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)
        if len(wanted) == input.ndim:  # batch and channels given, too
            wanted = wanted[-dims:]
        if len(wanted) != dims:
            raise ValueError(
                f"ConvTranspose{dims}D: for {input.ndim}D input, output_size must have {dims} or {input.ndim} elements "
                f"(got {len(wanted)})"
            )
        smallest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[-dims:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        largest = [n + s - 1 for n, s in zip(smallest, self.stride, strict=True)]
        if any(not low <= n <= high for n, low, high in zip(wanted, smallest, largest, strict=True)):
            raise ValueError(
                f"requested an output size of {list(wanted)}, but valid sizes range from {smallest} to {largest} "
                f"(for an input of {list(input.shape[-dims:])})"
            )
        return tuple(n - low for n, low in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_ConvTransposeNd):
    """The transposed map of Conv1d: where that one shrinks by its stride, this one grows.

    Shapes: x (N, C, L) or (C, L) -> (N, O, ...) or (O, ...), each size
    (size - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1; weight (C, O / groups, K), bias (O).
    forward(x, output_size) picks the output_padding that gives this size.

    Raises:
        ValueError: groups that do not divide the channels, an output_size out of reach. A wrong x raises the error of
            `tilegrad.ops.conv.conv_transpose1d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html
    """

    dims = 1

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        extra = self._output_padding(input, output_size)
        return F.conv_transpose1d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose2d(_ConvTransposeNd):
    """The transposed map of Conv2d: where that one shrinks by its stride, this one grows.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, O, ...) or (O, ...), each size
    (size - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1; weight (C, O / groups, KH, KW), bias (O).
    forward(x, output_size) picks the output_padding that gives this size.

    Raises:
        ValueError: groups that do not divide the channels, an output_size out of reach. A wrong x raises the error of
            `tilegrad.ops.conv.conv_transpose2d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html
    """

    dims = 2

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        extra = self._output_padding(input, output_size)
        return F.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose3d(_ConvTransposeNd):
    """The transposed map of Conv3d: where that one shrinks by its stride, this one grows.

    Shapes: x (N, C, D, H, W) or (C, D, H, W) -> (N, O, ...) or (O, ...), each size
    (size - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1; weight (C, O / groups, KD, KH, KW), bias (O).
    forward(x, output_size) picks the output_padding that gives this size.

    Raises:
        ValueError: groups that do not divide the channels, an output_size out of reach. A wrong x raises the error of
            `tilegrad.ops.conv.conv_transpose3d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html
    """

    dims = 3

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        extra = self._output_padding(input, output_size)
        return F.conv_transpose3d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)
