"""The DataLoader's workers as processes.

Every worker has a socket of its own. The loader sends it the next index as soon as it has taken a batch from it, so
prefetch_factor batches per worker are always under way. Worker w makes batches w, w + n, w + 2n, ... (n workers), and they are
taken in that order: what comes out does not depend on timing.

    loader:  (number of the batch, index)  ->  worker
    worker:  (kind, batch or error)        ->  loader

A worker that dies closes its socket, and its exit ends every wait here: the loader raises instead of hanging. A loader that
dies closes the workers' sockets, and they end too. No lock is shared between processes.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import socket
import time
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

import numpy as np

import tilegrad as tg

from .fetch import Fetcher
from .transport import receive, send
from .worker import WorkerInfo, set_process_info

MOST_AHEAD = 32  # batches under way per worker; see transport.py
_PATIENCE = 5.0  # seconds for a worker to finish its batch when it is no longer wanted
_BATCH, _END, _FAILURE = range(3)

# The loaders' ends of all sockets. A forked child must not hold them, or a worker would never see that its loader is gone.
_loader_ends: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_in_child() -> None:
    for end in list(_loader_ends):
        end.close()
    _loader_ends.clear()


os.register_at_fork(after_in_child=_close_in_child)


# --- in the worker


def _seed_everything(seed: int) -> None:
    tg.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def _describe(error: BaseException, worker: int) -> tuple[type, str]:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return type(error), f"Caught {type(error).__name__} in DataLoader worker process {worker}.\nOriginal {text}"


def _work(
    sock: socket.socket, fetcher: Fetcher, worker: int, workers: int, seed: int, worker_init_fn: Callable[[int], Any] | None
) -> None:
    """The life of a worker: receive an index, load, send the batch, until the loader closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the loader, which ends its workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    tg.set_num_threads(1)
    info = WorkerInfo(worker, workers, seed + worker, fetcher.dataset)
    set_process_info(info)
    _seed_everything(info.seed)
    failure: Any = None
    try:
        if worker_init_fn is not None:
            worker_init_fn(worker)
    except BaseException as error:
        failure = _describe(error, worker)
    per_batch = worker_init_fn is None and not fetcher.stream
    stream, base = iter(()), seed
    while True:
        try:
            message = receive(sock)
        except (EOFError, OSError):
            return
        if message[0] == "epoch":
            _, first, base = message
            if not first:
                _seed_everything(base + worker)
            stream = fetcher.batches() if fetcher.stream else stream
            continue
        number, index = message
        try:
            if failure is not None:
                reply: tuple = (_FAILURE, failure)
            elif fetcher.stream:
                batch = next(stream, _END_OF_STREAM)
                reply = (_END, None) if batch is _END_OF_STREAM else (_BATCH, batch)
            else:
                if per_batch:
                    _seed_everything(batch_seed(base, number))
                reply = (_BATCH, fetcher.load(index))
        except BaseException as error:
            reply = (_FAILURE, _describe(error, worker))
        try:
            send(sock, reply)
        except OSError:
            return
        except Exception as error:  # the batch cannot be pickled, or the exception's class cannot
            text = reply[1][1] if reply[0] == _FAILURE else _describe(error, worker)[1]
            try:
                send(sock, (_FAILURE, (RuntimeError, text)))
            except OSError:
                return
        del reply


_END_OF_STREAM = object()


def batch_seed(base: int, number: int) -> int:
    """The seed of a batch: neighbouring batches get unrelated numbers (the finalizer of splitmix64)."""
    z = (base + (number + 1) * 0x9E3779B97F4A7C15) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (z ^ (z >> 31)) >> 1


# --- in the loader


class ProcessIterator:
    """The batches of one epoch, or of one epoch after the other for persistent workers."""

    def __init__(
        self,
        fetcher: Fetcher,
        workers: int,
        *,
        context: Any,
        prefetch: int,
        timeout: float,
        in_order: bool,
        worker_init_fn: Callable[[int], Any] | None,
        seed: int,
        indexes: Iterator[Any],
    ) -> None:
        self.fetcher, self.workers, self.timeout, self.in_order = fetcher, workers, timeout, in_order
        self.ahead = min(prefetch, MOST_AHEAD)
        self._sockets: list[socket.socket] = []
        self._processes: list[Any] = []
        self.order: deque[int] = deque()  # the worker of every batch under way
        self._first = True
        self._close = weakref.finalize(self, _end_workers, os.getpid(), self._processes, self._sockets)
        try:
            for worker in range(workers):
                self._start(context, worker, seed, worker_init_fn)
            self.restart(seed, indexes)
        except BaseException:
            self._close()
            raise

    def _start(self, context: Any, worker: int, seed: int, worker_init_fn: Any) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _loader_ends.add(mine)
        self._sockets.append(mine)
        process = context.Process(
            target=_work,
            args=(theirs, self.fetcher, worker, self.workers, seed, worker_init_fn),
            name=f"tilegrad-loader-{worker}",
            daemon=True,
        )
        with warnings.catch_warnings():  # Python warns of forks beside threads; kernels in a forked child stay on one thread
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            # A forked worker inherits the mask: a Ctrl-C before it ignores them waits, and is then ignored. With the other
            # methods the mask would stay with the server that forks for others, too.
            forks = context.get_start_method() == "fork"
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT} if forks else ())
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self._processes.append(process)

    def restart(self, seed: int, indexes: Iterator[Any]) -> None:
        """Begins a new epoch. Batches still under way from one that was left early are thrown away."""
        while self.order:
            self._receive(self._wait())
        self.indexes = enumerate(indexes)
        self.ended = [False] * self.workers
        for worker in range(self.workers):
            self._send(worker, ("epoch", self._first, seed))
        self._first = False
        for worker in itertools.islice(itertools.cycle(range(self.workers)), self.ahead * self.workers):
            self._ask(worker)

    def _ask(self, worker: int) -> None:
        task = next(self.indexes, None)
        if task is not None:
            self._send(worker, task)
            self.order.append(worker)

    def _send(self, worker: int, message: Any) -> None:
        try:
            send(self._sockets[worker], message)
        except OSError:
            self._raise_if_dead([worker])
            raise

    def __iter__(self) -> ProcessIterator:
        return self

    def __next__(self) -> Any:
        try:
            while self.order:
                worker = self._wait()
                kind, payload = self._receive(worker)
                if kind == _END:
                    self.ended[worker] = True
                    continue
                if not self.ended[worker]:
                    self._ask(worker)
                if kind == _FAILURE:
                    raise _rebuilt(*payload)
                return payload
        except KeyboardInterrupt:
            self._close()
            raise
        raise StopIteration

    def _receive(self, worker: int) -> tuple[int, Any]:
        self.order.remove(worker)  # its first entry
        try:
            return receive(self._sockets[worker])
        except (EOFError, ConnectionError):
            self._raise_if_dead([worker])
            raise

    def _wait(self) -> int:
        """The worker whose batch comes next, once it is there."""
        if not self._close.alive:
            raise RuntimeError("DataLoader: the workers of this iterator have ended; start a new epoch")
        wanted = [self.order[0]] if self.in_order else sorted(set(self.order))
        sockets = {self._sockets[worker]: worker for worker in wanted}
        ready = wait([*sockets, *(p.sentinel for p in self._processes)], self.timeout or None)
        for sock, worker in sockets.items():
            if sock in ready:
                return worker
        if not ready:
            self._close()
            raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds")
        self._raise_if_dead([w for w, process in enumerate(self._processes) if process.sentinel in ready])
        raise RuntimeError("DataLoader: a worker ended while its batch was expected")

    def _raise_if_dead(self, suspects: list[int]) -> None:
        for worker in suspects:
            process = self._processes[worker]
            process.join(1.0)  # its exit code comes a moment after its socket is closed
            code = process.exitcode
            if code is None:
                continue
            self._close()
            if code < 0:
                how = f"is killed by signal: {signal.Signals(-code).name} ({signal.strsignal(-code)})"
                hint = " It may have run out of memory." if -code == signal.SIGKILL else ""
            else:
                how, hint = f"exited unexpectedly with exit code {code}", ""
            raise RuntimeError(
                f"DataLoader worker {worker} (pid {process.pid}) {how}.{hint} "
                "Use num_workers=0 to see the error in this process."
            )

    @property
    def alive(self) -> bool:
        """Are the workers still there?"""
        return self._close.alive

    def close(self) -> None:
        """Ends the workers."""
        self._close()


class _Text(str):
    """Shown with its newlines where an exception prints the repr of its argument (KeyError)."""

    def __repr__(self) -> str:
        return str(self)


def _rebuilt(kind: type, text: str) -> BaseException:
    """The worker's exception in its own class, with its traceback as the message."""
    try:
        error = kind(_Text(text) if issubclass(kind, KeyError) else text)
    except Exception:  # a class that takes other arguments
        return RuntimeError(text)
    return error if isinstance(error, Exception) else RuntimeError(text)


def _end_workers(owner: int, processes: list[Any], sockets: list[socket.socket]) -> None:
    if os.getpid() != owner:  # a forked copy of the iterator: the workers are not its children
        return
    for sock in sockets:
        sock.close()
    deadline = time.monotonic() + _PATIENCE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        if process.exitcode is None:
            process.terminate()
            process.join(1.0)
        if process.exitcode is None:
            process.kill()
            process.join()


def context_of(given: Any) -> Any:
    """A multiprocessing context from a start method's name, a context, or None. Raises ValueError, TypeError."""
    if given is None or isinstance(given, str):
        methods = multiprocessing.get_all_start_methods()
        if given is not None and given not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got multiprocessing_context={given!r}"
            )
        return multiprocessing.get_context(given)
    if not isinstance(given, multiprocessing.context.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the start method, "
            f"but got multiprocessing_context={given!r}"
        )
    return given
