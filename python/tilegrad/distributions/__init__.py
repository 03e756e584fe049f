"""tilegrad.distributions: random variables with samples, densities and divergences (PyTorch: torch.distributions)."""

from __future__ import annotations

from . import constraints
from .continuous import Exponential, Gumbel, Laplace, Normal, Uniform
from .discrete import Bernoulli, Categorical, Multinomial, OneHotCategorical
from .distribution import Distribution
from .independent import Independent
from .kl import kl_divergence, register_kl
from .multivariate_normal import MultivariateNormal

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Gumbel",
    "Independent",
    "Laplace",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Uniform",
    "constraints",
    "kl_divergence",
    "register_kl",
]
