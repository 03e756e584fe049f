"""tg.profile(): which ops ran, how often, for how long, and how much memory they touched, forward and backward.

::

    with tg.profile() as prof:
        loss = model(x).sum()
        loss.backward()
    print(prof.table(sort_by="self_time", row_limit=10))
    prof.export_chrome_trace("trace.json")

The native side reads the clock around every op while a profile is open, and does nothing for it otherwise. An op's time is the
whole call below Python's: argument checks, allocation and the kernel. What is left of the wall time is Python, the engine and
the optimiser's update.

What an op needs at least is worked out from the shapes when a table is made, not while the program runs: FLOPs, bytes, and the
share of its time that this machine's limits leave no way to avoid (_costs.py, _limits.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import _core, _limits
from ._costs import Cost, Spec, cost
from .autograd import engine
from .dtypes import dtype as _DTYPE

_TENSOR = _core.TensorBase
_PLAIN = frozenset((int, float, str, bool, type(None)))
_SORTS = {
    "self_time": "self_time", "time": "time", "calls": "calls", "bytes": "bytes", "flops": "flops", "name": "name",
    "cpu_time_total": "time", "self_cpu_time_total": "self_time", "cpu_time": "time", "count": "calls",
}  # fmt: skip


@dataclass
class Event:
    """One call: times in nanoseconds of the monotonic clock; self_time is without the ops called inside.

    Tensors among the arguments and results are there as their shape and dtype.
    """

    name: str
    phase: str
    start: int
    end: int
    self_time: int
    thread: int
    shapes: tuple = ()
    inputs: tuple = ()
    outputs: tuple = ()

    @property
    def cost(self) -> Cost:
        """What the call needs at least."""
        return cost(self.name, self.inputs, self.outputs)

    @property
    def bytes(self) -> int:
        """Bytes read and written at least."""
        return int(self.cost.bytes)


@dataclass
class Row:
    """All calls of one op in one phase; times in seconds, bytes read and written, FLOPs where they are counted.

    ``limit`` is the least time that this machine needs for them, ``bound`` what sets it: ``compute`` or a level of memory.
    """

    name: str
    phase: str
    calls: int = 0
    time: float = 0.0
    self_time: float = 0.0
    bytes: int = 0
    shapes: tuple = field(default=())
    flops: float = 0.0
    kernel: str = ""
    limit: float = 0.0
    bound: str = ""

    @property
    def key(self) -> str:
        """The op's name, as PyTorch's rows call it."""
        return self.name

    count = property(lambda self: self.calls, doc="Number of calls, as PyTorch's rows call it.")


class _Averages(list):
    """Rows, with PyTorch's `.table()`."""

    def __init__(self, rows: list[Row], owner: profile) -> None:
        super().__init__(rows)
        self._owner = owner

    def table(self, sort_by: str = "self_time", row_limit: int = 100) -> str:
        """The rows as text; see `profile.table`."""
        return self._owner.table(sort_by, row_limit)


class _Phase(threading.local):
    """Forward or backward, of each thread."""

    phase = "forward"


class profile:
    """Context manager that records every op (PyTorch: torch.profiler.profile).

    Args:
        record_shapes: keep the shapes of the tensors, and tell calls of different shapes apart.
        activities, schedule, on_trace_ready, profile_memory, with_stack, with_flops, with_modules: accepted and ignored.

    Recording costs about a microsecond per op; a process has one open profile at a time.

    Raises RuntimeError when another profile is open.
    """

    _open: profile | None = None

    def __init__(
        self,
        *,
        record_shapes: bool = False,
        activities: Any = None,
        schedule: Any = None,
        on_trace_ready: Any = None,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
    ) -> None:
        self.record_shapes = record_shapes
        self._recorded: list[tuple] = []
        self._descriptions: dict[tuple, tuple] = {}
        self._events: list[Event] = []
        self._recent: dict[int, list[Event]] = {}
        self.wall_time = 0.0
        self._local = _Phase()
        self._started = 0
        self._threads = 1

    # --- recording
    def __enter__(self) -> profile:
        if profile._open is not None:
            raise RuntimeError("profile: another profile is open; close it first")
        profile._open = self
        self._threads = _core.get_num_threads()
        self._run = engine._Run.run
        engine._Run.run = self._backward_run(self._run)  # type: ignore[method-assign]
        _core.set_callback("on_profile", self._on_op)
        self._started = time.perf_counter_ns()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.wall_time += (time.perf_counter_ns() - self._started) / 1e9
        _core.set_callback("on_profile", None)
        engine._Run.run = self._run  # type: ignore[method-assign]
        profile._open = None

    def start(self) -> None:
        """Begins to record; `with` does it too."""
        self.__enter__()

    def stop(self) -> None:
        """Ends recording; `with` does it too."""
        self.__exit__()

    def step(self) -> None:
        """Accepted for PyTorch's loops; there is no schedule."""

    def _backward_run(self, run: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            before = self._local.phase
            self._local.phase = "backward"
            try:
                return run(*args, **kwargs)
            finally:
                self._local.phase = before

        return timed

    def _on_op(self, name: str, args: tuple, out: Any, start: int, end: int) -> None:
        # as little as possible: shapes and dtypes, which keep no tensor's memory; equal calls share one description
        described = (
            tuple([(a.shape, a.dtype) if isinstance(a, _TENSOR) else a if type(a) in _PLAIN else _described(a) for a in args]),
            (out.shape, out.dtype) if isinstance(out, _TENSOR) else _described(out),
        )
        described = self._descriptions.setdefault(described, described)
        self._recorded.append((name, self._local.phase, start, end, threading.get_ident(), described))

    @property
    def events(self) -> list[Event]:
        """Every call so far, in the order in which they ended."""
        recent = self._recent  # by thread: calls that may lie inside of one that has not ended yet
        for name, phase, start, end, thread, (inputs, output) in self._recorded[len(self._events) :]:
            inner, before = 0, recent.setdefault(thread, [])
            while before and before[-1].start >= start:
                child = before.pop()
                inner += child.end - child.start
            arguments, results = _specs(inputs), _specs(output)
            results = results if type(results) is tuple else (results,)
            shapes = tuple(_shapes(arguments)) if self.record_shapes else ()
            event = Event(name, phase, start, end, end - start - inner, thread, shapes, arguments, results)
            before.append(event)
            self._events.append(event)
        return self._events

    # --- reports
    def rows(self, limits: bool = False) -> list[Row]:
        """One Row per op and phase (and shapes, with record_shapes), in order of first call.

        Args:
            limits: measure what this machine can do at best, once per process, and fill in `limit` and `bound`.
        """
        rows: dict[tuple, Row] = {}
        known: dict[tuple, tuple[Cost, _limits.Limit | None]] = {}
        for e in self.events:
            call = (e.name, e.inputs, e.outputs)
            if call not in known:
                found = e.cost
                flops = found.flops or 0.0
                least = _limits.limit(flops, found.bytes, self._threads, found.dtype) if limits and found.bytes else None
                known[call] = found, least
            found, least = known[call]
            row = rows.setdefault((e.name, e.phase, e.shapes), Row(e.name, e.phase, shapes=e.shapes))
            row.calls += 1
            row.time += (e.end - e.start) / 1e9
            row.self_time += e.self_time / 1e9
            row.bytes += int(found.bytes)
            row.flops += found.flops or 0.0
            row.kernel = found.kernel if row.calls == 1 or row.kernel == found.kernel else "several"
            if least:
                row.limit += least.seconds
                row.bound = least.bound if row.bound in ("", least.bound) else "several"
        return list(rows.values())

    def key_averages(self, group_by_input_shape: bool = False) -> _Averages:
        """The rows, with PyTorch's `.table(sort_by=...)`."""
        return _Averages(self.rows(), self)

    def table(self, sort_by: str = "self_time", row_limit: int = 100, limits: bool = True) -> str:
        """The rows as text, largest first.

        "of limit" is the share of its time that an op could not do without on this machine, "bound" what sets it: arithmetic
        ("compute"), or the level of memory that holds its operands. Without FLOPs an op is taken to do nothing but move bytes.

        Args:
            sort_by: 'self_time', 'time', 'calls', 'bytes', 'flops' or 'name'; PyTorch's 'cpu_time_total' and
                'self_cpu_time_total' too.
            row_limit: how many rows; -1 for all.
            limits: measure this machine's limits (once per process, some ten milliseconds) and show the columns made of them.

        Raises ValueError for another sort_by.
        """
        if sort_by not in _SORTS:
            raise ValueError(f"table: sort_by must be one of {', '.join(_SORTS)}, got {sort_by!r}")
        key = _SORTS[sort_by]
        rows = sorted(self.rows(limits), key=lambda r: getattr(r, key), reverse=key != "name")
        shown = rows if row_limit < 0 else rows[:row_limit]
        named = [(r.name + (f" {' '.join(map(str, r.shapes))}" if r.shapes else ""), r) for r in shown]
        width = max([4, *(len(text) for text, _ in named)])
        total = sum(r.self_time for r in rows)
        wall = max(self.wall_time, total, 1e-12)
        lines = [
            f"{'op':<{width}}  {'phase':<8}  {'calls':>7}  {'self':>10}  {'share':>6}  {'time':>10}  {'mean':>10}  {'bytes':>9}"
            f"  {'flops':>9}" + (f"  {'of limit':>8}  {'bound':<7}  kernel" if limits else "")
        ]
        lines.append("-" * len(lines[0]))
        for text, r in named:
            lines.append(
                f"{text:<{width}}  {r.phase:<8}  {r.calls:>7}  {_seconds(r.self_time):>10}  {r.self_time / wall:>6.1%}  "
                f"{_seconds(r.time):>10}  {_seconds(r.time / r.calls):>10}  {_bytes(r.bytes):>9}  {_flops(r.flops):>9}"
                + (f"  {_share(r.limit, r.time):>8}  {r.bound:<7}  {r.kernel}".rstrip() if limits else "")
            )
        if len(shown) < len(rows):
            lines.append(f"... {len(rows) - len(shown)} more")
        lines.append("-" * len(lines[0]))
        for phase in ("forward", "backward"):
            spent = sum(r.self_time for r in rows if r.phase == phase)
            lines.append(f"{phase} ops: {_seconds(spent)} ({spent / wall:.1%})")
        rest = max(wall - total, 0.0)
        lines.append(f"outside of ops: {_seconds(rest)} ({rest / wall:.1%})    wall time: {_seconds(wall)}")
        if limits:
            peak = _limits.arithmetic(self._threads, "float32") / 1e9
            lines.append(f"instruction set {_core.isa_name()}, threads: {self._threads}, limit of float32: {peak:.0f} GFLOP/s")
        return "\n".join(lines)

    __str__ = table

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Writes the calls as JSON for chrome://tracing or Perfetto."""
        pid = os.getpid()
        events = [
            {
                "name": e.name,
                "cat": e.phase,
                "ph": "X",
                "ts": (e.start - self._started) / 1e3,
                "dur": (e.end - e.start) / 1e3,
                "pid": pid,
                "tid": e.thread,
                "args": {"bytes": e.bytes, "phase": e.phase, **({"shapes": [list(s) for s in e.shapes]} if e.shapes else {})},
            }
            for e in self.events
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


@contextlib.contextmanager
def record_function(name: str) -> Iterator[None]:
    """Names a part of the program: it becomes a row of the open profile, its self_time without the ops inside.

    Without an open profile it does nothing.
    """
    start = time.perf_counter_ns()
    try:
        yield
    finally:
        if profile._open is not None:
            profile._open._on_op(name, (), None, start, time.perf_counter_ns())


class ProfilerActivity:
    """PyTorch's names of what to profile; accepted and ignored."""

    CPU, CUDA = "CPU", "CUDA"


def _seconds(value: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 1 or unit == "us":
            return f"{value * factor:.2f} {unit}"
    return ""


def _bytes(value: int) -> str:
    size = float(value)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def _flops(value: float) -> str:
    """``4.19 M``, ``17.2 G``: nothing for ops whose FLOPs are not counted."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)):
        if value >= scale:
            return f"{value / scale:.4g} {unit}".rstrip()
    return ""


def _share(least: float, taken: float) -> str:
    return f"{least / taken:.0%}" if least and taken else ""


def _described(value: Any) -> Any:
    """Tensors as (shape, dtype), tuples and lists of them as tuples, anything but plain values as the name of the type."""
    if type(value) in (tuple, list):
        return tuple([_described(v) for v in value])
    if isinstance(value, _TENSOR):
        return value.shape, value.dtype
    return value if type(value) in _PLAIN else type(value).__name__


def _specs(described: Any) -> Any:
    """What was recorded, as the cost formulas read it: every (shape, dtype) a Spec."""
    if type(described) is not tuple:
        return described
    if len(described) == 2 and isinstance(described[1], _DTYPE):
        return Spec(*described)
    return tuple([_specs(v) for v in described])


def _shapes(described: tuple) -> Iterator[tuple]:
    for value in described:
        if isinstance(value, Spec):
            yield tuple(value.shape)
        elif isinstance(value, tuple):
            yield from _shapes(value)


__all__ = ["Event", "ProfilerActivity", "Row", "profile", "record_function"]
