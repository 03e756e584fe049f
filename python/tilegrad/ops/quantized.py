"""The linear layer with int8 weights."""

from __future__ import annotations

from typing import NamedTuple

from .. import _core, dtypes
from ..autograd.op import op
from ..tensor import Tensor
from .creation import zeros

PANEL, TERMS = 16, 4  # outputs and inputs that lie together: csrc/kernels/arguments/quantized.h
MOST_INPUTS = 65536  # more could overflow the 32-bit sums

quantized_linear_op = op(_core.quantized_linear, name="quantized_linear")


class PackedWeight(NamedTuple):
    """An int8 weight in the order in which the kernel reads it."""

    weight: Tensor  # int8 (panels, inputs / 4, 16, 4)
    scale: Tensor  # float32 (panels * 16)
    sums: Tensor  # int32 (panels * 16): of each output's weights
    outputs: int


def quantize_weight(weight: Tensor, per_channel: bool = True) -> tuple[Tensor, Tensor]:
    """A float weight (outputs, inputs) as (int8 (outputs, inputs), float32 scale (outputs,)).

    Symmetric: weight is about scale * int8 with int8 in -127..127, rounded to nearest, and 0 stays 0. A scale per output
    (per channel) loses less than one for all.

    Raises:
        RuntimeError: not a matrix. ValueError: a weight that is not finite.
    """
    if weight.ndim != 2:
        raise RuntimeError(f"quantize_weight: expected a weight of shape (outputs, inputs), got {weight.shape}")
    w = weight.detach().to(dtypes.float32)
    outputs, inputs = w.shape
    if outputs == 0 or inputs == 0:
        return zeros(outputs, inputs, dtype=dtypes.int8), zeros(outputs) + 1.0
    largest = w.abs().amax(1) if per_channel else w.abs().max().expand(outputs)
    if not bool(largest.isfinite().all()):
        raise ValueError("quantize_weight: a weight with NaN or infinity has no scale")
    scale = (largest / 127.0).clamp(min=2.0**-126).contiguous()
    return (w / scale.unsqueeze(1)).round().clamp(-127, 127).to(dtypes.int8), scale


def pack_weight(weight: Tensor, scale: Tensor) -> PackedWeight:
    """int8 (outputs, inputs) and its scales in the order in which the kernel reads them."""
    outputs, inputs = weight.shape
    panels, steps = -(-outputs // PANEL), -(-inputs // TERMS)
    padded = zeros(panels * PANEL, steps * TERMS, dtype=dtypes.int8)
    padded[:outputs, :inputs] = weight
    scales = zeros(panels * PANEL)
    scales[:outputs] = scale
    sums = padded.sum(1).to(dtypes.int32)
    packed = padded.reshape(panels, PANEL, steps, TERMS).permute(0, 2, 1, 3).contiguous()
    return PackedWeight(packed, scales, sums, outputs)


def quantized_linear(x: Tensor, packed: PackedWeight, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """activation(x @ weight.T + bias) with an int8 weight, in integers; x is quantised row by row on the way in.

    Args:
        x: (..., inputs), float32. packed: of pack_weight. bias: (outputs,), float32, or None.
        activation: as for `tilegrad.ops.matmul.linear`.

    It has no gradient. The sums are exact; see docs/quantization.md for the error against float32.
    """
    weight, scale, sums, outputs = packed
    return quantized_linear_op(x, weight, scale, sums, bias, outputs, activation)
