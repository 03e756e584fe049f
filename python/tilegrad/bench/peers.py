"""The comparison with other libraries: every case, every side, JSON as it goes and Markdown at the end.

    python bench/peers.py --threads 2 --json bench/results/peers-2.json
    python bench/peers.py --threads 1,2 --isa avx2 --peers torch softmax attention

Ours and theirs alternate in one process whose threads are pinned (timing.py says how). torch is measured twice: as it is, and
in a second process with malloc tuned, so that what the allocator gains and what the kernels gain can be told apart.
onnxruntime and NumPy take part, in processes of their own, where they can do the operation.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PINNED = {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}
PEERS = ("torch", "torch-tuned", "onnxruntime", "numpy")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, pin, measure; returns the exit code: 1 if a case could not be measured, 2 for a wrong argument."""
    parser = argparse.ArgumentParser(
        prog="peers.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("case", nargs="*", help="cases, or beginnings of names (default: all)")
    parser.add_argument("--threads", default="2", metavar="LIST", help="thread counts, comma separated (default 2)")
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE, after every case")
    parser.add_argument("--continue", action="store_true", dest="resume", help="keep what FILE has, measure the rest")
    parser.add_argument("--isa", metavar="NAME", help="the instruction set of our kernels, as TILEGRAD_ISA")
    parser.add_argument("--peers", default=",".join(PEERS), metavar="LIST", help=f"comma separated (default {','.join(PEERS)})")
    parser.add_argument("--rounds", type=int, default=15, help="undisturbed samples per side (default 15)")
    args = parser.parse_args(arguments)
    given = list(sys.argv[1:] if arguments is None else arguments)
    settings = {**PINNED, **({"TILEGRAD_ISA": args.isa} if args.isa else {})}
    missing = {key: value for key, value in settings.items() if key == "TILEGRAD_ISA" or key not in os.environ}
    missing = {key: value for key, value in missing.items() if os.environ.get(key) != value}
    if missing:  # both are read when the libraries are loaded
        os.environ.update(missing)
        os.execv(sys.executable, [sys.executable, "-m", "tilegrad.bench.peers", *given])
    return run(args)


def run(args: argparse.Namespace) -> int:
    """Measure everything that was asked for."""
    from tilegrad.cli.bench import choose, read_threads
    from tilegrad.cli.parser import UsageError, complain

    from . import report
    from .roofline import measure_limits
    from .sides import SIDES, library

    try:
        cases, threads = choose(args.case), read_threads(args.threads)
        peers = [peer.strip() for peer in args.peers.split(",") if peer.strip()]
        if unknown := [peer for peer in peers if peer not in SIDES[1:]]:
            raise UsageError(f"--peers: unknown peer {unknown[0]!r}; peers: {', '.join(PEERS)}")
        if args.rounds < 1:
            raise UsageError("--rounds: at least 1")
    except UsageError as error:
        return complain(str(error))
    for peer in peers:
        if library(peer) is None or (peer == "onnxruntime" and library("onnx") is None):
            print(f"{peer} is not installed: left out", file=sys.stderr)
    peers = [peer for peer in peers if library(peer) is not None]
    record = Run(peers, Path(args.json) if args.json else None, args.resume)
    record.limits = measure_limits(threads) if args.json else []
    failed = measure_all(cases, threads, peers, args.rounds, record)
    for count in threads:
        found = [result for result in record.results if result["threads"] == count]
        print(f"\n## {count} thread{'s' * (count > 1)}\n")
        print("\n".join([*report.goals_table(found), "", *report.family_tables(found, peers)]))
        for peer in peers:
            print(report.summary_line(found, peer))
    for text in failed:
        print(f"could not be measured: {text}", file=sys.stderr)
    return 1 if failed else 0


class Run:
    """The results so far, in memory and in the file."""

    def __init__(self, peers: Sequence[str], file: Path | None, resume: bool) -> None:
        self.peers, self.file = peers, file
        self.results: list[dict[str, Any]] = []
        self.limits: list[dict[str, Any]] = []
        if resume and file and file.exists():
            from .report import read

            self.results = read(file)["results"]
        self.done = {(result["case"], result["threads"]) for result in self.results}

    def add(self, result: dict[str, Any]) -> None:
        """One more case; the file is replaced at once, so that it is whole at any time."""
        from . import report, timing, worker

        self.results.append(result)
        if self.file is None:
            return
        method = {
            "sample_seconds": timing.SAMPLE_SECONDS,
            "undisturbed": timing.UNDISTURBED,
            "undisturbed_memory": timing.UNDISTURBED_MEMORY,
            "tuned_malloc": worker.TUNED,
        }
        report.write(self.file, {**report.as_json(self.results, self.peers, self.limits), "method": method})


def measure_all(cases: Sequence[Any], threads: Sequence[int], peers: Sequence[str], rounds: int, record: Run) -> list[str]:
    """Every case with every number of threads, a line each; returns what failed."""
    from . import report
    from .timing import measure

    failed: list[str] = []
    width = max(len(case.name) for case in cases)
    start, shown = time.monotonic(), False
    for case in cases:
        for count in threads:
            if (case.name, count) in record.done:
                continue
            try:
                result = measure(case, ["tilegrad", *peers], count, rounds)
            except Exception as error:  # one case that cannot run must not cost the others
                failed.append(f"{case.name}: {type(error).__name__}: {error}")
                continue
            failed += [f"{case.name} with {peer}: {text}" for peer, text in result.failed.items()]
            record.add(report.record(result))
            lines = report.rows([result], list(peers), width)
            print("\n".join(lines[-1:] if shown else lines), flush=True)
            shown = True
    print(f"{len(cases)} cases, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
