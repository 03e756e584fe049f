"""Linear with int8 weights.

Source: https://pytorch.org/docs/stable/generated/torch.ao.nn.quantized.dynamic.Linear.html
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from .....nn.module import Module
from .....nn.modules.linear import Linear as FloatLinear
from .....ops.quantized import MOST_INPUTS, PackedWeight, pack_weight, quantize_weight, quantized_linear
from .....tensor import Tensor


class Linear(Module):
    """y = x Wᵀ + b with W in int8: a quarter of the memory, and integer arithmetic. For inference; it has no gradient.

    Shapes: x (*, in_features) float32 -> y (*, out_features) float32.
    Buffers: weight int8 (out_features, in_features), scale float32 (out_features): W is about scale * weight; bias float32
    (out_features) or None. Made from a float layer by `from_float`, or by `tilegrad.ao.quantization.quantize_dynamic`.

    Raises:
        ValueError: a negative number of features, or more than 65536 inputs (32-bit sums could overflow).
    """

    weight: Tensor
    scale: Tensor
    bias: Any  # a tensor, or None with bias_=False

    def __init__(self, in_features: int, out_features: int, bias_: bool = True, dtype: Any = tg.qint8) -> None:
        super().__init__()
        if in_features < 0 or out_features < 0:
            raise ValueError(f"Linear: in_features and out_features must not be negative, got {in_features} and {out_features}")
        if in_features > MOST_INPUTS:
            raise ValueError(f"Linear: int8 weights allow at most {MOST_INPUTS} in_features, got {in_features}")
        if dtype is not tg.qint8:
            raise ValueError(f"Linear: dtype must be qint8, got {dtype}")
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("weight", tg.zeros(out_features, in_features, dtype=tg.int8))
        self.register_buffer("scale", tg.ones(out_features))
        self.register_buffer("bias", tg.zeros(out_features) if bias_ else None)
        self._packed: tuple[Tensor, Tensor, tuple[int, int], PackedWeight] | None = None

    @classmethod
    def from_float(cls, mod: FloatLinear, per_channel: bool = True) -> Linear:
        """The int8 layer of a float one, which stays as it is. per_channel: a scale per output instead of one for all."""
        layer = cls(mod.in_features, mod.out_features, bias_=mod.bias is not None)
        weight, scale = quantize_weight(mod.weight, per_channel)
        layer.weight, layer.scale = weight, scale
        if mod.bias is not None:
            layer.bias = mod.bias.detach().to(tg.float32).clone()
        return layer.train(mod.training)

    def packed(self) -> PackedWeight:
        """The weight in the kernel's order, made again when weight or scale have changed."""
        weight, scale = self.weight, self.scale
        versions = (weight._version, scale._version)
        cached = self._packed
        if cached is None or cached[0] is not weight or cached[1] is not scale or cached[2] != versions:
            cached = self._packed = (weight, scale, versions, pack_weight(weight, scale))
        return cached[3]

    def forward(self, input: Tensor) -> Tensor:
        return quantized_linear(input, self.packed(), self.bias)

    def dequantize(self) -> FloatLinear:
        """A float layer with the weights that this one stands for."""
        layer = FloatLinear(self.in_features, self.out_features, bias=self.bias is not None)
        with tg.no_grad():
            layer.weight.copy_(self.weight.to(tg.float32) * self.scale.unsqueeze(1))
            if self.bias is not None:
                layer.bias.copy_(self.bias)
        return layer.train(self.training)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_packed": None}  # made again where it is loaded

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}, dtype=tilegrad.qint8"
