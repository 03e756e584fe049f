"""Timing that survives a shared machine.

* The sides alternate, with the same number of threads, so that all meet the same neighbours.
* Beside every sample two probes are taken: the rate of pure arithmetic and the rate of reading memory. A sample with a low
  probe before or behind it is thrown away and taken again: something else was on the processor or on its memory.
* Medians, not minima; and the peer is compared with itself to know how much of a difference is noise.
* A result stays alive while the next one is computed, as in a training loop, so that no allocator gets its buffer back at
  once.
* The first call of a sample is not timed: the probes have emptied the caches.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import tilegrad as tg

from .cases import Case
from .sides import Sampler, library, sampler, thread_count

PROBE_MILLISECONDS = 1.0  # short: a disturbance far from the sample must not count
MEMORY_MILLISECONDS = 0.5
PROBED_NUMBERS = 16 << 20  # 64 MB, more than the caches hold
UNDISTURBED = 0.85  # of the best arithmetic probe
UNDISTURBED_MEMORY = 0.6  # of the best memory probe, which varies more by itself
SAMPLE_SECONDS = 0.002  # a sample repeats the statement for at least this long
CASE_SECONDS = 20.0  # a case that takes longer has fewer samples, but FEWEST
RETAKE_SECONDS = 5.0  # no more samples are taken again after this, unless there are not even rounds of them
FEWEST = 5
FEWEST_KEPT = 3  # a result of fewer undisturbed samples is in doubt
WARM_SECONDS = 0.02  # a call that takes longer does not notice cold caches


@dataclass
class Probe:
    """The machine at one moment: GFLOP/s of pure arithmetic, GB/s of reading memory."""

    arithmetic: float
    memory: float = float("inf")


@dataclass
class Samples:
    """Seconds per call of one side, and the weaker of the probes before and behind each."""

    seconds: list[float] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)

    def kept(self, best: Probe) -> list[float]:
        """The undisturbed samples."""
        least = Probe(UNDISTURBED * best.arithmetic, UNDISTURBED_MEMORY * best.memory)
        pairs = zip(self.seconds, self.probes, strict=True)
        return [s for s, p in pairs if p.arithmetic >= least.arithmetic and p.memory >= least.memory]

    def used(self, best: Probe) -> list[float]:
        """The undisturbed samples; the third with the best probes when there are too few of them."""
        kept = self.kept(best)
        if len(kept) >= min(FEWEST_KEPT, len(self.seconds)):
            return kept
        order = sorted(range(len(self.seconds)), key=lambda i: -self.probes[i].arithmetic)
        return [self.seconds[i] for i in order[: max(1, len(order) // 3)]]


@dataclass
class Side:
    """One side of a case: the median, how far the middle half of the samples lies apart, samples used and taken."""

    median: float
    spread: float
    kept: int
    taken: int


@dataclass
class Result:
    """One case with one number of threads: seconds per side, and how sure they are."""

    case: Case
    threads: int
    sides: dict[str, Side]
    best: Probe  # the best probes of the run
    spread: float = 0.0  # |1 - peer / peer|: the peer's odd samples against its even ones; 0 without a peer
    peak: float = 0.0  # GFLOP/s of pure arithmetic on the case's dtype
    failed: dict[str, str] = field(default_factory=dict)  # peers that could not be measured, and why

    @property
    def seconds(self) -> dict[str, float]:
        """The median of every side."""
        return {name: side.median for name, side in self.sides.items()}

    @property
    def kept(self) -> int:
        """The fewest undisturbed samples of a side."""
        return min(side.kept for side in self.sides.values())

    @property
    def taken(self) -> int:
        """The samples of a side."""
        return max(side.taken for side in self.sides.values())

    def ratio(self, peer: str) -> float | None:
        """How many times faster than the peer we are."""
        return self.seconds[peer] / self.seconds["tilegrad"] if peer in self.seconds else None

    def slower(self, peer: str) -> bool:
        """Slower than the peer by more than the peer differs from itself."""
        ratio = self.ratio(peer)
        return ratio is not None and ratio < 1 - self.spread


# --- probes -----------------------------------------------------------------------------------------------------------


def fma_probe(threads: int, dtype: str = "float32") -> float:
    """GFLOP/s of pure multiply-add right now; 0 when the build has no probe, or the processor no instruction, for it."""
    probe = getattr(tg._core, "fma_peak_gflops", None)
    return float(probe(threads, PROBE_MILLISECONDS, dtype)) if probe else 0.0


@functools.cache
def _probed_memory() -> tg.Tensor:
    return tg.zeros(PROBED_NUMBERS)


def take_probe(threads: int) -> Probe:
    """Both probes."""
    rate = tg._core.memory_gigabytes_per_second(_probed_memory(), False, threads, MEMORY_MILLISECONDS)
    return Probe(fma_probe(threads), rate)  # the arithmetic last: it lets the other library's threads go to sleep


@functools.cache
def arithmetic_peak(threads: int, dtype: str) -> float:
    """GFLOP/s of pure multiply-add on ``dtype``: the best of a few probes; float32's where there is no instruction for it."""
    best = max(fma_probe(threads, dtype) for _ in range(5))
    return best or arithmetic_peak(threads, "float32")


_best: dict[int, float] = {}  # the best arithmetic probe of the process, by threads


# --- measuring --------------------------------------------------------------------------------------------------------


def calibrate(sample: Sampler) -> tuple[float, int]:
    """(seconds of one call, how many calls make one sample)."""
    sample(1, 1)
    once = max(min(sample(0, 1) for _ in range(3)), 1e-9)
    return once, max(1, int(SAMPLE_SECONDS / once))


def measure(case: Case, sides: Sequence[str], threads: int, rounds: int = 15, retakes: int = 9) -> Result:
    """Time ``case`` on every side that can do it, alternating: ``rounds`` undisturbed samples of each.

    Disturbed ones are taken again, at most ``retakes`` times as many as were asked for, and for RETAKE_SECONDS.
    """
    for side in {"tilegrad", "torch"} & set(sides):
        library(side)  # what is not loaded cannot be told its number of threads
    with thread_count(threads):
        samplers, once, calls, failed = prepare(case, sides, threads)
        each = sum(max(SAMPLE_SECONDS, seconds) for seconds in once.values())
        rounds = min(rounds, max(FEWEST, int(CASE_SECONDS / each)))
        samples = {side: Samples() for side in samplers}
        start = time.monotonic()
        best = before = take_probe(threads)
        for number in range(rounds * (1 + retakes)):
            best = Probe(max(best.arithmetic, _best.get(threads, 0.0)), best.memory)
            enough = all(len(s.kept(best)) >= rounds for s in samples.values())
            if number >= rounds and (enough or time.monotonic() - start > RETAKE_SECONDS):
                break
            order = list(samplers) if number % 2 == 0 else list(samplers)[::-1]
            for side in order:
                warm = int(once[side] < WARM_SECONDS)
                samples[side].seconds.append(samplers[side](warm, calls[side]) / calls[side])
                behind = take_probe(threads)
                weaker = Probe(min(before.arithmetic, behind.arithmetic), min(before.memory, behind.memory))
                samples[side].probes.append(weaker)
                best = Probe(max(best.arithmetic, behind.arithmetic), max(best.memory, behind.memory))
                before = behind
        _best[threads] = best.arithmetic
        peak = best.arithmetic if case.dtype == "float32" else arithmetic_peak(threads, case.dtype)
    result = summary(case, threads, samples, best, peak)
    result.failed.update(failed)
    return result


def prepare(
    case: Case, sides: Sequence[str], threads: int
) -> tuple[dict[str, Sampler], dict[str, float], dict[str, int], dict[str, str]]:
    """By side: what takes samples, seconds of a call, calls of a sample, and what went wrong with a peer."""
    samplers, once, calls, failed = {}, {}, {}, {}
    for side in sides:
        try:
            found = sampler(case, side, threads)
            if found is not None:
                once[side], calls[side] = calibrate(found)
                samplers[side] = found
        except Exception as error:  # a peer that cannot do it must not cost the case
            if side == "tilegrad":
                raise
            failed[side] = f"{type(error).__name__}: {error}"
    return samplers, once, calls, failed


def summary(case: Case, threads: int, samples: dict[str, Samples], best: Probe, peak: float) -> Result:
    """Medians and spreads of the samples."""
    used = {side: s.used(best) for side, s in samples.items()}
    sides = {
        side: Side(statistics.median(used[side]), quartile_spread(used[side]), len(s.kept(best)), len(s.seconds))
        for side, s in samples.items()
    }
    spread = max((self_spread(used[side]) for side in samples if side != "tilegrad"), default=0.0)
    return Result(case, threads, sides, best, spread, peak)


def self_spread(seconds: list[float]) -> float:
    """How far the medians of every other sample lie apart: the noise of this run, as a share."""
    even, odd = seconds[::2], seconds[1::2]
    return abs(1 - statistics.median(even) / statistics.median(odd)) if odd else 0.0


def quartile_spread(seconds: list[float]) -> float:
    """How far the middle half of the samples lies apart, as a share of the median."""
    if len(seconds) < 3:
        return 0.0
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return (high - low) / middle
