"""Continuous distributions of one variable: Normal, Uniform, Exponential, Laplace, Gumbel.

Source: https://pytorch.org/docs/stable/distributions.html
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np

import tilegrad as tg

from ..autograd.op import op
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution, broadcast_all

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_EULER = 0.57721566490153286061  # Euler's constant
_inverse = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])


def _quantile_kernel(p):
    """The standard normal quantile of p, computed on the host in float64 (statistics.NormalDist.inv_cdf)."""
    values = p.detach().double().numpy()
    inside = (values > 0) & (values < 1)
    result = _inverse(np.where(inside, values, 0.5))
    result = np.where(inside, result, np.where(values == 0, -np.inf, np.where(values == 1, np.inf, np.nan)))
    return tg.tensor(result, dtype=p.dtype)


_standard_quantile = op(_quantile_kernel, name="normal_quantile").backward(
    p=lambda dy, out: dy * tg.exp(out * out * 0.5) * math.sqrt(2 * math.pi)
)


class _LocScale(Distribution):
    """Distributions of location and scale: both float tensors or numbers that broadcast, scale > 0."""

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(tuple(self.loc.shape), validate_args=validate_args)

    def _standardized(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        return (value - self.loc) / self.scale

    def _draw(self, sample_shape: Any, draw: Any) -> Tensor:
        return draw(self._extended_shape(sample_shape), dtype=self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc


class Normal(_LocScale):
    """Normal(loc, scale): density exp(-((x - loc) / scale)^2 / 2) / (scale sqrt(2 pi)).

    Example: ``Normal(tg.zeros(3), 1.0).sample((10,))`` has shape (10, 3).

    Raises ValueError for scale <= 0 or NaN parameters.
    """

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * self._draw(sample_shape, tg.randn)

    def log_prob(self, value: Tensor) -> Tensor:
        z = self._standardized(value)
        return z * z * -0.5 - tg.log(self.scale) - _HALF_LOG_2PI

    def entropy(self) -> Tensor:
        return tg.log(self.scale) + (0.5 + _HALF_LOG_2PI)

    def cdf(self, value: Tensor) -> Tensor:
        return (tg.erf(self._standardized(value) * math.sqrt(0.5)) + 1) * 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * _standard_quantile(value)


class Laplace(_LocScale):
    """Laplace(loc, scale): density exp(-|x - loc| / scale) / (2 scale). Raises ValueError for scale <= 0."""

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale * 2

    @property
    def stddev(self) -> Tensor:
        return self.scale * math.sqrt(2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = self._draw(sample_shape, tg.rand) - 0.5  # [-0.5, 0.5)
        tail = tg.clamp(u.abs() * 2, max=1 - tg.finfo(u.dtype).eps / 2)
        return self.loc - self.scale * tg.sign(u) * tg.log1p(-tail)

    def log_prob(self, value: Tensor) -> Tensor:
        return -self._standardized(value).abs() - tg.log(self.scale * 2)

    def entropy(self) -> Tensor:
        return tg.log(self.scale * 2) + 1

    def cdf(self, value: Tensor) -> Tensor:
        z = self._standardized(value)
        return 0.5 - 0.5 * tg.sign(z) * tg.expm1(-z.abs())

    def icdf(self, value: Tensor) -> Tensor:
        term = value - 0.5
        return self.loc - self.scale * tg.sign(term) * tg.log1p(term.abs() * -2)


class Gumbel(_LocScale):
    """Gumbel(loc, scale): cdf exp(-exp(-(x - loc) / scale)). Raises ValueError for scale <= 0."""

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * _EULER

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale * (math.pi**2 / 6)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = tg.clamp(self._draw(sample_shape, tg.rand), min=tg.finfo(self.loc.dtype).tiny)
        u = tg.clamp(u, max=1 - tg.finfo(self.loc.dtype).eps / 2)
        return self.loc - self.scale * tg.log(-tg.log(u))

    def log_prob(self, value: Tensor) -> Tensor:
        z = self._standardized(value)
        return -z - tg.exp(-z) - tg.log(self.scale)

    def entropy(self) -> Tensor:
        return tg.log(self.scale) + (1 + _EULER)

    def cdf(self, value: Tensor) -> Tensor:
        return tg.exp(-tg.exp(-self._standardized(value)))

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * tg.log(-tg.log(value))


class Uniform(Distribution):
    """Uniform(low, high): density 1 / (high - low) on [low, high).

    Raises ValueError unless low < high.
    """

    arg_constraints: ClassVar = {"low": constraints.real, "high": constraints.real}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(tuple(self.low.shape), validate_args=validate_args)
        if self._validate_args and not bool((self.low < self.high).all()):
            raise ValueError(f"Uniform is not defined when low >= high, got low={self.low!r}, high={self.high!r}")

    @property
    def support(self) -> constraints.Constraint:
        """[low, high]."""
        return constraints.interval(self.low.detach(), self.high.detach())

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) * 0.5

    @property
    def mode(self) -> Tensor:
        return tg.full_like(self.low, math.nan)

    @property
    def variance(self) -> Tensor:
        return tg.square(self.high - self.low) * (1 / 12)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = tg.rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + (self.high - self.low) * u

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        inside = (value >= self.low) & (value < self.high)
        return tg.where(inside, -tg.log(self.high - self.low), -math.inf)

    def entropy(self) -> Tensor:
        return tg.log(self.high - self.low)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        return tg.clamp((value - self.low) / (self.high - self.low), 0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * value


class Exponential(Distribution):
    """Exponential(rate): density rate exp(-rate x), x >= 0. Raises ValueError for rate <= 0."""

    arg_constraints: ClassVar = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(tuple(self.rate.shape), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        return tg.zeros_like(self.rate)

    @property
    def stddev(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / (self.rate * self.rate)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = tg.rand(self._extended_shape(sample_shape), dtype=self.rate.dtype)  # [0, 1)
        return -tg.log1p(-u) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        return tg.log(self.rate) - self.rate * value

    def entropy(self) -> Tensor:
        return 1 - tg.log(self.rate)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        return -tg.expm1(-self.rate * value)

    def icdf(self, value: Tensor) -> Tensor:
        return -tg.log1p(-value) / self.rate
