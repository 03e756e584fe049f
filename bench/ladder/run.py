#!/usr/bin/env python3
"""The ladders: small C++ programs that go from the definition of an op to nearly what is shipped, one idea a rung.

    python bench/ladder/run.py [FAMILY ...] [--json FILE] [--docs DIR]

Compiles the programs with the C++ compiler at hand, checks every rung against NumPy, and shows its GFLOP/s, its share of the
FMA peak and its gain over the rung before. The last rung is the shipped kernel, called through the package. `--docs` writes
the table and the picture of each family into the documentation.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad.bench.timing import UNDISTURBED

HERE = Path(__file__).resolve().parent
PROBE_MILLISECONDS = 3.0
Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Rung:
    """A function of the program, or "shipped": what it adds, in a few words; `threads`: runs on all of them."""

    function: str
    step: str
    threads: bool = False


@dataclass(frozen=True)
class Family:
    """`make(sizes)` gives the inputs; `reference` the result in float64; `shipped` the package's call on tensors."""

    name: str
    sizes: dict[str, int]
    rungs: list[Rung]
    flops: Callable[..., float]
    make: Callable[..., Arrays]
    reference: Callable[..., np.ndarray]
    shipped: Callable[..., Any]


def normal(*shapes: tuple[int, ...]) -> Arrays:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


# --- the families --------------------------------------------------------------------------------------------------------


def convolution(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    return np.einsum("nchwrs,ocrs->nohw", windows, w, optimize=True)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])
    p = np.exp(scores - scores.max(2, keepdims=True))
    return p / p.sum(2, keepdims=True) @ v


def lstm(x: np.ndarray, w_i: np.ndarray, w_h: np.ndarray, bias: np.ndarray) -> np.ndarray:
    h = c = np.zeros((x.shape[1], w_h.shape[1]))
    y = []
    for step in x:
        i, f, g, o = np.split(step @ w_i.T + h @ w_h.T + bias, 4, 1)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        y.append(h)
    return np.stack(y)


def lstm_inputs(T: int, B: int, I: int, H: int) -> Arrays:
    x, w_i, w_h, bias = normal((T, B, I), (4 * H, I), (4 * H, H), (4 * H,))
    return [x, w_i / np.float32(I**0.5), w_h / np.float32(H**0.5), bias]


def shipped_lstm(x: Any, w_i: Any, w_h: Any, bias: Any) -> Any:
    layer = tg.nn.LSTM(w_i.shape[1], w_h.shape[1])
    values = (w_i, w_h, bias, tg.zeros_like(bias))
    with tg.no_grad():
        for parameter, value in zip(layer.parameters(), values, strict=True):
            parameter.copy_(value)
    return lambda: layer(x)[0]


FAMILIES = {
    f.name: f
    for f in (
        Family(
            "matmul",
            {"m": 1024, "n": 1024, "k": 1024},
            [
                Rung("three_loops", "three loops"),
                Rung("row_order", "rows instead of columns"),
                Rung("vectors", "vector registers"),
                Rung("register_tile", "sums stay in registers"),
                Rung("packed", "blocks, packed"),
                Rung("threads", "threads", True),
                Rung("shipped", "shipped", True),
            ],
            lambda m, n, k: 2.0 * m * n * k,
            lambda m, n, k: normal((m, k), (k, n)),
            np.matmul,
            lambda a, b: lambda: a @ b,
        ),
        Family(
            "conv2d",
            {"N": 4, "C": 64, "O": 64, "H": 56, "W": 56},
            [
                Rung("seven_loops", "seven loops"),
                Rung("lines", "whole lines"),
                Rung("windows", "a matrix of windows"),
                Rung("panels", "windows a panel at a time"),
                Rung("winograd", "Winograd F(4x4, 3x3)"),
                Rung("threads", "threads", True),
                Rung("shipped", "shipped", True),
            ],
            lambda N, C, O, H, W: 18.0 * N * C * O * H * W,
            lambda N, C, O, H, W: normal((N, C, H, W), (O, C, 3, 3)),
            convolution,
            lambda x, w: lambda: tg.nn.functional.conv2d(x, w, padding=1),
        ),
        Family(
            "attention",
            {"heads": 4, "S": 2048, "D": 64},
            [
                Rung("definition", "the definition"),
                Rung("products", "two matrix products"),
                Rung("vector_exp", "vector exponentials"),
                Rung("online", "blocks, online softmax"),
                Rung("threads", "threads", True),
                Rung("shipped", "shipped", True),
            ],
            lambda heads, S, D: 4.0 * heads * S * S * D,
            lambda heads, S, D: normal(*[(heads, S, D)] * 3),
            attention,
            lambda q, k, v: lambda: tg.nn.functional.scaled_dot_product_attention(q, k, v),
        ),
        Family(
            "lstm",
            {"T": 32, "B": 32, "I": 128, "H": 256},
            [
                Rung("definition", "the definition"),
                Rung("products", "matrix products"),
                Rung("inputs_first", "all inputs at once"),
                Rung("packed_once", "weights packed once"),
                Rung("vector_gates", "vector gates"),
                Rung("threads", "threads", True),
                Rung("shipped", "shipped", True),
            ],
            lambda T, B, I, H: 8.0 * T * B * H * (I + H),
            lstm_inputs,
            lstm,
            shipped_lstm,
        ),
    )
}


# --- compile and call ----------------------------------------------------------------------------------------------------


def compiler() -> str | None:
    """The C++ compiler: $CXX, or the first that is there."""
    return next((c for c in (os.environ.get("CXX"), "c++", "g++", "clang++") if c and shutil.which(c)), None)


def compile_program(name: str, folder: Path) -> ctypes.CDLL:
    """bench/ladder/NAME.cpp as a library."""
    cxx = compiler()
    if cxx is None:
        raise SystemExit("no C++ compiler found: set CXX")
    target = folder / f"{name}.so"
    flags = ["-std=c++20", "-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]
    command = [cxx, *flags, "-shared", "-fPIC", str(HERE / f"{name}.cpp"), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return ctypes.CDLL(str(target))


def call(library: ctypes.CDLL, rung: str, inputs: Arrays, out: np.ndarray, sizes: dict[str, int]) -> Callable[[], Any]:
    """The rung as a function without arguments; its result is in `out`."""
    arrays = (*inputs, out)
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]  # which keep the arrays alive
    function = getattr(library, rung)
    function.restype = None
    numbers = [ctypes.c_long(n) for n in sizes.values()]
    return lambda: function(*pointers, *numbers)


def calls(family: Family, library: ctypes.CDLL, sizes: dict[str, int]) -> list[tuple[Rung, Callable[[], Any], np.ndarray]]:
    """Every rung with its function and its result, checked against NumPy."""
    inputs = [np.ascontiguousarray(a) for a in family.make(**sizes)]
    expected = family.reference(*(a.astype(np.float64) for a in inputs))
    found = []
    for rung in family.rungs:
        out = np.full(expected.shape, np.nan, np.float32)
        if rung.function == "shipped":
            work = family.shipped(*(tg.from_numpy(a) for a in inputs))
            with tg.no_grad():
                out = work().numpy()
        else:
            work = call(library, rung.function, inputs, out, sizes)
            work()
        error = np.max(np.abs(out - expected)) / np.max(np.abs(expected))
        if not error < 2e-5:  # Winograd's F(4x4, 3x3) is the least accurate
            raise AssertionError(f"{family.name}, {rung.function}, {sizes}: relative error {error:.1e}")
        found.append((rung, work, out))
    return found


# --- measure -------------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """What one rung gave: seconds a call, GFLOP/s, its share of the peak of its threads, times faster than the rung before."""

    function: str
    step: str
    threads: int
    seconds: float
    gflops: float
    of_peak: float
    gain: float


def seconds_and_peak(work: Callable[[], Any], threads: int, rounds: int) -> tuple[float, float]:
    """Median seconds of a call and the best FMA probe beside the samples (GFLOP/s); disturbed samples do not count."""
    work()
    seconds, probes = [], []
    for _ in range(rounds):
        probes.append(tg._core.fma_peak_gflops(threads, PROBE_MILLISECONDS))
        start = time.perf_counter()
        count = 0
        while count == 0 or time.perf_counter() - start < 0.02:
            work()
            count += 1
        seconds.append((time.perf_counter() - start) / count)
    peak = max(probes)
    kept = [s for s, probe in zip(seconds, probes, strict=True) if probe >= UNDISTURBED * peak]
    return statistics.median(kept), peak


def measure(family: Family, library: ctypes.CDLL, threads: int, rounds: int = 7) -> list[Row]:
    rows: list[Row] = []
    flops = family.flops(**family.sizes)
    before = tg.get_num_threads()
    library.omp_set_num_threads(threads)  # of the OpenMP that the program is linked with
    for rung, work, _ in calls(family, library, family.sizes):
        count = threads if rung.threads else 1
        tg.set_num_threads(count)
        with tg.no_grad():
            seconds, peak = seconds_and_peak(work, count, rounds if rows else 2)
        gflops = flops / seconds / 1e9
        gain = rows[-1].seconds / seconds if rows else 1.0
        rows.append(Row(rung.function, rung.step, count, seconds, gflops, gflops / peak, gain))
    tg.set_num_threads(before)
    return rows


# --- show ----------------------------------------------------------------------------------------------------------------


def as_text(rows: list[Row]) -> str:
    lines = [f"{'':28} {'threads':>7} {'ms':>9} {'GFLOP/s':>8} {'of peak':>8} {'gain':>6}"]
    for r in rows:
        lines.append(f"{r.step:28} {r.threads:7} {r.seconds * 1e3:9.2f} {r.gflops:8.1f} {r.of_peak:8.0%} {r.gain:5.1f}x")
    return "\n".join(lines)


def share(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else f"{part:.1%}"


def as_page(family: Family, rows: list[Row], machine: str) -> str:
    sizes = ", ".join(f"{k} = {v}" for k, v in family.sizes.items())
    lines = [
        f"`bench/ladder/{family.name}.cpp` climbs from the definition to nearly the shipped kernel, one idea a rung.",
        "Its comments say what each rung removes and what limits it then.",
        f"Measured with {sizes}, float32, on {machine}:",
        "",
        "| rung | threads | time | GFLOP/s | of FMA peak | gain |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        gain = f"{r.gain:.1f}x" if r is not rows[0] else ""
        time_text = f"{r.seconds:.3g} s" if r.seconds >= 1 else f"{r.seconds * 1e3:.3g} ms"
        lines.append(f"| {r.step} | {r.threads} | {time_text} | {r.gflops:.3g} | {share(r.of_peak)} | {gain} |")
    total = rows[0].seconds / rows[-1].seconds
    lines += ["", f"From the first rung to the last: {total:,.0f} times.", ""]
    lines += [f"```{{image}} ../figures/ladder-{family.name}.png", f":alt: GFLOP/s of each rung of {family.name}", "```", ""]
    return "\n".join(lines)


def draw(family: Family, rows: list[Row], path: Path) -> None:
    """Bars of GFLOP/s, one a rung, with its gain; dashed lines are the peaks of one and of all threads."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.45 * len(rows) + 1.1), layout="constrained")
    places = range(len(rows))[::-1]
    colors = ["#2a6f97" if r.function != "shipped" else "#e07a5f" for r in rows]
    axes.barh(list(places), [r.gflops for r in rows], color=colors, height=0.65)
    for place, r in zip(places, rows, strict=True):
        gain = f"   {r.gain:.1f}x" if r is not rows[0] else ""
        axes.text(r.gflops, place, f" {r.gflops:.3g}{gain}", va="center", fontsize=9)
    for count in sorted({r.threads for r in rows}):
        peak = statistics.median(r.gflops / r.of_peak for r in rows if r.threads == count)
        axes.axvline(peak, color="#555555", linestyle="--", linewidth=0.8)
        axes.text(peak, len(rows) - 0.45, f"peak, {count} thread{'s' * (count > 1)}", ha="center", fontsize=8, color="#555555")
    axes.set_yticks(list(places), [r.step for r in rows])
    axes.set_xlim(0, 1.16 * max(r.gflops / min(r.of_peak, 1.0) if r.of_peak > 1 else r.gflops / r.of_peak for r in rows))
    axes.set_ylim(-0.6, len(rows) - 0.1)
    axes.set_xlabel("GFLOP/s (operations of the definition)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def machine(threads: int) -> str:
    """The processor as /proc/cpuinfo calls it, the instruction set and the compiler."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "this machine")
    version = subprocess.run([str(compiler()), "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return f"{name} ({tg._core.isa_name()}, up to {threads} threads, {version})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="*", help=f"default: {', '.join(FAMILIES)}")
    parser.add_argument("--threads", type=int, default=tg.get_num_threads())
    parser.add_argument("--json", metavar="FILE", help="write the figures; families that are in it already stay")
    parser.add_argument("--docs", metavar="DIR", type=Path, help="write DIR/kernels/ladder_*.md and DIR/figures/ladder-*.png")
    parser.add_argument("--from-json", action="store_true", help="measure nothing: write the pages from FILE")
    args = parser.parse_args()
    unknown = [name for name in args.family if name not in FAMILIES]
    if unknown:
        parser.error(f"no family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    old = json.loads(Path(args.json).read_text()) if args.json and Path(args.json).exists() else {}
    results = dict(old.get("families", {}))
    name = old["machine"] if args.from_json else machine(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        for chosen in args.family or FAMILIES:
            family = FAMILIES[chosen]
            if args.from_json:
                rows = [Row(**r) for r in results[chosen]["rows"]]
            else:
                rows = measure(family, compile_program(chosen, Path(folder)), args.threads)
                results[chosen] = {"sizes": family.sizes, "rows": [asdict(r) for r in rows]}
            print(f"{chosen}  {family.sizes}\n{as_text(rows)}\n", flush=True)
            if args.docs:
                (args.docs / "kernels").mkdir(exist_ok=True)
                (args.docs / "kernels" / f"ladder_{chosen}.md").write_text(as_page(family, rows, name))
                draw(family, rows, args.docs / "figures" / f"ladder-{chosen}.png")
    if args.json and not args.from_json:
        Path(args.json).write_text(json.dumps({"machine": name, "families": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
