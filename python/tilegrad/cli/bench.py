"""``tilegrad bench [CASE]``: the cases of tilegrad/bench/cases, ours and the peers' alternating in one process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilegrad.course.trainer.output import Output, table

from .parser import Parser, UsageError, complain, nearest

PEERS = ("numpy", "torch", "torch-tuned", "onnxruntime")


def main(arguments: Sequence[str]) -> int:
    parser = Parser("bench", description="Times, GFLOP/s, GB/s, share of the measured FMA peak, and ratios to other libraries.")
    parser.add_argument("case", nargs="*", help="cases, or beginnings of names: matmul, softmax-4096 (default: all)")
    parser.add_argument(
        "--vs", default="numpy,torch", metavar="LIST", help="peers, comma separated (default: numpy,torch if installed)"
    )
    parser.add_argument("--threads", metavar="LIST", help="thread counts, comma separated (default: what is set)")
    parser.add_argument("--rounds", type=int, default=15, help="samples per side (default 15)")
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE (- for stdout only)")
    parser.add_argument("--roofline", metavar="FILE.png", help="draw every case under the limits of this machine")
    parser.add_argument("--results", metavar="FILE", help="with --roofline: draw these results (JSON) instead of measuring")
    parser.add_argument("--list", action="store_true", help="show the cases and why they have their size")
    output = Output(sys.stdout)
    try:
        args = parser.read(arguments)
        if args.rounds < 1:
            raise UsageError("--rounds: at least 1")
        cases = choose(args.case)
        if args.list:
            for line in table(("case", "why"), [(case.name, case.why) for case in cases]):
                output.say(line)
            return 0
        peers, threads = read_peers(args.vs), read_threads(args.threads)
        if args.roofline:
            check_picture(args.roofline)
        if args.results:
            return redraw(args.results, args.roofline, {case.name for case in cases}, output)
    except UsageError as error:
        return complain(str(error))
    return run(cases, peers, threads, args.rounds, args.json, output, args.roofline)


def check_picture(file: str) -> None:
    """Before minutes of measuring: can the picture be drawn, and written there?"""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--roofline needs matplotlib, which is not installed: pip install 'tilegrad[bench]'")
    if not file.endswith((".png", ".svg", ".pdf")):
        raise UsageError(f"--roofline {file}: expected a name that ends in .png, .svg or .pdf")
    if not Path(file).resolve().parent.is_dir():
        raise UsageError(f"--roofline {file}: there is no such folder")


def redraw(results_file: str, picture: str | None, names: set[str], output: Output) -> int:
    """Draw the roofline of an earlier run."""
    from tilegrad.bench.report import read
    from tilegrad.bench.roofline import draw

    if picture is None:
        raise UsageError("--results goes with --roofline")
    try:
        earlier = read(results_file)
    except (OSError, ValueError) as error:
        raise UsageError(f"--results {results_file}: {error}") from None
    results = [result for result in earlier["results"] if result["case"] in names]
    limits = earlier.get("limits")
    if not limits:
        raise UsageError(f"--results {results_file}: measured without limits; measure again with --roofline or bench/peers.py")
    draw(results, limits, picture)
    output.say(f"wrote {picture}")
    return 0


def run(
    cases: Sequence[Any],
    peers: list[str],
    threads: list[int],
    rounds: int,
    json_file: str | None,
    output: Output,
    roofline_file: str | None = None,
) -> int:
    """Measure and show, one line as soon as it is known."""
    from tilegrad.bench import report
    from tilegrad.bench.timing import measure

    quiet = json_file == "-"
    if not quiet and max(threads) > 1 and "OMP_PROC_BIND" not in os.environ:
        output.say("threads are not pinned; for steady figures: OMP_PROC_BIND=true OMP_PLACES=cores tilegrad bench ...")
    results: list[Any] = []
    failed: list[str] = []
    width = max(len(case.name) for case in cases)
    for case in cases:
        for count in threads:
            try:
                results.append(measure(case, ["tilegrad", *peers], count, rounds))
            except Exception as error:  # one case that cannot run must not cost the others
                failed.append(f"{case.name}: {type(error).__name__}: {error}")
                continue
            if not quiet:
                lines = report.rows(results[-1:], peers, width)
                for line in lines if len(results) == 1 else lines[-1:]:
                    output.say(line)
    records = [report.record(result) for result in results]
    limits: list[Any] = []
    if roofline_file:
        from tilegrad.bench.roofline import draw, measure_limits

        limits = measure_limits(threads)
        draw(records, limits, roofline_file)
        if not quiet:
            output.say(f"wrote {roofline_file}")
    text = json.dumps(report.as_json(records, peers, limits), indent=2)
    if quiet:
        output.say(text)
    elif json_file:
        Path(json_file).write_text(text + "\n", encoding="utf-8")
        output.say(f"wrote {json_file}")
    for text in failed:
        complain(f"could not be measured: {text}")
    return 1 if failed else 0


def choose(names: Sequence[str]) -> list[Any]:
    """The cases whose names begin with one of ``names``; all of them without names."""
    from tilegrad.bench.cases import CASES

    for name in names:
        if not any(case.name.startswith(name) for case in CASES):
            known = {case.name for case in CASES} | {case.name.split("-")[0] for case in CASES}
            raise UsageError(f"no case {name!r}{nearest(name, known)}; `tilegrad bench --list` shows them")
    exact = [case for case in CASES if case.name in names]
    loose = [name for name in names if not any(case.name == name for case in CASES)]
    return [case for case in CASES if not names or case in exact or any(case.name.startswith(name) for name in loose)]


def read_peers(text: str) -> list[str]:
    """The peers that were asked for and are installed."""
    from tilegrad.bench.sides import library

    names = [name.strip() for name in text.split(",") if name.strip() and name.strip() != "none"]
    for name in names:
        if name not in PEERS:
            raise UsageError(f"--vs: unknown peer {name!r}{nearest(name, PEERS)}; peers: {', '.join(PEERS)}, none")
    return [name for name in names if library(name) is not None]


def read_threads(text: str | None) -> list[int]:
    if text is None:
        import tilegrad as tg

        return [tg.get_num_threads()]
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--threads {text}: expected numbers like 1,2") from None
    if min(counts) < 1:
        raise UsageError(f"--threads {text}: at least 1")
    return counts
