"""Distribution: the base class, and what its subclasses share.

A distribution describes a batch of independent random variables: a sample has shape sample_shape + batch_shape + event_shape,
log_prob of it has shape sample_shape + batch_shape. Source: https://pytorch.org/docs/stable/distributions.html
"""

from __future__ import annotations

from typing import Any, ClassVar

import tilegrad as tg

from ..tensor import Size, Tensor
from .constraints import Constraint


class Distribution:
    """Base class of the distributions (PyTorch: torch.distributions.Distribution).

    Args:
        batch_shape: shape of the batch of independent variables.
        event_shape: shape of one variable.
        validate_args: check parameters and values, at the price of a pass over them; default True.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Any = None
    _validate_args = True

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their arguments."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: expected a bool, got {value!r}")
        Distribution._validate_args = value

    def __init__(
        self, batch_shape: tuple[int, ...] = (), event_shape: tuple[int, ...] = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor) and not bool(constraint.check(value.detach()).all()):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value.detach()!r}"
                )

    def _check_value(self, value: Any) -> None:
        """Raises ValueError for a value of log_prob, cdf or icdf that is no tensor, misshapen or outside the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        expected = (*self._batch_shape, *self._event_shape)
        events = len(self._event_shape)
        if value.ndim < events or (events and tuple(value.shape)[-events:] != tuple(self._event_shape)):
            raise ValueError(
                f"The right-most size of value must match event_shape: {tuple(value.shape)} vs {tuple(self._event_shape)}."
            )
        for i, j in zip(reversed(tuple(value.shape)), reversed(expected)):  # noqa: B905  (the shorter one decides)
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {tuple(value.shape)} vs {expected}."
                )
        if self.support is not None and not bool(self.support.check(value.detach()).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({self.support!r}) of the distribution {self!r}, but found invalid values:\n{value.detach()!r}"
            )

    # --- shapes
    @property
    def batch_shape(self) -> Size:
        """Shape of the batch."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one event."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = ()) -> tuple[int, ...]:
        return (*_shape(sample_shape), *self._batch_shape, *self._event_shape)

    def expand(self, batch_shape: Any) -> Distribution:
        """The same distribution over a larger batch; parameters are expanded without copying."""
        batch_shape = Size(_shape(batch_shape))
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        own = len(self._batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                new.__dict__[name] = value.expand(*batch_shape, *tuple(value.shape)[own:])
            elif isinstance(value, Distribution):
                new.__dict__[name] = value.expand(batch_shape)
        new._batch_shape = batch_shape
        return new

    # --- what a subclass defines
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A sample of shape sample_shape + batch_shape + event_shape, without a gradient."""
        with tg.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A sample that is a differentiable function of the parameters (reparametrised).

        Raises NotImplementedError for distributions without one; `has_rsample` tells.
        """
        raise NotImplementedError(f"{type(self).__name__} has no reparametrised sample; use sample() and log_prob()")

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density or the probability of a value; shape sample_shape + batch_shape."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Tensor:
        """Entropy in nats, shape batch_shape."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a sample <= value."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile of a probability: the inverse of cdf."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first dim."""
        raise NotImplementedError(f"{type(self).__name__} has no finite support")

    @property
    def mean(self) -> Tensor:
        """Mean of the distribution."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self).__name__} has no mode")

    @property
    def variance(self) -> Tensor:
        """Variance of the distribution."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Tensor:
        """Square root of the variance."""
        return self.variance.sqrt()

    def perplexity(self) -> Tensor:
        """exp(entropy)."""
        return tg.exp(self.entropy())

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                shown.append(f"{name}: {value.item() if value.numel() == 1 else tuple(value.shape)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _shape(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def broadcast_all(*values: Any) -> list[Tensor]:
    """Tensors of one shape; Python numbers take the dtype of the tensors, or the default one.

    Raises ValueError for anything that is neither a tensor nor a number.
    """
    for value in values:
        if not isinstance(value, (Tensor, int, float)):
            raise ValueError(f"Input arguments must all be instances of Number or tilegrad.Tensor, got {type(value).__name__}")
    dtypes = [v.dtype for v in values if isinstance(v, Tensor) and v.dtype.is_floating_point]
    dtype = dtypes[0] if dtypes else tg.get_default_dtype()
    for other in dtypes[1:]:
        dtype = tg.promote_types(dtype, other)
    tensors = [v if isinstance(v, Tensor) else tg.tensor(float(v), dtype=dtype) for v in values]
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return [t.expand(*shape) if tuple(t.shape) != shape else t for t in tensors]


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that shapes broadcast to. Raises RuntimeError when they do not."""
    longest = max((len(s) for s in shapes), default=0)
    result = [1] * longest
    for shape in shapes:
        for i, size in enumerate(reversed(tuple(shape)), start=1):
            if size != 1 and result[-i] not in (1, size):
                raise RuntimeError(f"the shapes {', '.join(str(tuple(s)) for s in shapes)} do not broadcast")
            if size != 1:
                result[-i] = size
    return tuple(result)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1 by the dtype's eps, so that their logarithms stay finite."""
    eps = tg.finfo(probs.dtype).eps
    return tg.clamp(probs, min=eps, max=1 - eps)


def exactly_one(probs: Any, logits: Any) -> None:
    """Raises ValueError unless one of probs and logits is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
