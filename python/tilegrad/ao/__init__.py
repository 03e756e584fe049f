"""PyTorch's namespace for quantization: `tilegrad.ao.quantization`, `tilegrad.ao.nn.quantized.dynamic`."""

from . import nn, quantization
from .quantization import quantize_dynamic

__all__ = ["nn", "quantization", "quantize_dynamic"]
