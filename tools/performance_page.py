#!/usr/bin/env python3
"""Writes the measured part of docs/performance.md from results of bench/peers.py or `tilegrad bench --json`.

    tools/performance_page.py bench/results/peers-2.json bench/results/peers-1.json bench/results/peers-avx2.json

The first run gets the table of goals and all its columns; each further one (another number of threads, another instruction
set) a column of ratios to torch. Without --write FILE the text is printed; with it, it replaces what is between the two marks
in FILE.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from tilegrad.bench import cases, report
from tilegrad.bench.compare import changes

BEGIN, END = "<!-- measured: written by tools/performance_page.py -->", "<!-- end of measured -->"
Run = dict[str, Any]


def runs_of(files: Sequence[str]) -> list[Run]:
    """One run per file and number of threads, in the order given."""
    runs = []
    for file in files:
        content = report.read(file)
        for threads in sorted({result["threads"] for result in content["results"]}, reverse=True):
            results = [result for result in content["results"] if result["threads"] == threads]
            runs.append({**content, "file": Path(file).name, "threads": threads, "results": results})
    return runs


def label(run: Run, first: Run) -> str:
    """What tells a run from the first one."""
    words = [f"{run['threads']} thread{'s' * (run['threads'] > 1)}"]
    return ", ".join(words + ([run["machine"]["isa"]] if run["machine"]["isa"] != first["machine"]["isa"] else []))


def description(runs: Sequence[Run]) -> list[str]:
    """Where the figures come from."""
    first = runs[0]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    build = first["machine"].get("build", {})
    built = f", {build['compiler']}, revision {build['revision']}" if "compiler" in build else ""
    machine = f"{first['machine']['cpu']}, instruction set {first['machine']['isa']}{built}"
    files = ", ".join(f"`bench/results/{name}`" for name in dict.fromkeys(run["file"] for run in runs))
    lines = [f"{versions}; {machine}. Files: {files}.", ""]
    for run in runs:
        lines.append(f"- {label(run, first)}: {report.summary_line(run['results'], 'torch')}.")
    single = next((run for run in runs if run["threads"] == 1 and run["machine"]["isa"] == first["machine"]["isa"]), None)
    if single and first["threads"] > 1:
        lines.append(f"- {first['threads']} threads against 1: {scaling_line(first, single)}.")
    return lines


def scaling_line(many: Run, single: Run) -> str:
    """Which cases more threads make slower, by more than the noise of both runs; and by how much they help on the whole."""
    found = changes({"results": single["results"]}, {"results": [{**r, "threads": 1} for r in many["results"]]})
    slower = [f"{c.case} {c.ratio:.2f}" for c in found if c.verdict(0.05) == "slower"]
    mean = f"geometric mean {geometric_mean([c.ratio for c in found]):.2f}x, " if found else ""
    return mean + ("none slower" if not slower else "slower: " + ", ".join(slower))


def family_tables(runs: Sequence[Run]) -> list[str]:
    """A table per family of cases."""
    first, others = runs[0], runs[1:]
    peers = [peer for peer in first["versions"] if peer != "tilegrad"]
    found = [{result["case"]: result for result in run["results"]} for run in runs]
    lines: list[str] = []
    for family in cases.FAMILIES:
        names = [case.name for case in importlib.import_module(f"{cases.__name__}.{family}").CASES]
        names = [name for name in names if name in found[0]]
        if not names:
            continue
        shown = [peer for peer in peers if any(peer in found[0][name]["ratio"] for name in names)]
        header = [family.replace("_", " "), "tilegrad", "of peak", "GB/s", *(f"x {peer}" for peer in shown)]
        header += [f"x torch, {label(run, first)}" for run in others]
        rows = []
        for name in names:
            ratios = [results.get(name, {"ratio": {}})["ratio"].get("torch") for results in found[1:]]
            rows.append(report.cells(found[0][name], shown) + ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios])
        lines += [*report.markdown_table(header, rows), ""]
    return lines


def text(runs: Sequence[Run]) -> str:
    """The measured part of the page."""
    lines = [*description(runs), "", f"### Goals, {label(runs[0], runs[0])}", "", *report.goals_table(runs[0]["results"])]
    lines += ["", "### Every case", "", *family_tables(runs)]
    return "\n".join(lines).rstrip() + "\n"


def replaced(page: str, measured: str) -> str:
    """The page with what is between its marks replaced."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"the page has no part between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{measured}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", metavar="FILE.json")
    parser.add_argument("--write", metavar="FILE.md", help="replace the measured part of this page")
    args = parser.parse_args(arguments)
    measured = text(runs_of(args.results))
    if args.write:
        page = Path(args.write)
        page.write_text(replaced(page.read_text(encoding="utf-8"), measured), encoding="utf-8")
    else:
        print(measured, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
