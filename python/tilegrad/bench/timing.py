"""Timing that survives a shared machine.

* Ours and the peer alternate in one process, with the same number of threads, so that both meet the same neighbours.
* Beside every sample the FMA peak is probed. A sample taken while the probe was well under the best one of the run is
  thrown away: something else was on the CPU.
* Medians, not minima; and the peer is compared with itself to know how much of a difference is noise.
"""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tilegrad as tg

from .cases import Case

PROBE_MILLISECONDS = 3.0  # long enough for the other library's threads to stop spinning
UNDISTURBED = 0.85  # of the best probe
SAMPLE_SECONDS = 0.003  # a sample repeats the statement for at least this long


@dataclass
class Samples:
    """Seconds per call of one side, and the probe (GFLOP/s, 0 without one) taken just before each."""

    seconds: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)

    def kept(self, peak: float) -> list[float]:
        """The undisturbed samples."""
        return [s for s, probe in zip(self.seconds, self.probes, strict=True) if probe >= UNDISTURBED * peak]


@dataclass
class Result:
    """One case with one number of threads: median seconds per side, and how sure they are."""

    case: Case
    threads: int
    seconds: dict[str, float]
    kept: int
    taken: int
    peak: float  # best FMA probe, GFLOP/s
    spread: float  # |1 - peer / peer|: the peer's odd samples against its even ones; 0 without a peer

    def ratio(self, peer: str) -> float | None:
        """How many times faster than the peer we are."""
        return self.seconds[peer] / self.seconds["tilegrad"] if peer in self.seconds else None

    def slower(self, peer: str) -> bool:
        """Slower than the peer by more than the peer differs from itself."""
        ratio = self.ratio(peer)
        return ratio is not None and ratio < 1 - self.spread


def fma_probe(threads: int) -> float:
    """GFLOP/s of pure FMA right now; 0 when the build has no probe."""
    probe = getattr(tg._core, "fma_peak_gflops", None)
    return float(probe(threads, PROBE_MILLISECONDS)) if probe else 0.0


def library(name: str) -> Any:
    """The module measured under this name, or None if it is not installed."""
    if name == "tilegrad":
        return tg
    try:
        return __import__(name)
    except ImportError:
        return None


@contextmanager
def thread_count(threads: int) -> Any:
    """``threads`` for tilegrad, torch (if it is loaded) and NumPy's BLAS (if threadpoolctl is there)."""
    import sys

    before = tg.get_num_threads()
    tg.set_num_threads(threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    try:
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            yield
        else:
            with threadpool_limits(threads, user_api="blas"):
                yield
    finally:
        tg.set_num_threads(before)


def names_for(case: Case, side: str) -> tuple[str, dict[str, Any]] | None:
    """(statement, its names) of the case on one side; None if that side cannot do it or is not installed."""
    if side == "numpy":
        if case.numpy is None:
            return None
        return case.numpy, {"np": np, **{name: value.numpy() for name, value in case.setup(tg).items()}}
    module = library(side)
    if module is None:
        return None
    module.manual_seed(0)
    return case.stmt, {"t": module, "F": module.nn.functional, **case.setup(module)}


def timer(case: Case, side: str) -> timeit.Timer | None:
    """The case's statement on one side, ready to be timed."""
    found = names_for(case, side)
    return timeit.Timer(found[0], globals=found[1]) if found else None


def function(case: Case, side: str) -> Callable[[], None] | None:
    """The case's statement on one side as a function without arguments."""
    found = names_for(case, side)
    if not found:
        return None
    exec(f"def call():\n    {found[0]}", found[1])
    return found[1]["call"]


def calibrate(run: Callable[[int], float]) -> int:
    """How many calls make one sample; the first call is the warm-up."""
    run(1)
    once = max(min(run(1) for _ in range(3)), 1e-9)
    return max(1, int(SAMPLE_SECONDS / once))


def measure(case: Case, sides: list[str], threads: int, rounds: int = 15) -> Result:
    """Time ``case`` on every side that can do it, alternating; ``rounds`` samples of each."""
    with thread_count(threads):
        timers = {side: t for side in sides if (t := timer(case, side)) is not None}
        calls = {side: calibrate(t.timeit) for side, t in timers.items()}
        samples = {side: Samples() for side in timers}
        for number in range(rounds):
            order = list(timers) if number % 2 == 0 else list(timers)[::-1]
            for side in order:
                samples[side].probes.append(fma_probe(threads))
                samples[side].seconds.append(timers[side].timeit(calls[side]) / calls[side])
    peak = max(probe for s in samples.values() for probe in s.probes)
    kept = {side: s.kept(peak) for side, s in samples.items()}
    seconds = {side: statistics.median(kept[side] or s.seconds) for side, s in samples.items()}
    peers = [side for side in timers if side != "tilegrad"]
    spread = max((self_spread(kept[side] or samples[side].seconds) for side in peers), default=0.0)
    return Result(case, threads, seconds, min(map(len, kept.values())), rounds, peak, spread)


def self_spread(seconds: list[float]) -> float:
    """How far the medians of every other sample lie apart: the noise of this run, as a share."""
    even, odd = seconds[::2], seconds[1::2]
    return abs(1 - statistics.median(even) / statistics.median(odd)) if odd else 0.0
