#!/usr/bin/env python3
"""Prints results of `tilegrad bench --json` as tables for docs/benchmarks.md: one per family, a row per case.

tools/bench_table.py bench/results/cpu-2-threads.json
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from tilegrad.bench import cases
from tilegrad.bench.report import time_text


def families() -> dict[str, list[str]]:
    """Family -> names of its cases, in their order."""
    return {name: [case.name for case in importlib.import_module(f"{cases.__name__}.{name}").CASES] for name in cases.FAMILIES}


def line(result: dict) -> str:
    peak = result["fma_peak_gflops"]
    share = f"{result['gflops'] / peak:.0%}" if result["gflops"] and peak else ""
    bandwidth = f"{result['gigabytes_per_second']:.3g}" if result["gigabytes_per_second"] else ""
    ratio = result["ratio"].get("torch")
    ours = time_text(result["seconds"]["tilegrad"])
    return f"| {result['case']} | {ours} | {share} | {bandwidth} | {'' if ratio is None else f'{ratio:.2f}'} |"


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 2
    results = {result["case"]: result for result in json.loads(Path(sys.argv[1]).read_text())["results"]}
    for family, names in families().items():
        found = [results[name] for name in names if name in results]
        if found:
            print(f"| {family.replace('_', ' ')} | tilegrad | of peak | GB/s | x torch |\n|---|---|---|---|---|")
            print("\n".join(map(line, found)) + "\n")
    ratios = [r["ratio"]["torch"] for r in results.values() if "torch" in r["ratio"]]
    slower = sorted((r["ratio"]["torch"], r["case"]) for r in results.values() if r["ratio"].get("torch", 1) < 1)
    print(f"{len(ratios)} cases with torch; slower: " + ", ".join(f"{case} {ratio:.2f}" for ratio, case in slower))
    return 0


if __name__ == "__main__":
    sys.exit(main())
