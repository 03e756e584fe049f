"""Results as lines for people, as JSON for comparisons, as Markdown for the documentation."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Sequence
from statistics import geometric_mean
from typing import Any

import tilegrad as tg
from tilegrad.cli.doctor import cpu_model
from tilegrad.course.trainer.output import table

from .cases import FAMILIES
from .cases import __name__ as CASES_PACKAGE
from .goals import Record, judge_all
from .sides import library
from .timing import FEWEST_KEPT, Result


def time_text(seconds: float) -> str:
    """``0.31 us``, ``12.5 us``, ``3.10 ms``: three digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1 or unit == "us":
            return f"{seconds * scale:.3g} {unit}"
    raise AssertionError


def rows(results: Sequence[Result], peers: Sequence[str], name_width: int = 0) -> list[str]:
    """One line per case: our time, how near to the machine's limits, and every peer's time over ours.

    With ``name_width`` the columns do not depend on the rows, so that a table can be shown line by line.
    """
    header = ["case", "threads", "ours", "GFLOP/s", "of peak", "GB/s", *(f"x {peer}" for peer in peers), "kept"]
    widths = [name_width, *(max(len(name), 7) for name in header[1:])]
    return table(header, [_row(result, peers) for result in results], right=range(1, len(header)), at_least=widths)


def _row(result: Result, peers: Sequence[str]) -> list[str]:
    case, ours = result.case, result.seconds["tilegrad"]
    gflops = case.flops / ours / 1e9
    share = f"{gflops / result.peak:.0%}" if case.flops and result.peak else ""
    return [
        case.name,
        str(result.threads),
        time_text(ours),
        f"{gflops:.3g}" if case.flops else "",
        share,
        f"{case.bytes / ours / 1e9:.3g}" if case.bytes else "",
        *(_ratio(result, peer) for peer in peers),
        f"{result.kept}/{result.taken}",
    ]


def _ratio(result: Result, peer: str) -> str:
    """``2.31``; with ``-`` behind it when we are slower than the noise explains."""
    ratio = result.ratio(peer)
    return "" if ratio is None else f"{ratio:.2f}{'-' if result.slower(peer) else ''}"


def record(result: Result) -> Record:
    """A result as JSON can hold it: everything needed to judge it and to compare it with another run."""
    case, ours = result.case, result.seconds["tilegrad"]
    gflops = case.flops / ours / 1e9
    peers = [side for side in result.sides if side != "tilegrad"]
    return {
        "case": case.name,
        "op": case.op,
        "dtype": case.dtype,
        "why": case.why,
        "threads": result.threads,
        "flops": case.flops,
        "bytes": case.bytes,
        "seconds": result.seconds,
        "ratio": {peer: result.ratio(peer) for peer in peers},
        "slower": [peer for peer in peers if result.slower(peer)],
        "gflops": gflops,
        "gigabytes_per_second": case.bytes / ours / 1e9,
        "share_of_peak": gflops / result.peak if result.peak else 0.0,
        "fma_peak_gflops": result.best.arithmetic,
        "peak_gflops": result.peak,
        "memory_probe_gigabytes_per_second": result.best.memory,
        "peer_spread": result.spread,
        "sides": {name: dataclasses.asdict(side) for name, side in result.sides.items()},
        "kept": result.kept,
        "taken": result.taken,
        "disturbed": result.kept < FEWEST_KEPT,
    }


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "isa": tg._core.isa_name(),
        "build": {key: str(value) for key, value in tg._core.build_info().items()},
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(("OMP_", "TILEGRAD_"))},
    }


def versions(peers: Sequence[str]) -> dict[str, str]:
    """Versions of ours and of the peers that are installed."""
    modules = {peer: module for peer in peers if (module := library(peer))}
    return {"tilegrad": tg.__version__, **{peer: module.__version__ for peer, module in modules.items()}}


def as_json(records: Sequence[Record], peers: Sequence[str], limits: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A whole run; ``limits``: of the machine, for every number of threads, where they were measured."""
    return {"machine": machine(), "versions": versions(peers), "limits": list(limits), "results": list(records)}


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {' | '.join(row)} |" for row in rows)]


def goals_table(results: Sequence[Record], peer: str = "torch") -> list[str]:
    """A row per goal: what is wanted, the mean and the worst of its class, and the verdict."""
    rows = []
    for verdict in judge_all(results, peer):
        goal = verdict.goal
        measured = ", ".join(
            text
            for text in (
                f"{verdict.mean_ratio:.2f}x" if verdict.mean_ratio else "",
                f"{verdict.worst_ratio:.2f}x" if verdict.worst_ratio and verdict.cases > 1 else "",
                f"{verdict.worst_peak:.0%} of peak" if goal.peak and verdict.worst_peak else "",
                time_text(verdict.longest) if goal.seconds else "",
            )
            if text
        )
        said = "reached" if verdict.reached else f"missed: {verdict.worst_case}" if verdict.worst_case else "missed"
        if verdict.slower:
            said = f"slower: {', '.join(verdict.slower)}"
        rows.append((goal.name, str(verdict.cases), goal.wanted(), measured, said))
    return markdown_table(("class", "cases", "goal", "measured: mean, worst", "verdict"), rows)


def family_tables(results: Sequence[Record], peers: Sequence[str]) -> list[str]:
    """A table per family of cases: our time, share of the limits, every peer's time over ours."""
    lines: list[str] = []
    by_case = {result["case"]: result for result in results}
    shown = [peer for peer in peers if any(peer in result["ratio"] for result in results)]
    for family in FAMILIES:
        names = [case.name for case in importlib.import_module(f"{CASES_PACKAGE}.{family}").CASES]
        found = [by_case[name] for name in names if name in by_case]
        if found:
            header = (family.replace("_", " "), "tilegrad", "of peak", "GB/s", *(f"x {peer}" for peer in shown))
            lines += [*markdown_table(header, [cells(result, shown) for result in found]), ""]
    return lines


def cells(result: Record, peers: Sequence[str]) -> list[str]:
    """The row of a case: its name, our time, the share of peak, the bandwidth, and the ratios to the peers."""
    ratios = (result["ratio"].get(peer) for peer in peers)
    bandwidth = result["gigabytes_per_second"]
    return [
        result["case"],
        time_text(result["seconds"]["tilegrad"]),
        f"{result['share_of_peak']:.0%}" if result.get("share_of_peak") else "",
        f"{bandwidth:.3g}" if bandwidth else "",
        *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
    ]


def summary_line(results: Sequence[Record], peer: str) -> str:
    """How many cases, and which are slower than the peer beyond its spread."""
    ratios = [result["ratio"][peer] for result in results if peer in result["ratio"]]
    slower = sorted((result["ratio"][peer], result["case"]) for result in results if peer in result["slower"])
    if not ratios:
        return f"no case was measured with {peer}"
    said = "none slower" if not slower else "slower: " + ", ".join(f"{case} {ratio:.2f}" for ratio, case in slower)
    disturbed = [result["case"] for result in results if peer in result["ratio"] and result["disturbed"]]
    doubt = f"; disturbed, measure again: {', '.join(disturbed)}" if disturbed else ""
    return f"{len(ratios)} cases with {peer}, geometric mean {geometric_mean(ratios):.2f}x; {said}{doubt}"
