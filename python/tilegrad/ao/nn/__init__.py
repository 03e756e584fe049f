"""Layers of quantized networks."""

from . import quantized

__all__ = ["quantized"]
