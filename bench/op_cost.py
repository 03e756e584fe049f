"""The gate on the cost of an op: python bench/op_cost.py [--json FILE] [--vs torch] [--gate]

Microseconds, best of 9 runs, one thread, on tensors of 10 elements: what is left is dispatch, checks, allocation and
bookkeeping. The limits were set with a prototype of the engine before the library existed; with --gate a figure over
its limit is exit code 1. Figures are comparable only on a quiet machine: the FMA probe beside them says how quiet.
"""

from __future__ import annotations

import argparse
import json
import sys
import timeit
from pathlib import Path
from typing import Any

import tilegrad as tg
from tilegrad.bench.cases.op_cost import CASES
from tilegrad.bench.sides import library
from tilegrad.bench.timing import fma_probe

LIMITS = {"add-10": 0.35, "add-10-graph": 0.45, "mul-chain": 40.0}  # us: the gate
GOALS = {"add-10": 0.25, "add-10-graph": 0.30, "mul-chain": 30.0}  # us
CALLS = {"add-10": 100_000, "add-10-graph": 100_000, "matmul-8": 100_000, "mul-chain": 3_000}


def cost(module: Any) -> dict[str, float]:
    """Microseconds per call of every op-cost case on ``module``."""
    module.set_num_threads(1)
    result = {}
    for case in CASES:
        names = {"t": module, "F": module.nn.functional, **case.setup(module)}
        calls = CALLS[case.name]
        result[case.name] = min(timeit.repeat(case.stmt, number=calls, repeat=9, globals=names)) / calls * 1e6
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--vs", choices=["torch"], help="measure this library in the same run")
    parser.add_argument("--gate", action="store_true", help="exit code 1 when a figure is over its limit")
    args = parser.parse_args()
    before = fma_probe(1)
    report: dict[str, Any] = {"unit": "us", "isa": tg._core.isa_name(), "tilegrad": cost(tg)}
    report |= {"limits": LIMITS, "goals": GOALS, "fma_gflops": [round(before, 1), round(fma_probe(1), 1)]}
    if args.vs:
        peer = library(args.vs)
        report[args.vs] = cost(peer) if peer else "not installed"
    report["over"] = [name for name, limit in LIMITS.items() if report["tilegrad"][name] > limit]
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    return 1 if args.gate and report["over"] else 0


if __name__ == "__main__":
    sys.exit(main())
