"""PyTorch's place for activation checkpointing."""

from ..autograd.checkpoint import checkpoint

__all__ = ["checkpoint"]
