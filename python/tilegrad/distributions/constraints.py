"""Constraints: which values a parameter or a sample may have. ``constraint.check(value)`` is a bool tensor over the batch.

Source: https://pytorch.org/docs/stable/distributions.html#module-torch.distributions.constraints
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tilegrad as tg

from ..tensor import Tensor


class Constraint:
    """Base class. event_dim: how many last dims form one value; is_discrete: are the values integers?"""

    is_discrete = False
    event_dim = 0

    def __init__(self, text: str = "") -> None:
        self.text = text

    def check(self, value: Tensor) -> Tensor:
        """True where the value is allowed; the last event_dim dims are gone."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.text or type(self).__name__


class _Real(Constraint):
    def check(self, value: Tensor) -> Tensor:
        return value == value  # not NaN


class _RealVector(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value == value).all(-1)


class _GreaterThan(Constraint):
    def __init__(self, lower: Any) -> None:
        super().__init__(f"GreaterThan(lower_bound={_number(lower)})")
        self.lower = lower

    def check(self, value: Tensor) -> Tensor:
        return value > self.lower


class _GreaterThanEq(Constraint):
    def __init__(self, lower: Any) -> None:
        super().__init__(f"GreaterThanEq(lower_bound={_number(lower)})")
        self.lower = lower

    def check(self, value: Tensor) -> Tensor:
        return value >= self.lower


class _Interval(Constraint):
    """lower <= x <= upper."""

    def __init__(self, lower: Any, upper: Any) -> None:
        super().__init__(f"Interval(lower_bound={_number(lower)}, upper_bound={_number(upper)})")
        self.lower, self.upper = lower, upper

    def check(self, value: Tensor) -> Tensor:
        return (value >= self.lower) & (value <= self.upper)


class _IntegerInterval(Constraint):
    """Whole numbers from lower to upper."""

    is_discrete = True

    def __init__(self, lower: int, upper: Any) -> None:
        super().__init__(f"IntegerInterval(lower_bound={_number(lower)}, upper_bound={_number(upper)})")
        self.lower, self.upper = lower, upper

    def check(self, value: Tensor) -> Tensor:
        whole = value == tg.floor(value) if value.dtype.is_floating_point else value == value
        return whole & (value >= self.lower) & (value <= self.upper)


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class _Counts(Constraint):
    """Vectors of counts that sum to total."""

    is_discrete = True
    event_dim = 1

    def __init__(self, total: int) -> None:
        super().__init__(f"Multinomial(total_count={total})")
        self.total = total

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & (value.sum(-1) == self.total)


class _LowerCholesky(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        return (tg.tril(value) == value).flatten(-2).all(-1) & (tg.diagonal(value, dim1=-2, dim2=-1) > 0).all(-1)


class _PositiveDefinite(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        matrix = value.detach().double().numpy()
        largest = np.abs(matrix).max(axis=(-2, -1), keepdims=True, initial=0.0)
        symmetric = (np.abs(matrix - matrix.swapaxes(-2, -1)) <= 1e-6 * largest + 1e-6).all((-2, -1))
        finite = np.isfinite(matrix).all((-2, -1))
        lowest = np.linalg.eigvalsh(np.where(np.isfinite(matrix), matrix, 0.0)).min(-1)
        return tg.tensor(np.asarray(symmetric & finite & (lowest > 0)))


class _Independent(Constraint):
    """A constraint whose last dims are taken together."""

    def __init__(self, base: Constraint, dims: int) -> None:
        super().__init__(f"IndependentConstraint({base!r}, {dims})")
        self.base, self.event_dim, self.is_discrete = base, base.event_dim + dims, base.is_discrete
        self.dims = dims

    def check(self, value: Tensor) -> Tensor:
        result = self.base.check(value)
        return result.flatten(-self.dims).all(-1) if self.dims else result


def _number(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor) else value


real = _Real("Real()")
real_vector = _RealVector("IndependentConstraint(Real(), 1)")
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
unit_interval = _Interval(0.0, 1.0)
boolean = _Boolean("Boolean()")
simplex = _Simplex("Simplex()")
one_hot = _OneHot("OneHot()")
lower_cholesky = _LowerCholesky("LowerCholesky()")
positive_definite = _PositiveDefinite("PositiveDefinite()")
interval = _Interval
integer_interval = _IntegerInterval
counts = _Counts
independent = _Independent
