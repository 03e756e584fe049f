"""Samplers: in which order the DataLoader takes the items.

With a generator the order is a function of its state alone, so the same seed gives the same order; without one, every
epoch draws a seed from the default generator, so `tilegrad.manual_seed` repeats the whole run.
Source: https://pytorch.org/docs/stable/data.html#data-loading-order-and-sampler
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

import tilegrad as tg

T = TypeVar("T", covariant=True)


def draw_seed(generator: Any = None) -> int:
    """A seed drawn from `generator` (the default one for None)."""
    return int(tg.randint(0, 2**31 - 1, (1,), generator=generator).item())


def _own_generator(generator: Any) -> Any:
    """The given generator, or a fresh one seeded from the default generator."""
    return tg.Generator().manual_seed(draw_seed()) if generator is None else generator


class Sampler(Generic[T]):
    """Base class: subclasses define `__iter__` and usually `__len__`."""

    def __init__(self, data_source: Sized | None = None) -> None:
        pass

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A new permutation every epoch, or with replacement=True independent uniform draws.

    num_samples: how many indexes an epoch has, by default the size of the data; without replacement a larger number
    goes through several permutations.

    Raises TypeError when replacement is not a bool, ValueError when num_samples is not a positive integer.
    """

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement!r}")
        self.data_source, self.replacement, self._num_samples = data_source, replacement, num_samples
        self.generator = generator
        _check_count("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indexes one epoch yields; follows the data when it was not given."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size, generator = len(self.data_source), _own_generator(self.generator)
        if self.replacement:
            yield from tg.randint(0, size, (self.num_samples,), generator=generator).tolist()
            return
        left = self.num_samples
        while left > 0:
            yield from tg.randperm(size, generator=generator).tolist()[:left]
            left -= size

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """A new permutation of the given indexes every epoch."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in tg.randperm(len(self.indices), generator=_own_generator(self.generator)).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """num_samples indexes, i with probability proportional to weights[i].

    replacement=False draws each index at most once: the indexes of the largest u_i^(1/w_i), u uniform (Efraimidis and
    Spirakis 2006), which is sequential drawing without replacement.

    Raises ValueError for a bad num_samples, weights that are not a vector of finite numbers >= 0 with a positive sum,
    or more draws without replacement than there are positive weights; TypeError when replacement is not a bool.
    """

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None) -> None:
        _check_count("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement!r}")
        values = np.asarray(weights.tolist() if hasattr(weights, "tolist") else list(weights), dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"weights should be a 1d sequence but given weights have shape {values.shape}")
        if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
            raise ValueError("weights should be finite numbers >= 0 with a positive sum")
        if not replacement and num_samples > np.count_nonzero(values):
            raise ValueError(
                f"cannot draw {num_samples} samples without replacement from {np.count_nonzero(values)} positive weights"
            )
        self.weights, self.num_samples, self.replacement, self.generator = values, num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        generator = _own_generator(self.generator)
        if self.replacement:
            ends = np.cumsum(self.weights)
            draws = tg.rand(self.num_samples, dtype=tg.float64, generator=generator).numpy() * ends[-1]
            yield from np.searchsorted(ends, draws, side="right").clip(max=len(ends) - 1).tolist()
            return
        uniform = tg.rand(len(self.weights), dtype=tg.float64, generator=generator).numpy()
        with np.errstate(divide="ignore"):
            keys = -np.log1p(-uniform) / self.weights  # exponential draws; weight 0 gives inf
        yield from np.argsort(keys, kind="stable")[: self.num_samples].tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Groups the indexes of a sampler into lists of batch_size; drop_last leaves out a short last list.

    Raises ValueError for a batch_size that is not a positive integer or a drop_last that is not a bool.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value!r}")
