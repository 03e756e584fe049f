"""Layers whose weights are int8 and whose inputs are quantised in every call."""

from .linear import Linear

__all__ = ["Linear"]
