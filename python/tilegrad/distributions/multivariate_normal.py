"""MultivariateNormal, and the two differentiable factorisations it stands on.

Cholesky factors and triangular systems are computed by NumPy on the host; their gradient rules are made of ops, so they
can be differentiated to any order. Source: https://pytorch.org/docs/stable/distributions.html#multivariatenormal
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

import tilegrad as tg

from ..autograd.op import op
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution, broadcast_shapes


def _host(x: Any) -> np.ndarray:
    return x.detach().double().numpy()


def _cholesky_kernel(a):
    """The lower factor L (..., D, D) of symmetric positive definite matrices: a = L L^T."""
    try:
        return tg.tensor(np.linalg.cholesky(_host(a)), dtype=a.dtype)
    except np.linalg.LinAlgError:
        raise ValueError("cholesky: the matrix is not positive definite; is it symmetric, with positive eigenvalues?") from None


def _cholesky_da(dy, out):
    """Murray 2016, arXiv:1602.07527, eq. 9: the symmetric part of L^-T phi(L^T dL) L^-1."""
    middle = tg.tril(out.mT @ dy)
    middle = middle - tg.eye(out.shape[-1], dtype=out.dtype) * middle * 0.5
    left = solve_triangular(out, middle, True)  # L^-T phi
    whole = solve_triangular(out, left.mT, True).mT
    return (whole + whole.mT) * 0.5


def _solve_kernel(l, b, transposed):
    """x with l x = b (or l^T x = b) for lower triangular l (..., D, D) and b (..., D, K)."""
    matrix = _host(l)
    return tg.tensor(np.linalg.solve(matrix.swapaxes(-1, -2) if transposed else matrix, _host(b)), dtype=b.dtype)


def _solve_dl(dy, l, transposed, out):
    db = solve_triangular(l, dy, not transposed)
    return -tg.tril(out @ db.mT if transposed else db @ out.mT)


def _solve_db(dy, l, transposed):
    return solve_triangular(l, dy, not transposed)


cholesky = op(_cholesky_kernel, name="cholesky").backward(a=_cholesky_da)
solve_triangular: Any = op(_solve_kernel, name="solve_triangular").backward(l=_solve_dl, b=_solve_db)


class MultivariateNormal(Distribution):
    """Normal vectors (..., D) with mean loc (..., D) and a covariance given in one of three ways.

    Args:
        loc: mean (..., D), float.
        covariance_matrix: (..., D, D), symmetric positive definite.
        precision_matrix: its inverse.
        scale_tril: lower triangular L with covariance L L^T; the cheapest, as the other two are factored first.

    Raises ValueError unless exactly one of the three is given, or when it is not what it should be.
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        ways = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: m for name, m in ways.items() if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        size = loc.shape[-1]
        if matrix.ndim < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
        if tuple(matrix.shape)[-2:] != (size, size):
            raise ValueError(f"{name} of shape {tuple(matrix.shape)} does not fit loc of shape {tuple(loc.shape)}")
        batch = broadcast_shapes(tuple(matrix.shape)[:-2], tuple(loc.shape)[:-1])
        self.loc = loc.expand(*batch, size)
        self.__dict__[name] = matrix.expand(*batch, size, size)
        super().__init__(batch, (size,), validate_args=validate_args)
        if name == "scale_tril":
            self._lower = self.__dict__[name]
        elif name == "covariance_matrix":
            self._lower = cholesky(self.__dict__[name])
        else:
            self._lower = _lower_of_inverse(self.__dict__[name])

    def __getattr__(self, name: str) -> Any:
        lower = self.__dict__.get("_lower")
        if lower is not None:
            if name == "scale_tril":
                return lower
            if name == "covariance_matrix":
                return lower @ lower.mT
            if name == "precision_matrix":
                inverse = solve_triangular(lower, self._identity(), False)
                return inverse.mT @ inverse
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _identity(self) -> Tensor:
        size = self._event_shape[0]
        return tg.eye(size, dtype=self.loc.dtype).expand(*self._batch_shape, size, size)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return tg.square(self._lower).sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = tg.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self._lower @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._check_value(value)
        z = _whiten(self._lower, value - self.loc)
        return tg.square(z).sum(-1) * -0.5 - _half_log_det(self._lower) - 0.5 * self._event_shape[0] * math.log(2 * math.pi)

    def entropy(self) -> Tensor:
        return _half_log_det(self._lower) + 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi))


def _lower_of_inverse(precision: Tensor) -> Tensor:
    """L with L L^T = precision^-1: P = R R^T with R upper triangular (the factor of the reversed matrix), then L = R^-T."""
    upper = tg.flip(cholesky(tg.flip(precision, (-2, -1))), (-2, -1))  # (..., D, D)
    identity = tg.eye(precision.shape[-1], dtype=precision.dtype).expand(*precision.shape)
    return solve_triangular(upper.mT, identity, False)


def _whiten(lower: Tensor, difference: Tensor) -> Tensor:
    """L^-1 difference, with the batch dims of both broadcast."""
    size = difference.shape[-1]
    batch = broadcast_shapes(tuple(lower.shape)[:-2], tuple(difference.shape)[:-1])
    return solve_triangular(lower.expand(*batch, size, size), difference.expand(*batch, size).unsqueeze(-1), False).squeeze(-1)


def _half_log_det(lower: Tensor) -> Tensor:
    return tg.log(tg.diagonal(lower, dim1=-2, dim2=-1)).sum(-1)


def kl_multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    """(log det q - log det p + tr(q^-1 p) + |whitened difference of means|^2 - D) / 2."""
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be computed, got "
            f"{tuple(p.event_shape)} and {tuple(q.event_shape)}"
        )
    size = p.event_shape[0]
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    q_lower, p_lower = (x._lower.expand(*batch, size, size) for x in (q, p))
    ratio = solve_triangular(q_lower, p_lower, False)
    trace = tg.square(ratio).flatten(-2).sum(-1)
    distance = tg.square(_whiten(q._lower, q.loc - p.loc)).sum(-1)
    return _half_log_det(q._lower) - _half_log_det(p._lower) + (trace + distance - size) * 0.5
