"""Convolutions.

Source: https://pytorch.org/docs/stable/nn.functional.html#convolution-functions
"""

from __future__ import annotations

from typing import Any

from ...ops import conv as _conv
from ...tensor import Tensor


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Input (N, C, H, W) or (C, H, W) with weight (O, C / groups, KH, KW), bias (O) -> (N, O, P, Q) or (O, P, Q).

    padding may be "valid" or "same". Errors and details: `tilegrad.ops.conv.conv2d`.
    """
    return _conv.conv2d(input, weight, bias, stride, padding, dilation, groups)
