"""Results as lines for people, as JSON for comparisons, as Markdown for the documentation."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import tilegrad as tg
from tilegrad.cli.doctor import cpu_model
from tilegrad.course.trainer.output import table

from .cases import FAMILIES
from .cases import __name__ as CASES_PACKAGE
from .cases.case import op_of
from .goals import Record, judge_all
from .sides import library
from .timing import FEWEST_KEPT, Result, Side


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
    case = result.case
    return derived(
        {
            "case": case.name,
            "op": case.op,
            "dtype": case.dtype,
            "threads": result.threads,
            "flops": case.flops,
            "bytes": case.bytes,
            "sides": {name: dataclasses.asdict(side) for name, side in result.sides.items()},
            "peer_spread": result.spread,
            "fma_peak_gflops": result.best.arithmetic,
            "peak_gflops": result.peak,
            "memory_probe": result.best.memory,
        }
    )


def derived(measured: Record) -> Record:
    """A result with what follows from its measurements: times, ratios, rates, verdicts."""
    if "sides" not in measured:  # written before sides were
        peak = measured["fma_peak_gflops"]
        share = measured["gflops"] / peak if peak else 0.0
        return {"share_of_peak": share, "disturbed": measured["kept"] < FEWEST_KEPT, **measured}
    seconds = {name: side["median"] for name, side in measured["sides"].items()}
    ours, peak = seconds["tilegrad"], measured["peak_gflops"]
    ratio = {name: value / ours for name, value in seconds.items() if name != "tilegrad"}
    kept = min(side["kept"] for side in measured["sides"].values())
    gflops = measured["flops"] / ours / 1e9
    return {
        **measured,
        "seconds": seconds,
        "ratio": ratio,
        "slower": [name for name, value in ratio.items() if value < 1 - measured["peer_spread"]],
        "gflops": gflops,
        "gigabytes_per_second": measured["bytes"] / ours / 1e9,
        "share_of_peak": gflops / peak if peak else 0.0,
        "kept": kept,
        "taken": max(side["taken"] for side in measured["sides"].values()),
        "disturbed": kept < FEWEST_KEPT,
    }


def compact(result: Record) -> Record:
    """What was measured, and nothing that follows from it: results of all cases are kept in the repository."""
    if "sides" not in result:
        return result
    short = {
        key: result[key] for key in ("case", "threads", "flops", "bytes", "peer_spread", "fma_peak_gflops", "memory_probe")
    }
    if result["op"] != op_of(result["case"]):
        short["op"] = result["op"]
    if result["dtype"] != "float32":
        short |= {"dtype": result["dtype"], "peak_gflops": result["peak_gflops"]}
    sides = {name: [side[field] for field in SIDE_FIELDS] for name, side in result["sides"].items()}
    found: Record = _rounded({**short, "sides": sides})
    return found


def expanded(short: Record) -> Record:
    """What `compact` left, with all that follows from it."""
    if "sides" not in short or isinstance(short["sides"]["tilegrad"], dict):
        return derived(short)
    usual = {"op": op_of(short["case"]), "dtype": "float32", "peak_gflops": short["fma_peak_gflops"]}
    sides = {name: dict(zip(SIDE_FIELDS, values, strict=True)) for name, values in short["sides"].items()}
    return derived({**usual, **short, "sides": sides})


SIDE_FIELDS = tuple(field.name for field in dataclasses.fields(Side))  # median, spread, kept, taken


def write(file: Path, run: dict[str, Any]) -> None:
    """A run as JSON, a line per result, measurements only; the file is replaced at once, so that it is whole at any time."""
    head = json.dumps({key: value for key, value in run.items() if key != "results"}, indent=1).removesuffix("\n}")
    lines = [json.dumps(compact(result)) for result in run["results"]]
    text = f'{head},\n "results": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
    beside = file.with_name(file.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def read(file: str | Path) -> dict[str, Any]:
    """A run that was written; ValueError if the file is something else."""
    run = json.loads(Path(file).read_text(encoding="utf-8"))
    try:
        return {**run, "results": [expanded(result) for result in run["results"]]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a result of the benchmarks: {type(error).__name__}: {error}") from None


def _rounded(value: Any) -> Any:
    """Numbers with five digits: no measurement here has more."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if value % 1 else int(value)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return {key: _rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


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
