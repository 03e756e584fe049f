"""Matrix products."""

import numpy as np

from tilegrad.reference import elementwise


def matmul(a, b):
    """sum_k a[.., m, k] b[.., k, n] with NumPy's rules for 1-d operands and broadcast batches."""
    return np.matmul(a, b)


def linear(x, w, b=None, activation=None):
    """activation(x @ w.T + b)."""
    y = np.matmul(x, w.T)
    if b is not None:
        y = y + b
    if activation is None or activation == "none":
        return y
    if activation == "gelu_tanh":
        return elementwise.gelu(y, approximate="tanh")
    functions = {"relu": elementwise.relu, "gelu": elementwise.gelu, "tanh": np.tanh, "sigmoid": elementwise.sigmoid}
    return functions[activation](y)
