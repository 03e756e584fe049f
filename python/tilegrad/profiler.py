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

from . import _core
from .autograd import engine

_SORTS = {
    "self_time": "self_time", "time": "time", "calls": "calls", "bytes": "bytes", "name": "name",
    "cpu_time_total": "time", "self_cpu_time_total": "self_time", "cpu_time": "time", "count": "calls",
}  # fmt: skip


@dataclass
class Event:
    """One call: times in nanoseconds of the monotonic clock; self_time is without the ops called inside."""

    name: str
    phase: str
    start: int
    end: int
    self_time: int
    bytes: int
    thread: int
    shapes: tuple


@dataclass
class Row:
    """All calls of one op in one phase; times in seconds, bytes read and written."""

    name: str
    phase: str
    calls: int = 0
    time: float = 0.0
    self_time: float = 0.0
    bytes: int = 0
    shapes: tuple = field(default=())

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
        self.events: list[Event] = []
        self.wall_time = 0.0
        self._local = threading.local()
        self._started = 0

    # --- recording
    def __enter__(self) -> profile:
        if profile._open is not None:
            raise RuntimeError("profile: another profile is open; close it first")
        profile._open = self
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
            before = getattr(self._local, "phase", "forward")
            self._local.phase = "backward"
            try:
                return run(*args, **kwargs)
            finally:
                self._local.phase = before

        return timed

    def _on_op(self, name: str, args: tuple, out: Any, start: int, end: int) -> None:
        tensors = [a for a in args if isinstance(a, _core.TensorBase)]
        for a in args:
            if type(a) in (list, tuple):
                tensors += [t for t in a if isinstance(t, _core.TensorBase)]
        results = out if type(out) is tuple else (out,)
        touched = sum(t.numel() * t.dtype.itemsize for t in tensors)
        touched += sum(t.numel() * t.dtype.itemsize for t in results if isinstance(t, _core.TensorBase))
        shapes = tuple(tuple(t.shape) for t in tensors) if self.record_shapes else ()
        self._add(name, start, end, touched, shapes)

    def _add(self, name: str, start: int, end: int, touched: int = 0, shapes: tuple = ()) -> None:
        local = self._local
        if not hasattr(local, "recent"):
            local.recent = []
        inner = 0  # a call ends after the calls inside of it
        while local.recent and local.recent[-1].start >= start:
            child = local.recent.pop()
            inner += child.end - child.start
        phase = getattr(local, "phase", "forward")
        event = Event(name, phase, start, end, end - start - inner, touched, threading.get_ident(), shapes)
        local.recent.append(event)
        self.events.append(event)

    # --- reports
    def rows(self) -> list[Row]:
        """One Row per op and phase (and shapes, with record_shapes), in order of first call."""
        rows: dict[tuple, Row] = {}
        for e in self.events:
            row = rows.setdefault((e.name, e.phase, e.shapes), Row(e.name, e.phase, shapes=e.shapes))
            row.calls += 1
            row.time += (e.end - e.start) / 1e9
            row.self_time += e.self_time / 1e9
            row.bytes += e.bytes
        return list(rows.values())

    def key_averages(self, group_by_input_shape: bool = False) -> _Averages:
        """The rows, with PyTorch's `.table(sort_by=...)`."""
        return _Averages(self.rows(), self)

    def table(self, sort_by: str = "self_time", row_limit: int = 100) -> str:
        """The rows as text, largest first.

        Args:
            sort_by: 'self_time', 'time', 'calls', 'bytes' or 'name'; PyTorch's 'cpu_time_total' and 'self_cpu_time_total' too.
            row_limit: how many rows; -1 for all.

        Raises ValueError for another sort_by.
        """
        if sort_by not in _SORTS:
            raise ValueError(f"table: sort_by must be one of {', '.join(_SORTS)}, got {sort_by!r}")
        key = _SORTS[sort_by]
        rows = sorted(self.rows(), key=lambda r: getattr(r, key), reverse=key != "name")
        shown = rows if row_limit < 0 else rows[:row_limit]
        named = [(r.name + (f" {' '.join(map(str, r.shapes))}" if r.shapes else ""), r) for r in shown]
        width = max([4, *(len(text) for text, _ in named)])
        total = sum(r.self_time for r in rows)
        wall = max(self.wall_time, total, 1e-12)
        lines = [
            f"{'op':<{width}}  {'phase':<8}  {'calls':>7}  {'self':>10}  {'share':>6}  {'time':>10}  {'mean':>10}  {'bytes':>9}"
        ]
        lines.append("-" * len(lines[0]))
        for text, r in named:
            lines.append(
                f"{text:<{width}}  {r.phase:<8}  {r.calls:>7}  {_seconds(r.self_time):>10}  {r.self_time / wall:>6.1%}  "
                f"{_seconds(r.time):>10}  {_seconds(r.time / r.calls):>10}  {_bytes(r.bytes):>9}"
            )
        if len(shown) < len(rows):
            lines.append(f"... {len(rows) - len(shown)} more")
        lines.append("-" * len(lines[0]))
        for phase in ("forward", "backward"):
            spent = sum(r.self_time for r in rows if r.phase == phase)
            lines.append(f"{phase} ops: {_seconds(spent)} ({spent / wall:.1%})")
        rest = max(wall - total, 0.0)
        lines.append(f"outside of ops: {_seconds(rest)} ({rest / wall:.1%})    wall time: {_seconds(wall)}")
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
            profile._open._add(name, start, time.perf_counter_ns())


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


__all__ = ["Event", "ProfilerActivity", "Row", "profile", "record_function"]
