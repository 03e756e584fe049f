"""What every op computes, in NumPy and float64: written like the textbook, with no thought for speed.

One file per family. These functions are the yardstick of the tests and of `tilegrad verify`.
"""

from tilegrad.reference import (
    compare,
    conv,
    elementwise,
    index,
    loss,
    matmul,
    norm,
    random,
    reduce,
    shape,
    softmax,
)

__all__ = [
    "compare",
    "conv",
    "elementwise",
    "index",
    "loss",
    "matmul",
    "norm",
    "random",
    "reduce",
    "shape",
    "softmax",
]
