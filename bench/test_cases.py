"""pytest-benchmark over the cases of tilegrad/bench/cases, the peers in the same run: pytest bench/

    pytest bench/ -k "softmax and tilegrad"            some of them
    pytest bench/ --benchmark-json bench/results/x.json
    TILEGRAD_BENCH_THREADS=2 pytest bench/             another number of threads (default 1)

For ratios use `tilegrad bench`, which alternates the sides and throws disturbed samples away.
"""

from __future__ import annotations

import os

import pytest

from tilegrad.bench.cases import CASES
from tilegrad.bench.sides import function, thread_count

THREADS = int(os.environ.get("TILEGRAD_BENCH_THREADS", "1"))


@pytest.mark.parametrize("side", ["tilegrad", "numpy", "torch"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(benchmark, case, side):
    if side == "torch":
        pytest.importorskip("torch")
    with thread_count(THREADS, blas=side == "numpy"):
        call = function(case, side)
        if call is None:
            pytest.skip(f"{side} has no such operation")
        benchmark.group = case.name
        benchmark.extra_info.update(why=case.why, threads=THREADS, flops=case.flops, bytes=case.bytes)
        benchmark(call)
