"""Elementwise functions. Integers stay integers where the op keeps them (add, mul, floor_divide, ...)."""

import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])


def relu(x):
    return np.where(np.isnan(x), x, np.maximum(x, 0))


def sigmoid(x):
    # 1 / (1 + exp(-x)), written so that exp never overflows
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def silu(x):
    return x * sigmoid(x)


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, (np.maximum(x * beta, 0) + np.log1p(np.exp(-np.abs(x * beta)))) / beta)


def gelu(x, approximate="none"):
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    # 1 + erf(z) loses every digit for z << 0, where it equals erfc(-z)
    phi = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)), otypes=[np.float64])
    return x * phi(x)


def rsqrt(x):
    return 1 / np.sqrt(x)


def reciprocal(x):
    return 1 / np.asarray(x, dtype=np.float64)


def round(x, decimals=0):
    return np.round(x, decimals)  # halves go to the even neighbour


def clamp(x, min=None, max=None):
    if min is not None:
        x = np.maximum(x, min)
    if max is not None:
        x = np.minimum(x, max)
    return x


def sign(x):
    return np.where(np.isnan(x), 0, np.sign(x))  # PyTorch: sign(nan) = 0


def add(x, y, alpha=1):
    return x + alpha * y


def sub(x, y, alpha=1):
    return x - alpha * y


def div(x, y, rounding_mode=None):
    quotient = np.asarray(x, dtype=np.float64) / y
    if rounding_mode is None:
        return quotient
    if rounding_mode == "floor":
        return floor_divide(x, y)
    return np.trunc(quotient) if np.asarray(x).dtype.kind == "f" else np.trunc(quotient).astype(np.int64)


def floor_divide(x, y):
    """floor(x / y) with Python's remainder: x == y * floor_divide(x, y) + remainder(x, y)."""
    with np.errstate(all="ignore"):
        if np.asarray(x).dtype.kind == "f" or np.asarray(y).dtype.kind == "f":
            return np.where(np.asarray(y) == 0, np.divide(x, y), np.floor_divide(x, y))
    return np.floor_divide(x, y)


def remainder(x, y):
    return np.remainder(x, y)  # the sign of y, as Python's %


def pow(x, y):
    return np.power(x, y)


def maximum(x, y):
    return np.maximum(x, y)  # NaN wins


def minimum(x, y):
    return np.minimum(x, y)


def cast(x, dtype):
    """Floating to integer cuts toward zero; anything to bool asks "not zero"."""
    if dtype == "bool":
        return x != 0
    return np.trunc(x).astype(np.int64) if dtype.startswith(("int", "uint")) else x.astype(np.float64)
