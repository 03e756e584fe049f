"""The ops: each with its gradient rule, one file per family."""

from . import creation, elementwise, index, loss, matmul, reduce, shape, softmax

__all__ = ["creation", "elementwise", "index", "loss", "matmul", "reduce", "shape", "softmax"]
