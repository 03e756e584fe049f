"""Further elementwise functions."""

import math

import numpy as np

lgamma = np.vectorize(
    lambda x: math.inf if math.isinf(x) or (x <= 0 and x == math.floor(x)) else math.lgamma(x), otypes=[np.float64]
)
erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _digamma(x):
    """The recurrence up to 60, then three terms of the asymptotic series."""
    if math.isnan(x) or math.isinf(x):
        return x if x > 0 or x != x else math.nan
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0:
        return math.nan if x == math.floor(x) else _digamma(1 - x) - math.pi / math.tan(math.pi * (x - math.trunc(x)))
    shift = 0.0
    while x < 60:
        shift -= 1 / x
        x += 1
    z = 1 / x**2
    return shift + math.log(x) - 0.5 / x - z / 12 + z * z / 120 - z**3 / 252


digamma = np.vectorize(_digamma, otypes=[np.float64])


def _erfinv(y):
    """Bisection of erf, of erfc where y is close to 1."""
    if not abs(y) < 1:
        return math.copysign(math.inf, y) if abs(y) == 1 else math.nan
    a, low, high = abs(y), 0.0, 6.5
    for _ in range(200):
        middle = (low + high) / 2
        below = math.erf(middle) < a if a < 0.5 else math.erfc(middle) > 1 - a
        low, high = (middle, high) if below else (low, middle)
    return math.copysign(low, y) if a > 1e-8 else y * math.sqrt(math.pi) / 2


erfinv = np.vectorize(_erfinv, otypes=[np.float64])


def frac(x):
    return x - np.trunc(x)


def logit(x, eps=None):
    x = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


def xlogy(x, y):
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(y))


def fmod(x, y):
    return np.fmod(x, y)


def selu(x):
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))


def mish(x):
    return x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def softsign(x):
    return x / (1 + np.abs(x))


def hardsigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def hardswish(x):
    return x * hardsigmoid(x)


def logsigmoid(x):
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def leaky_relu(x, slope=0.01):
    return np.where(x > 0, x, x * slope)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def celu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x / alpha))


def lerp(x, end, weight):
    return x + weight * (end - x)


def addcmul(x, a, b, value=1):
    return x + value * a * b


def addcdiv(x, a, b, value=1):
    return x + value * a / b


def left_shift(x, n):
    return np.left_shift(x, n)


def right_shift(x, n):
    return np.right_shift(x, n)
