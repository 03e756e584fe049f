"""What this machine can do at best: the rate of arithmetic on each dtype, and of reading and copying at each level of memory.

Measured when first asked for, in some milliseconds, and kept for the process. A kernel needs at least
``max(flops / arithmetic, bytes / bandwidth)`` seconds; whichever is larger says what bounds it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _core
from .ops import zeros

DTYPES = ("float32", "float64", "bfloat16", "int8")
MILLISECONDS = 2.0
REPEATS = 4  # the best counts
PATIENCE = 5
ROOM = 0.75  # of a cache for the operands of one op


@dataclass(frozen=True)
class Level:
    """A level of memory: its bytes, of each core or of all together."""

    name: str
    bytes: float
    shared: bool

    def capacity(self, threads: int) -> float:
        """Bytes that ``threads`` cores have of it."""
        return self.bytes if self.shared else self.bytes * threads


@functools.cache
def levels() -> tuple[Level, ...]:
    """The caches as Linux describes them, then memory; usual sizes where it does not."""
    found = {1: 32 << 10, 2: 1 << 20, 3: 16 << 20}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            if (folder / "type").read_text().strip() != "Instruction":
                size = (folder / "size").read_text().strip()
                scale = {"K": 1 << 10, "M": 1 << 20}.get(size[-1], 1)
                found[int((folder / "level").read_text())] = int(size.rstrip("KM")) * scale
        except (OSError, ValueError):
            continue
    caches = [Level(f"L{level}", size, shared=level == max(found)) for level, size in sorted(found.items())]
    return (*caches, Level("memory", float("inf"), shared=True))


def level_of(working_set: float, threads: int) -> Level:
    """The smallest level that holds so many bytes, with room for what else is in it."""
    return next(level for level in levels() if working_set <= ROOM * level.capacity(threads))


@functools.cache
def arithmetic(threads: int, dtype: str = "float32") -> float:
    """FLOP/s of multiply-add; float32's rate for a dtype without an instruction of its own."""
    if dtype not in DTYPES:
        return arithmetic(threads, "float32")
    best = max(_core.fma_peak_gflops(threads, MILLISECONDS, dtype) for _ in range(REPEATS)) * 1e9
    return best or arithmetic(threads, "float32")


@functools.cache
def bandwidth(threads: int, level: str) -> dict[str, float]:
    """Bytes a second of reading, and of copying (read and written), data that lie in this level."""
    below = 0.0
    for found in levels():
        if found.name == level:
            break
        below = found.capacity(threads)
    else:
        raise ValueError(f"bandwidth: expected one of {', '.join(known.name for known in levels())}, got {level!r}")
    size = (
        4 * below if found.name == "memory" else max(found.capacity(threads) / 4, min(2 * below, found.capacity(threads) / 2))
    )
    buffer = zeros(int(min(size, 512 << 20)) // 4)
    rate = _core.memory_gigabytes_per_second
    return {
        word: max(rate(buffer, copies, threads, MILLISECONDS) for _ in range(REPEATS)) * 1e9
        for word, copies in (("read", False), ("copy", True))
    }


@dataclass(frozen=True)
class Limit:
    """The least time that some work can take here, and what sets it: ``compute``, or the level of memory it is read from."""

    seconds: float
    bound: str


def limit(flops: float, touched: float, threads: int, dtype: str = "float32", working_set: float | None = None) -> Limit:
    """The limit of so many FLOPs and bytes; ``working_set``: the bytes they lie in, if they are not all different."""
    level = level_of(touched if working_set is None else working_set, threads)
    moving = touched / max(bandwidth(threads, level.name).values()) if touched else 0.0
    computing = flops / arithmetic(threads, dtype) if flops else 0.0
    return Limit(computing, "compute") if computing >= moving else Limit(moving, level.name)


def measured(threads: int) -> dict[str, Any]:
    """Every limit, as JSON can hold it; measured again, and with more patience than what one table of a profile needs."""
    best: dict[str, Any] = {}
    for _ in range(PATIENCE):
        arithmetic.cache_clear()
        bandwidth.cache_clear()
        other = _measured(threads)
        best = best or other
        best["gflops"] = {dtype: max(rate, other["gflops"][dtype]) for dtype, rate in best["gflops"].items()}
        for level, again in zip(best["levels"], other["levels"], strict=True):
            rates = level["gigabytes_per_second"]
            rates.update({word: max(rate, again["gigabytes_per_second"][word]) for word, rate in rates.items()})
    return best


def _measured(threads: int) -> dict[str, Any]:
    return {
        "threads": threads,
        "isa": _core.isa_name(),
        "gflops": {dtype: _core_rate(threads, dtype) for dtype in DTYPES},
        "levels": [
            {
                "name": level.name,
                "bytes": None if level.bytes == float("inf") else level.capacity(threads),
                "gigabytes_per_second": {word: rate / 1e9 for word, rate in bandwidth(threads, level.name).items()},
            }
            for level in levels()
        ],
    }


def _core_rate(threads: int, dtype: str) -> float:
    """GFLOP/s; 0 without an instruction for the dtype."""
    return arithmetic(threads, dtype) / 1e9 if _core.fma_peak_gflops(threads, 0.05, dtype) else 0.0
