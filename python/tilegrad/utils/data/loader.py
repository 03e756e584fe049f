"""DataLoader: batches of a dataset, one epoch per iteration.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .collate import default_collate
from .dataset import Dataset, IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler
from .worker import ordered_batches


class _Forever:
    """The sampler of an IterableDataset: the stream itself says when it ends."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader:
    """Iterates over a dataset in batches. `for x, y in DataLoader(data, batch_size=64, shuffle=True): ...`

    Args:
        dataset: a map-style dataset (anything with [] and len) or an IterableDataset.
        batch_size: items per batch; None yields single items, not collated (arrays become tensors).
        shuffle: a new random order every epoch. The order is decided by `generator`, or by the default generator.
        sampler: the order, instead of shuffle. batch_sampler: yields lists of indexes; replaces batch_size, shuffle,
        sampler
            and drop_last.
        num_workers: 0 loads in the calling thread; n > 0 uses n threads (not processes, see worker.py). The order of
        the
            batches is the same for every n.
        collate_fn: turns a list of items into a batch; default_collate by default.
        drop_last: leave out a last batch that is not full.
        timeout: seconds to wait for a worker, 0 for no limit. prefetch_factor: batches each worker prepares ahead (2).
        worker_init_fn: called as f(worker id) in every worker.
        pin_memory, pin_memory_device, multiprocessing_context, persistent_workers, in_order: accepted and ignored.

    With the default collate_fn, a dataset with `get_batch` (TensorDataset, the bundled datasets) gathers a whole
    batch at once, with the same result.

    Raises:
        ValueError: options that exclude each other, negative num_workers or timeout, a bad batch_size.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable | None = None,
        batch_sampler: Iterable | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(
                f"num_workers option should be non-negative, got {num_workers}; use num_workers=0 to load in this thread."
            )
        if timeout < 0:
            raise ValueError(f"timeout option should be non-negative, got {timeout}")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified with workers: let num_workers > 0.")
        if prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError(f"prefetch_factor option should be positive, got {prefetch_factor}")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.pin_memory, self.pin_memory_device, self.persistent_workers = (
            pin_memory,
            pin_memory_device,
            persistent_workers,
        )
        self.worker_init_fn, self.generator, self.in_order = worker_init_fn, generator, in_order
        self.prefetch_factor = prefetch_factor
        self.multiprocessing_context = multiprocessing_context
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            self._refuse_for_stream(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if self._is_stream:
                sampler = _Forever()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self._default_collate = collate_fn is None
        if collate_fn is None:
            collate_fn = default_collate if batch_sampler is not None else _convert
        self.collate_fn = collate_fn

    @staticmethod
    def _refuse_for_stream(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
        for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}; "
                    "a stream has its own order"
                )

    def __len__(self) -> int:
        """Batches per epoch. For a stream with a length, how many its length promises."""
        if self._is_stream:
            count = len(self.dataset)
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        return len(self._index_source())

    def _index_source(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        batches = self._batches()
        return self._counted(batches) if self._is_stream and hasattr(self.dataset, "__len__") else batches

    def _batches(self) -> Iterator[Any]:
        if self.num_workers == 0:
            if self._is_stream:
                return self._stream_batches()
            return (self._load(index) for index in self._index_source())
        if self._is_stream:
            make_batches = lambda worker: self._stream_batches()  # noqa: E731
        else:
            order = list(self._index_source())  # drawn here, once, so that it does not depend on the workers
            make_batches = lambda worker: (self._load(i) for i in order[worker :: self.num_workers])  # noqa: E731
        return ordered_batches(
            self.dataset,
            self.num_workers,
            2 if self.prefetch_factor is None else self.prefetch_factor,
            self.timeout,
            make_batches,
            self.worker_init_fn,
            self.generator,
        )

    def _load(self, index: Any) -> Any:
        """The batch (or the single item, when auto-batching is off) at `index`."""
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[index])
        if self._default_collate:
            get_batch = getattr(self.dataset, "get_batch", None)
            batch = None if get_batch is None else get_batch(index)
            if batch is not None:
                return batch
        if hasattr(self.dataset, "__getitems__"):
            return self.collate_fn(self.dataset.__getitems__(index))
        return self.collate_fn([self.dataset[i] for i in index])

    def _stream_batches(self) -> Iterator[Any]:
        stream = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, stream)
            return
        while items := list(itertools.islice(stream, self.batch_size)):
            if len(items) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(items)

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Warns, as PyTorch does, when a stream yields more than its len promised."""
        promised = len(self)
        for i, batch in enumerate(batches):
            if i == promised:
                warnings.warn(
                    f"Length of IterableDataset {type(self.dataset).__name__} was reported to be {promised} batches, but "
                    f"{i + 1} batches have been fetched.",
                    stacklevel=2,
                )
            yield batch


def _convert(item: Any) -> Any:
    """Single items without auto-batching: NumPy arrays become tensors, the rest stays as it is."""
    import numpy as np

    import tilegrad as tg

    if isinstance(item, (np.ndarray, np.generic)) and item.dtype.kind not in "SUOV":
        return tg.from_numpy(np.asarray(item))
    if isinstance(item, dict):
        return {key: _convert(value) for key, value in item.items()}
    if isinstance(item, (tuple, list)):
        fields = [_convert(value) for value in item]
        return type(item)(*fields) if hasattr(item, "_fields") else type(item)(fields)
    return item


__all__ = ["DataLoader", "Dataset"]
