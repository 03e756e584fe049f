"""Datasets: things with `dataset[i]` and `len(dataset)`, or things one iterates over.

A dataset may also have `get_batch(indices)`: the collated batch of these items in one step, or None when it cannot. The
DataLoader uses it instead of collating item by item when no collate_fn was given; both ways must give the same batch.
Source: https://pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import tilegrad as tg

from ...tensor import Tensor

T = TypeVar("T", covariant=True)


class Dataset(Generic[T]):
    """Map-style dataset: subclasses define `__getitem__(index)` and `__len__()`.

    `a + b` is ConcatDataset([a, b]).
    """

    def __getitem__(self, index: Any) -> T:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """A stream: subclasses define `__iter__()`. `a + b` iterates over a, then b.

    With num_workers > 0 every worker iterates over the whole stream; `get_worker_info()` tells it which part to yield.
    """

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")

    def __add__(self, other: Dataset) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[T]):
    """Several streams one after the other. Raises TypeError for a dataset that is not an IterableDataset, when iterated."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[T]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"ChainDataset only supports IterableDataset, got {type(dataset).__name__}")
            yield from dataset

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


class TensorDataset(Dataset[tuple]):
    """Item i is (t0[i], t1[i], ...) of tensors (N, ...) with the same N.

    Raises ValueError when there are no tensors or N differs, TypeError for something that is not a tensor.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor")
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"TensorDataset takes Tensors, got {type(tensor).__name__}; convert it with tilegrad.tensor(data)"
                )
            if tensor.ndim == 0:
                raise ValueError("TensorDataset takes tensors of at least 1 dimension (N, ...), got a 0-d tensor")
        if len({t.shape[0] for t in tensors}) > 1:
            raise ValueError(f"Size mismatch between tensors: the first dimensions are {[t.shape[0] for t in tensors]}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def get_batch(self, indices: Sequence[int]) -> list[Tensor] | None:
        """[t0[indices], t1[indices], ...]: what collating the items gives, in one gather per tensor."""
        if not len(indices) or type(self).__getitem__ is not TensorDataset.__getitem__:
            return None  # a subclass that changes the items goes item by item
        at = tg.tensor([int(i) for i in indices], dtype=tg.int64)
        return [t[at] for t in self.tensors]


class Subset(Dataset[T]):
    """The items `indices` of a dataset, renumbered from 0."""

    def __init__(self, dataset: Dataset[T], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> T:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def get_batch(self, indices: Sequence[int]) -> Any:
        """The batch of the underlying dataset, or None when that has no fast path."""
        get_batch = getattr(self.dataset, "get_batch", None)
        changed = type(self).__getitem__ is not Subset.__getitem__
        return None if get_batch is None or changed else get_batch([self.indices[i] for i in indices])


class ConcatDataset(Dataset[T]):
    """Several map-style datasets one after the other. `cumulative_sizes` are the ends of the parts.

    Raises ValueError for an empty list, TypeError for an IterableDataset.
    """

    datasets: list[Dataset[T]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise TypeError("ConcatDataset does not support IterableDataset; add the streams with + instead")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T:
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of range for a dataset of {size} items")
        index %= size
        part = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - start]


class StackDataset(Dataset[Any]):
    """Item i is (a[i], b[i], ...), or a dict of them when the datasets are given by keyword; all of the same length.

    Raises ValueError when there are none, when both ways are mixed, or when the lengths differ.
    """

    datasets: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                f"StackDataset takes datasets either by position or by keyword, at least one; got {len(args)} and {len(kwargs)}"
            )
        self.datasets = args or kwargs
        lengths = [len(d) for d in (args or kwargs.values())]
        if len(set(lengths)) > 1:
            raise ValueError(f"Size mismatch between datasets: their lengths are {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length
