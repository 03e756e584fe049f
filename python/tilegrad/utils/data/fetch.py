"""Fetcher: turns what the sampler says into a batch. The same object works in this thread, in a thread and in a process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any


class Fetcher:
    """Loads and collates batches of one dataset.

    Args:
        dataset, collate_fn: as given to the DataLoader.
        batched: indexes are lists and items are collated; else single items are converted.
        fast: the default collate_fn is in use, so a dataset's get_batch may answer for it.
        stream: the dataset is an IterableDataset; batch_size and drop_last then cut the stream.
    """

    def __init__(
        self,
        dataset: Any,
        collate_fn: Callable[[Any], Any],
        *,
        batched: bool,
        fast: bool,
        stream: bool,
        batch_size: int | None,
        drop_last: bool,
    ) -> None:
        self.dataset, self.collate_fn = dataset, collate_fn
        self.batched, self.fast, self.stream = batched, fast, stream
        self.batch_size, self.drop_last = batch_size, drop_last

    def load(self, index: Any) -> Any:
        """The batch (or the single item, when auto-batching is off) at `index`."""
        if not self.batched:
            return self.collate_fn(self.dataset[index])
        if self.fast:
            get_batch = getattr(self.dataset, "get_batch", None)
            batch = None if get_batch is None else get_batch(index)
            if batch is not None:
                return batch
        if hasattr(self.dataset, "__getitems__"):
            return self.collate_fn(self.dataset.__getitems__(index))
        return self.collate_fn([self.dataset[i] for i in index])

    def batches(self) -> Iterator[Any]:
        """The batches of the stream, from its beginning."""
        stream = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, stream)
            return
        while items := list(itertools.islice(stream, self.batch_size)):
            if len(items) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(items)
