"""Discrete distributions: Bernoulli, Categorical, OneHotCategorical, Multinomial.

Source: https://pytorch.org/docs/stable/distributions.html
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

import tilegrad as tg

from ..ops.elementwise import softplus
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution, _shape, broadcast_all, broadcast_shapes, clamp_probs, exactly_one


class Bernoulli(Distribution):
    """1 with probability probs (or sigmoid(logits)), else 0, as floats.

    Raises ValueError unless exactly one of probs (in [0, 1]) and logits is given.
    """

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        exactly_one(probs, logits)
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        (self.__dict__[name],) = broadcast_all(given)
        self._given = name
        super().__init__(tuple(self.__dict__[name].shape), validate_args=validate_args)

    def __getattr__(self, name: str) -> Any:  # the one of the two that was not given
        if name == "probs" and "logits" in self.__dict__:
            return tg.sigmoid(self.logits)
        if name == "logits" and "probs" in self.__dict__:
            p = clamp_probs(self.probs)
            return tg.log(p) - tg.log1p(-p)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        p = self.probs
        return tg.where(p == 0.5, math.nan, (p >= 0.5).to(p.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self.__dict__[self._given].size()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with tg.no_grad():
            p = self.probs
            return (tg.rand(self._extended_shape(sample_shape), dtype=p.dtype) < p).to(p.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        logits = self.logits
        return value * logits - softplus(logits)

    def entropy(self) -> Tensor:
        logits = self.logits
        return softplus(logits) - self.probs * logits

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = tg.arange(2).to(self.__dict__[self._given].dtype).reshape(2, *([1] * len(self._batch_shape)))
        return values.expand(2, *self._batch_shape) if expand else values


class Categorical(Distribution):
    """One of K categories 0..K-1 (int64), with probabilities probs (..., K), normalised, or softmax(logits).

    Raises ValueError unless exactly one of probs and logits is given, with at least one dim and, for probs, values >= 0 of
    positive sum.
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        exactly_one(probs, logits)
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        if not isinstance(given, Tensor):
            raise ValueError(f"{type(self).__name__}: `{name}` must be a Tensor, got {type(given).__name__}")
        if given.ndim < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if name == "probs":
            self.probs = given / given.sum(-1, keepdim=True)
        else:
            self.logits = given - tg.logsumexp(given, -1, keepdim=True)
        self._given = name
        self._num_events = given.shape[-1]
        super().__init__(tuple(given.shape)[:-1], validate_args=validate_args)

    def __getattr__(self, name: str) -> Any:  # the one of the two that was not given
        if name == "probs" and "logits" in self.__dict__:
            return tg.softmax(self.logits, -1)
        if name == "logits" and "probs" in self.__dict__:
            return tg.log(clamp_probs(self.probs))
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def support(self) -> constraints.Constraint:
        """0..K-1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter, (..., K)."""
        return self.__dict__[self._given].size()

    @property
    def mean(self) -> Tensor:
        return tg.full(tuple(self._batch_shape), math.nan, dtype=self.__dict__[self._given].dtype)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return tg.full(tuple(self._batch_shape), math.nan, dtype=self.__dict__[self._given].dtype)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = _shape(sample_shape)
        count, rows = math.prod(shape), math.prod(self._batch_shape)
        if count == 0 or rows == 0:
            return tg.zeros(*shape, *self._batch_shape, dtype=tg.int64)
        with tg.no_grad():
            probs = self.probs.reshape(rows, self._num_events)
            drawn = tg.multinomial(probs, count, True)  # (rows, count)
            return drawn.t().reshape(*shape, *self._batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        logits = self.logits
        shape = broadcast_shapes(value.shape, tuple(logits.shape)[:-1])
        at = value.long().expand(*shape).unsqueeze(-1)
        return tg.gather(logits.expand(*shape, self._num_events), -1, at).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = tg.clamp(self.logits, min=tg.finfo(self.logits.dtype).min)  # -inf * 0 would be NaN
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = tg.arange(self._num_events).reshape(self._num_events, *([1] * len(self._batch_shape)))
        return values.expand(self._num_events, *self._batch_shape) if expand else values


class OneHotCategorical(Distribution):
    """Categorical whose samples are one-hot vectors (..., K). Parameters and errors as Categorical."""

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        batch_shape = self._categorical.batch_shape
        super().__init__(batch_shape, (self._categorical._num_events,), validate_args=validate_args)

    probs = property(lambda self: self._categorical.probs, doc="Probabilities (..., K).")
    logits = property(lambda self: self._categorical.logits, doc="Log-probabilities (..., K).")
    param_shape = property(lambda self: self._categorical.param_shape, doc="Shape of the parameter.")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self._categorical.mode)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _one_hot(self, index: Tensor) -> Tensor:
        dtype = self.probs.dtype
        return (index.unsqueeze(-1) == tg.arange(self._event_shape[0])).to(dtype)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._one_hot(self._categorical.enumerate_support(expand))


class Multinomial(Distribution):
    """Counts (..., K) of total_count draws from a Categorical, as floats.

    Args:
        total_count: how many draws, an int >= 0.
        probs, logits: as in Categorical.

    Raises ValueError for a negative or non-integer total_count; otherwise as Categorical.
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if not isinstance(total_count, int) or isinstance(total_count, bool):
            raise NotImplementedError(f"Multinomial: total_count must be one int for the whole batch, got {total_count!r}")
        if total_count < 0:
            raise ValueError(f"Multinomial: total_count must be >= 0, got {total_count}")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, (self._categorical._num_events,), validate_args=validate_args)

    probs = property(lambda self: self._categorical.probs, doc="Probabilities (..., K).")
    logits = property(lambda self: self._categorical.logits, doc="Log-probabilities (..., K).")
    param_shape = property(lambda self: self._categorical.param_shape, doc="Shape of the parameter.")

    @property
    def support(self) -> constraints.Constraint:
        """Counts that sum to total_count."""
        return constraints.counts(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs) * self.total_count

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn = self._categorical.sample((self.total_count, *_shape(sample_shape)))  # (total, ..., batch)
        hits = drawn.unsqueeze(-1) == tg.arange(self._event_shape[0])
        return hits.to(self.probs.dtype).sum(0)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        logits = self.logits
        weighted = tg.where(value == 0, 0.0, tg.where(value == 0, 0.0, logits) * value)  # 0 * -inf is 0 here
        return weighted.sum(-1) + _log_arrangements(value).to(logits.dtype)

    def entropy(self) -> Tensor:
        """Exact: -log n! - n sum p log p + sum over categories of E[log count!]."""
        n, p = self.total_count, clamp_probs(self.probs)
        result = self._categorical.entropy() * n - math.lgamma(n + 1)
        for k in range(2, n + 1):  # E[log k!] under Binomial(n, p), differentiable in p
            log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            binomial = tg.exp(tg.log(p) * k + tg.log1p(-p) * (n - k) + log_choose)
            result = result + binomial.sum(-1) * math.lgamma(k + 1)
        return result


_log_factorial = np.vectorize(lambda n: math.lgamma(n + 1.0), otypes=[np.float64])


def _log_arrangements(counts: Tensor) -> Tensor:
    """log(n! / (x_1! ... x_K!)), computed on the host: it is constant in the parameters."""
    x = counts.detach().double().numpy()
    return tg.tensor(_log_factorial(x.sum(-1)) - _log_factorial(x).sum(-1))
