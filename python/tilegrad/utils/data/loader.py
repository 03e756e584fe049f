"""DataLoader: batches of a dataset, one epoch per iteration.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .fetch import Fetcher
from .process_workers import ProcessIterator, context_of
from .sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed
from .threads import ordered_batches


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
            sampler and drop_last.
        num_workers: 0 loads in the calling thread; n > 0 uses n worker processes. The batches come in the same order for
            every n.
        collate_fn: turns a list of items into a batch, in the worker; default_collate by default.
        drop_last: leave out a last batch that is not full.
        timeout: seconds to wait for a batch of the workers, 0 for no limit.
        worker_init_fn: called as f(worker id) in every worker when it starts.
        multiprocessing_context: 'fork', 'spawn', 'forkserver' or a multiprocessing context; default: that of Python.
        generator: decides the order of shuffle=True and the seeds of the workers.
        prefetch_factor: batches each worker prepares ahead (2; at most 32 are under way).
        persistent_workers: keep the processes and their copy of the dataset from epoch to epoch.
        in_order: False yields batches as they become ready.
        worker_type: 'process', or 'thread' for threads of this process, which share the dataset (not in PyTorch).
        pin_memory, pin_memory_device: accepted; there is nothing to pin without a GPU.

    Random numbers in workers: tilegrad's default generator, `random` and `numpy.random` are seeded before every batch from the
    epoch's seed and the batch's number, so augmented batches are the same for every n > 0. With a worker_init_fn, and for
    streams, they are seeded once per worker and epoch (base seed + worker id, `get_worker_info().seed`), as in PyTorch.

    An exception in a worker is raised here in its own class, with the worker's traceback; a worker that dies raises
    RuntimeError with its exit code or signal. With 'spawn' or 'forkserver' the dataset is pickled, so its class must be
    importable. Kernels in a worker use one thread.

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
        worker_type: str = "process",
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
        self.prefetch_factor, self.worker_type = prefetch_factor, worker_type
        if worker_type not in ("process", "thread"):
            raise ValueError(f"worker_type should be 'process' or 'thread', got {worker_type!r}")
        if multiprocessing_context is not None and (num_workers == 0 or worker_type == "thread"):
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
                f"but got num_workers={num_workers} and worker_type={worker_type!r}"
            )
        self.multiprocessing_context = multiprocessing_context
        self._context = context_of(multiprocessing_context)
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
        self.collate_fn = collate_fn or (default_collate if batch_sampler is not None else default_convert)
        self._fetcher = Fetcher(
            dataset,
            self.collate_fn,
            batched=batch_sampler is not None,
            fast=collate_fn is None,
            stream=self._is_stream,
            batch_size=batch_size,
            drop_last=drop_last,
        )
        self._iterator: ProcessIterator | None = None  # of persistent workers

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
        seed = draw_seed(self.generator)  # always, so that the stream of the generator does not depend on num_workers
        indexes = iter(self._index_source())
        if self.num_workers == 0:
            return self._fetcher.batches() if self._is_stream else map(self._fetcher.load, indexes)
        prefetch = 2 if self.prefetch_factor is None else self.prefetch_factor
        if self.worker_type == "thread":
            return self._thread_batches(seed, indexes, prefetch)
        if self._iterator is not None and self._iterator.alive:
            self._iterator.restart(seed, indexes)
            return self._iterator
        iterator = ProcessIterator(
            self._fetcher,
            self.num_workers,
            context=self._context,
            prefetch=prefetch,
            timeout=self.timeout,
            in_order=self.in_order,
            worker_init_fn=self.worker_init_fn,
            seed=seed,
            indexes=indexes,
        )
        if self.persistent_workers:
            self._iterator = iterator
        return iterator

    def _thread_batches(self, seed: int, indexes: Iterator[Any], prefetch: int) -> Iterator[Any]:
        if self._is_stream:
            make_batches = lambda worker: self._fetcher.batches()  # noqa: E731
        else:
            order = list(indexes)
            make_batches = lambda worker: map(self._fetcher.load, order[worker :: self.num_workers])  # noqa: E731
        return ordered_batches(self.dataset, self.num_workers, prefetch, self.timeout, make_batches, self.worker_init_fn, seed)

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
