"""Two runs beside each other: python bench/compare.py A.json B.json

    --threshold 0.05     how much slower B must be to count (default 5 %)
    --by torch           compare the ratios to this peer instead of the times: for runs on different machines
    --all                show the unchanged cases too

A case has changed when its times differ by more than the threshold and by more than the noise of both runs, which is how far
the middle halves of their samples reach from the medians. Exit status 1 if a case became slower, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

from tilegrad.course.trainer.output import table

from .report import read, time_text


@dataclass(frozen=True)
class Change:
    """One case in both runs; ``ratio`` is A's time over B's: above 1 B is faster."""

    case: str
    threads: int
    before: float
    after: float
    noise: float

    @property
    def ratio(self) -> float:
        """How many times faster B is."""
        return self.before / self.after

    def verdict(self, threshold: float) -> str:
        """``slower``, ``faster`` or nothing."""
        margin = max(threshold, self.noise)
        if self.after > self.before * (1 + margin):
            return "slower"
        return "faster" if self.before > self.after * (1 + margin) else ""


def noise_of(result: dict[str, Any], sides: Sequence[str]) -> float:
    """Half of how far the middle half of the samples lies apart, over the sides that take part."""
    measured = result.get("sides", {})
    return sum(measured[side]["spread"] / 2 for side in sides if side in measured)


def changes(before: dict[str, Any], after: dict[str, Any], by: str | None = None) -> list[Change]:
    """The cases of both runs, in the order of the second. With ``by`` times are in units of that peer's."""
    earlier = {(result["case"], result["threads"]): result for result in before["results"]}
    sides = ["tilegrad", *([by] if by else [])]
    found = []
    for result in after["results"]:
        old = earlier.get((result["case"], result["threads"]))
        if old is None or not all(side in r["seconds"] for side in sides for r in (old, result)):
            continue
        times = [r["seconds"]["tilegrad"] / (r["seconds"][by] if by else 1) for r in (old, result)]
        noise = noise_of(old, sides) + noise_of(result, sides)
        found.append(Change(result["case"], result["threads"], times[0], times[1], noise))
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What else differs between the runs and makes their times hard to compare."""
    said = []
    for key in ("cpu", "isa"):
        values = [run.get("machine", {}).get(key) for run in (before, after)]
        if values[0] != values[1]:
            said.append(f"{key}: {values[0]} against {values[1]}")
    peaks = [max((r.get("fma_peak_gflops", 0) / r["threads"] for r in run["results"]), default=0) for run in (before, after)]
    if min(peaks) > 0 and abs(1 - peaks[0] / peaks[1]) > 0.05:
        said.append(f"arithmetic of a core: {peaks[0]:.0f} against {peaks[1]:.0f} GFLOP/s")
    return said


def report(
    before: dict[str, Any], after: dict[str, Any], threshold: float, by: str | None, everything: bool
) -> tuple[list[str], int]:
    """(lines to show, number of cases that became slower)."""
    found = changes(before, after, by)
    said = {change: change.verdict(threshold) for change in found}
    shown = sorted((change for change in found if everything or said[change]), key=lambda change: change.ratio)
    unit = (lambda value: f"{value:.3f}") if by else time_text
    lines = [f"note: {text}" for text in differences(before, after)]
    if shown:
        header = ("case", "threads", "A", "B", "B is", "noise", "")
        cells = [
            (c.case, c.threads, unit(c.before), unit(c.after), f"{c.ratio:.2f}x", f"{c.noise:.0%}", said[c]) for c in shown
        ]
        lines += table(header, cells, right=range(1, 6))
    slower, faster = (sum(verdict == word for verdict in said.values()) for word in ("slower", "faster"))
    mean = f", geometric mean {geometric_mean([c.ratio for c in found]):.3f}x" if found else ""
    lines.append(f"{len(found)} cases in both: {slower} slower, {faster} faster beyond noise and {threshold:.0%}{mean}")
    names = [{(r["case"], r["threads"]) for r in run["results"]} for run in (before, after)]
    for which, missing in (("A", names[0] - names[1]), ("B", names[1] - names[0])):
        if missing:
            lines.append(f"only in {which}: {', '.join(sorted(case for case, _ in missing))}")
    return lines, slower


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="compare.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("before", metavar="A.json")
    parser.add_argument("after", metavar="B.json")
    parser.add_argument("--threshold", type=float, default=0.05)
    parser.add_argument("--by", metavar="PEER")
    parser.add_argument("--all", action="store_true", dest="everything")
    args = parser.parse_args(arguments)
    runs = []
    for name in (args.before, args.after):
        try:
            runs.append(read(name))
        except (OSError, ValueError) as error:
            print(f"compare: {name}: {error}", file=sys.stderr)
            return 2
    before, after = runs
    lines, slower = report(before, after, args.threshold, args.by, args.everything)
    print("\n".join(lines))
    if not changes(before, after, args.by):
        print("compare: no case is in both", file=sys.stderr)
        return 2
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
