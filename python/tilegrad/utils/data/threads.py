"""The DataLoader's workers as threads of this process (worker_type="thread").

Nothing is copied between processes and the dataset is one shared object; Python-only work gains nothing, while NumPy, image
decoding and file reading, which release the interpreter lock, do.

Worker w prepares batches w, w + n, w + 2n, ...; the main thread takes them in that order, so the order of the batches does
not depend on timing. Random numbers that items draw from the shared default generator do; draw them from a generator of the
worker, seeded from `get_worker_info().seed`, or from the index.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .worker import WorkerInfo, set_thread_info

_END = object()  # a worker has no more batches


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def ordered_batches(
    dataset: Any,
    num_workers: int,
    prefetch: int,
    timeout: float,
    make_batches: Callable[[int], Iterator[Any]],
    worker_init_fn: Callable[[int], Any] | None,
    seed: int,
) -> Iterator[Any]:
    """Round robin over the workers' batches; make_batches(w) is the lazy stream of worker w, run in its thread."""
    stop = threading.Event()
    results = [queue.Queue(maxsize=prefetch) for _ in range(num_workers)]  # type: list[queue.Queue]

    def put(results_of_worker: queue.Queue, item: Any) -> bool:
        while not stop.is_set():
            try:
                results_of_worker.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work(worker: int) -> None:
        set_thread_info(WorkerInfo(worker, num_workers, seed + worker, dataset))
        try:
            if worker_init_fn is not None:
                worker_init_fn(worker)
            for batch in make_batches(worker):
                if not put(results[worker], batch):
                    return
            put(results[worker], _END)
        except BaseException as error:
            put(results[worker], _Failure(error))

    threads = [threading.Thread(target=work, args=(w,), name=f"tilegrad-loader-{w}", daemon=True) for w in range(num_workers)]
    for thread in threads:
        thread.start()
    active = list(range(num_workers))
    try:
        position = 0
        while active:
            worker = active[position % len(active)]
            item = _take(results[worker], timeout)
            if item is _END:
                position = active.index(worker)
                active.remove(worker)
                if active:
                    position %= len(active)
                continue
            if isinstance(item, _Failure):
                if hasattr(item.error, "add_note"):
                    item.error.add_note(f"raised in DataLoader worker {worker}")
                raise item.error
            yield item
            position = (position + 1) % len(active)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=5)


def _take(results: queue.Queue, timeout: float) -> Any:
    try:
        return results.get(timeout=timeout if timeout > 0 else None)
    except queue.Empty:
        raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
