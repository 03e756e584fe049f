"""Comparisons, logic, bits and choice."""

import numpy as np


def logical_and(x, y):
    return (x != 0) & (y != 0)


def logical_or(x, y):
    return (x != 0) | (y != 0)


def logical_xor(x, y):
    return (x != 0) ^ (y != 0)


def logical_not(x):
    return x == 0


def bitwise_not(x):
    return ~x


def where(condition, x, y):
    return np.where(condition, x, y)


def masked_fill(x, mask, value):
    return np.where(mask, np.asarray(value, dtype=x.dtype), x)


def equal(x, y):
    return x.shape == y.shape and bool(np.all(x == y))


def allclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=False):
    return bool(np.allclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan))
