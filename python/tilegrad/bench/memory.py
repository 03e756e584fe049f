"""Memory of whole training steps: what is alive at most, and whether a step in its stride still takes pages from the system.

    python bench/memory.py                            all training steps, tilegrad and torch
    python bench/memory.py gpt --steps 1000 --vs none

Each side runs in a process of its own. `live` is what tensors hold at most (tilegrad counts it; torch does not say), `process`
what the system has given to the process at most, beyond what it had before the first step. `faults` counts pages that a step
touches for the first time, `growth` is how much larger the process became over the second half of the steps: both should be 0.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilegrad.course.trainer.output import table

WARM_STEPS = 3


def resident() -> int:
    """Bytes of memory that the process has now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def faults() -> int:
    """Pages touched for the first time since the process began."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measured(name: str, side: str, steps: int, threads: int) -> dict[str, Any]:
    """The figures of one case on one side, in this process."""
    import tilegrad as tg

    from .cases import CASES
    from .sides import function, thread_count

    case = next(case for case in CASES if case.name == name)
    if side != "tilegrad":
        __import__(side)
    with thread_count(threads):
        before = resident()
        step = function(case, side)
        if step is None:
            raise ValueError(f"{side} has no {name}")
        peak = 0
        for _ in range(WARM_STEPS):
            step()
            peak = max(peak, resident())
        stats = tg.memory_stats()
        taken, middle = faults(), 0
        for number in range(steps):
            step()
            peak = max(peak, resident())
            if number == steps // 2:
                middle = resident()
        taken = faults() - taken
    after = tg.memory_stats()
    return {
        "case": name,
        "side": side,
        "steps": steps,
        "threads": threads,
        "process_bytes": peak - before,
        "faults_per_step": taken / steps,
        "growth_bytes": resident() - middle,
        "live_bytes": after["peak_bytes"] if side == "tilegrad" else None,
        "cached_bytes": after["cached_bytes"] if side == "tilegrad" else None,
        "reused": (after["reused"] - stats["reused"]) / max(1, after["allocations"] - stats["allocations"])
        if side == "tilegrad"
        else None,
    }


def in_process(name: str, side: str, steps: int, threads: int) -> dict[str, Any]:
    """The same in a process of its own; RuntimeError with what it said if it fails."""
    command = [
        sys.executable,
        "-m",
        "tilegrad.bench.memory",
        "--measure",
        side,
        name,
        "--steps",
        str(steps),
        "--threads",
        str(threads),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} on {side}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def megabytes(value: float | None) -> str:
    """MB with one digit; nothing for None."""
    return "" if value is None else f"{value / 1e6:.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    from tilegrad.cli.bench import choose
    from tilegrad.cli.parser import UsageError, complain

    from .sides import library

    parser = argparse.ArgumentParser(
        prog="memory.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("case", nargs="*", help="cases, or beginnings of names (default: every training step)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--vs", choices=("torch", "none"), default="torch")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--measure", metavar="SIDE", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    try:
        if args.steps < 2 or args.threads < 1:
            raise UsageError("--steps: at least 2; --threads: at least 1")
        cases = [case for case in choose(args.case) if args.case or case.name.endswith("-step")]
    except UsageError as error:
        return complain(str(error))
    if args.measure:
        print(json.dumps(measured(cases[0].name, args.measure, args.steps, args.threads)))
        return 0
    sides = ["tilegrad", *(["torch"] if args.vs == "torch" and library("torch") else [])]
    found = [in_process(case.name, side, args.steps, args.threads) for case in cases for side in sides]
    cells = [
        (
            r["case"], r["side"], megabytes(r["live_bytes"]), megabytes(r["process_bytes"]), megabytes(r["cached_bytes"]),
            f"{r['faults_per_step']:.1f}", megabytes(r["growth_bytes"]), "" if r["reused"] is None else f"{r['reused']:.1%}",
        )
        for r in found
    ]  # fmt: skip
    header = ("case", "side", "live MB", "process MB", "cached MB", "faults a step", "growth MB", "reused")
    print("\n".join(table(header, cells, right=range(2, 8))))
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
