"""Independent: the last batch dims of a distribution become part of one event."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import constraints
from .distribution import Distribution, _shape


class Independent(Distribution):
    """Takes the last `reinterpreted_batch_ndims` batch dims of a distribution as event dims: log_prob sums over them.

    Example: ``Independent(Normal(tg.zeros(5), 1.0), 1)`` is a normal vector of 5 with a diagonal covariance.

    Raises ValueError when the distribution has fewer batch dims.
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        batch = tuple(base_distribution.batch_shape)
        if not 0 <= reinterpreted_batch_ndims <= len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        kept = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:kept], (*batch[kept:], *base_distribution.event_shape), validate_args=validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample, doc="Has the base distribution a reparametrised sample?")

    @property
    def support(self) -> Any:
        """The support of the base, over the joined dims."""
        base = self.base_dist.support
        return None if base is None else constraints.independent(base, self.reinterpreted_batch_ndims)

    mean = property(lambda self: self.base_dist.mean, doc="Mean of the base distribution.")
    mode = property(lambda self: self.base_dist.mode, doc="Mode of the base distribution.")
    variance = property(lambda self: self.base_dist.variance, doc="Variance of the base.")

    def expand(self, batch_shape: Any) -> Independent:
        batch_shape = _shape(batch_shape)
        joined = tuple(self.event_shape)[: self.reinterpreted_batch_ndims]
        base = self.base_dist.expand((*batch_shape, *joined))
        return type(self)(base, self.reinterpreted_batch_ndims, validate_args=self._validate_args)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_last(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_last(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"


def sum_last(x: Tensor, dims: int) -> Tensor:
    """The sum over the last `dims` dims."""
    return x.sum(tuple(range(-dims, 0))) if dims else x
