"""Results as a table for people and as JSON for comparisons."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import tilegrad as tg
from tilegrad.cli.doctor import cpu_model
from tilegrad.course.trainer.output import table

from .timing import Result, library


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


def as_json(results: Sequence[Result], peers: Sequence[str]) -> dict[str, Any]:
    """Everything needed to compare this run with another one."""
    return {
        "machine": {
            "cpu": cpu_model(),
            "cpus": os.cpu_count(),
            "isa": tg._core.isa_name(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "OMP": {key: value for key, value in os.environ.items() if key.startswith("OMP_")},
        },
        "versions": {"tilegrad": tg.__version__, **{p: library(p).__version__ for p in peers if library(p)}},
        "results": [
            {
                "case": r.case.name,
                "why": r.case.why,
                "threads": r.threads,
                "seconds": r.seconds,
                "ratio": {peer: r.ratio(peer) for peer in peers if peer in r.seconds},
                "slower": [peer for peer in peers if r.slower(peer)],
                "gflops": r.case.flops / r.seconds["tilegrad"] / 1e9,
                "gigabytes_per_second": r.case.bytes / r.seconds["tilegrad"] / 1e9,
                "fma_peak_gflops": r.peak,
                "peer_spread": r.spread,
                "kept": r.kept,
                "taken": r.taken,
            }
            for r in results
        ],
    }
