"""kl_divergence: KL(p || q) in closed form, found by the types of p and q.

Source: https://pytorch.org/docs/stable/distributions.html#module-torch.distributions.kl
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tilegrad as tg

from ..ops.elementwise import softplus
from ..tensor import Tensor
from .continuous import Exponential, Laplace, Normal, Uniform
from .discrete import Bernoulli, Categorical, OneHotCategorical
from .distribution import Distribution
from .independent import Independent, sum_last
from .multivariate_normal import MultivariateNormal, kl_multivariate

_registry: dict[tuple[type, type], Callable] = {}


def register_kl(type_p: type, type_q: type) -> Callable:
    """Decorator: the function computes KL(p || q) for these classes and their subclasses.

    Raises TypeError for arguments that are not distribution classes.
    """
    for cls in (type_p, type_q):
        if not (isinstance(cls, type) and issubclass(cls, Distribution)):
            raise TypeError(f"Expected type_p and type_q to be Distribution subclasses but got {cls!r}")

    def decorate(function: Callable) -> Callable:
        _registry[type_p, type_q] = function
        return function

    return decorate


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) = E_p[log p - log q], shape batch_shape; differentiable in the parameters of both.

    The most specific registered pair of classes answers; nearness in p decides first.

    Raises NotImplementedError when no pair fits; `register_kl` adds one.
    """
    ranks = [
        (type(p).__mro__.index(cls_p), type(q).__mro__.index(cls_q), cls_p, cls_q)
        for cls_p, cls_q in _registry
        if isinstance(p, cls_p) and isinstance(q, cls_q)
    ]
    if not ranks:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}; "
            "estimate it by (p.log_prob(x) - q.log_prob(x)).mean() over x = p.sample((n,)), or add one with register_kl"
        )
    *_, cls_p, cls_q = min(ranks, key=lambda rank: rank[:2])
    return _registry[cls_p, cls_q](p, q)


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = tg.square(p.scale / q.scale)
    distance = tg.square((p.loc - q.loc) / q.scale)
    return (ratio + distance - 1 - tg.log(ratio)) * 0.5


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    # p log(p / q) + (1 - p) log((1 - p) / (1 - q)), in logits: softplus is -log(1 - sigmoid)
    return p.probs * (p.logits - q.logits) + softplus(q.logits) - softplus(p.logits)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    if p._num_events != q._num_events:
        raise ValueError(f"kl_divergence: {p._num_events} categories against {q._num_events}")
    probs = p.probs
    terms = tg.where(probs == 0, 0.0, probs * tg.where(probs == 0, 0.0, p.logits - q.logits))
    return terms.sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    inside = (q.low <= p.low) & (q.high >= p.high)
    return tg.where(inside, tg.log((q.high - q.low) / (p.high - p.low)), math.inf)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - tg.log(ratio) - 1


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -tg.log(ratio) + distance / q.scale + ratio * tg.exp(-distance / p.scale) - 1


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: Any, q: Any) -> Tensor:
    return kl_multivariate(p, q)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            "kl_divergence: Independents that join different numbers of dims, "
            f"{p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims}"
        )
    return sum_last(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
