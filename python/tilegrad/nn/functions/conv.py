"""Convolutions.

Source: https://pytorch.org/docs/stable/nn.functional.html#convolution-functions
"""

from __future__ import annotations

from typing import Any

from ...ops import conv as _conv
from ...tensor import Tensor

Bias = Tensor | None


def conv1d(
    input: Tensor, weight: Tensor, bias: Bias = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Input (N, C, L) or (C, L) with weight (O, C / groups, K), bias (O) -> (N, O, P) or (O, P).

    padding may be "valid" or "same". Errors and details: `tilegrad.ops.conv.conv1d`.
    """
    return _conv.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Bias = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Input (N, C, H, W) or (C, H, W) with weight (O, C / groups, KH, KW), bias (O) -> (N, O, P, Q) or (O, P, Q).

    padding may be "valid" or "same". Errors and details: `tilegrad.ops.conv.conv2d`.
    """
    return _conv.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Bias = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Input (N, C, D, H, W) or (C, D, H, W) with weight (O, C / groups, KD, KH, KW), bias (O) -> (N, O, ...) or (O, ...).

    padding may be "valid" or "same". Errors and details: `tilegrad.ops.conv.conv3d`.
    """
    return _conv.conv3d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Bias = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Input (N, C, L) with weight (C, O / groups, K), bias (O) -> (N, O, (L - 1) stride - 2 padding + dilation (K - 1) +
    output_padding + 1). Errors: `tilegrad.ops.conv.conv_transpose2d`."""
    return _conv.conv_transpose1d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Bias = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Input (N, C, H, W) with weight (C, O / groups, KH, KW), bias (O) -> (N, O, P, Q): the transposed map of `conv2d`.

    Sizes and errors: `tilegrad.ops.conv.conv_transpose2d`.
    """
    return _conv.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Bias = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Input (N, C, D, H, W) with weight (C, O / groups, KD, KH, KW), bias (O) -> (N, O, ...): the transposed map of `conv3d`.

    Sizes and errors: `tilegrad.ops.conv.conv_transpose2d`.
    """
    return _conv.conv_transpose3d(input, weight, bias, stride, padding, output_padding, groups, dilation)
