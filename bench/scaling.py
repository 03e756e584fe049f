#!/usr/bin/env python3
"""Time per element against size, over four decades, for one op of each family: does every size pay what its neighbours pay?

    python bench/scaling.py [FAMILY ...] [--threads 1,2] [--json FILE] [--out PICTURE.png]

Sizes are neither round nor alike: powers of two (strides of 4 KB), their neighbours, primes and sizes around the points where
work is divided among threads. A size is flagged when its time per element is more than twice that of both of its neighbours.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tilegrad as tg

F = tg.nn.functional
CLIFF = 2.0
Call = Callable[[], Any]


@dataclass(frozen=True)
class Family:
    """`make(n)` gives a call whose work grows with n; `work(n)` the amount that time is divided by; `sizes` goes over n."""

    name: str
    unit: str
    make: Callable[[int], Call]
    work: Callable[[int], float]
    sizes: list[int]


def around(low: int, high: int, steps: int = 2) -> list[int]:
    """Powers of two from low to high, what lies beside them, and `steps` - 1 odd sizes between two of them."""
    sizes: set[int] = set()
    power = low
    while power <= high:
        sizes |= {power - 1, power, power + 1}
        sizes |= {int(power * 2 ** (i / steps)) | 1 for i in range(1, steps)}
        power *= 2
    return sorted(s for s in sizes if low <= s <= high)


LONG = around(1 << 9, 1 << 23)
SIDES = around(8, 1024)


def rand(*shape: int) -> Any:
    return tg.rand(*shape) + 0.5


def over(op: Callable[..., Any], *shapes: Callable[[int], tuple[int, ...]]) -> Callable[[int], Call]:
    """make(n): op on tensors of these shapes."""

    def make(n: int) -> Call:
        tensors = [rand(*shape(n)) for shape in shapes]
        return lambda: op(*tensors)

    return make


def backward(op: Callable[..., Any], *shapes: Callable[[int], tuple[int, ...]]) -> Callable[[int], Call]:
    def make(n: int) -> Call:
        tensors = [rand(*shape(n)).requires_grad_() for shape in shapes]
        dy = tg.ones_like(op(*tensors).detach())

        def call() -> None:
            with tg.enable_grad():
                op(*tensors).backward(dy)
            for t in tensors:
                t.grad = None

        return call

    return make


def optimizer(n: int) -> Call:
    w = tg.nn.Parameter(rand(n))
    w.grad = rand(n)
    return tg.optim.Adam([w], lr=1e-3).step


def lstm(n: int) -> Call:
    layer, x = tg.nn.LSTM(n, n), rand(8, 16, n)
    return lambda: layer(x)


def gather(n: int) -> Call:
    x, index = rand(n), tg.randint(0, n, (n,))
    return lambda: tg.gather(x, 0, index)


def line(n: int) -> tuple[int, ...]:
    return (n,)


def square(n: int) -> tuple[int, ...]:
    return (n, n)


def attended(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v)


FAMILIES = {
    f.name: f
    for f in (
        Family("add", "element", over(tg.add, line, line), float, LONG),
        Family("exp", "element", over(tg.exp, line), float, LONG),
        Family("gelu, forward and backward", "element", backward(F.gelu, line), float, LONG),
        Family("sum", "element", over(tg.sum, line), float, LONG),
        Family("sum of columns", "element", over(lambda x: x.sum(0), square), lambda n: float(n * n), around(16, 2048)),
        Family(
            "transposed copy", "element", over(lambda x: x.t().contiguous(), square), lambda n: float(n * n), around(16, 2048)
        ),
        Family(
            "softmax of 64 rows",
            "element",
            over(lambda x: tg.softmax(x, 1), lambda n: (64, n)),
            lambda n: 64.0 * n,
            around(8, 1 << 16),
        ),
        Family(
            "softmax of n rows",
            "element",
            over(lambda x: tg.softmax(x, 1), lambda n: (n, 64)),
            lambda n: 64.0 * n,
            around(8, 1 << 16),
        ),
        Family(
            "layer_norm, forward and backward",
            "element",
            backward(lambda x: F.layer_norm(x, x.shape[1:]), lambda n: (64, n)),
            lambda n: 64.0 * n,
            around(8, 1 << 14),
        ),
        Family(
            "batch_norm",
            "element",
            over(lambda x: F.batch_norm(x, None, None, training=True), lambda n: (8, 16, n)),
            lambda n: 128.0 * n,
            around(16, 1 << 14),
        ),
        Family("matmul", "multiplication", over(tg.matmul, square, square), lambda n: float(n) ** 3, SIDES),
        Family(
            "matmul, n rows",
            "multiplication",
            over(tg.matmul, lambda n: (n, 256), lambda n: (256, 256)),
            lambda n: 65536.0 * n,
            around(1, 1 << 13),
        ),
        Family(
            "matmul, inner n",
            "multiplication",
            over(tg.matmul, lambda n: (64, n), lambda n: (n, 64)),
            lambda n: 4096.0 * n,
            around(8, 1 << 16),
        ),
        Family(
            "conv2d 3x3, n channels",
            "multiplication",
            over(lambda x, w: F.conv2d(x, w, padding=1), lambda n: (2, n, 28, 28), lambda n: (n, n, 3, 3)),
            lambda n: 2 * 784 * 9.0 * n * n,
            around(1, 256),
        ),
        Family(
            "conv2d 3x3, n x n images",
            "multiplication",
            over(lambda x, w: F.conv2d(x, w, padding=1), lambda n: (2, 32, n, n), lambda n: (32, 32, 3, 3)),
            lambda n: 2 * 9 * 1024.0 * n * n,
            around(4, 256),
        ),
        Family(
            "max_pool2d",
            "element",
            over(lambda x: F.max_pool2d(x, 2), lambda n: (2, 8, n, n)),
            lambda n: 16.0 * n * n,
            around(8, 512),
        ),
        Family(
            "attention of n tokens",
            "pair",
            over(attended, *[lambda n: (2, 2, n, 64)] * 3),
            lambda n: 4.0 * n * n,
            around(16, 1024),
        ),
        Family("lstm, n units", "multiplication", lstm, lambda n: 8 * 16 * 8.0 * n * n, around(8, 512)),
        Family("sort", "element", over(lambda x: tg.sort(x)[0], line), lambda n: n * math.log2(n), around(1 << 9, 1 << 21)),
        Family("cumsum", "element", over(lambda x: tg.cumsum(x, 0), line), float, around(1 << 9, 1 << 22)),
        Family("gather", "element", gather, float, around(1 << 9, 1 << 21)),
        Family("Adam", "element", optimizer, float, around(1 << 9, 1 << 22)),
        Family(
            "cross_entropy, forward and backward",
            "element",
            backward(lambda x: F.cross_entropy(x, tg.zeros(64, dtype=tg.int64), reduction="none"), lambda n: (64, n)),
            lambda n: 64.0 * n,
            around(8, 1 << 15),
        ),
    )
}


def seconds(call: Call, rounds: int) -> float:
    """The best of a few rounds, each long enough for the clock."""
    call()
    count, best = 1, math.inf
    for _ in range(rounds):
        while True:
            start = time.perf_counter()
            for _ in range(count):
                call()
            taken = time.perf_counter() - start
            if taken >= 2e-4 or count >= 1000:
                break
            count *= 2
        best = min(best, taken / count)
    return best


def measure(family: Family, threads: int, rounds: int) -> list[tuple[int, float]]:
    """(n, nanoseconds for one unit of work) over all sizes."""
    tg.set_num_threads(threads)
    with tg.no_grad():
        return [(n, seconds(family.make(n), rounds) / family.work(n) * 1e9) for n in family.sizes]


def cliffs(points: list[tuple[int, float]]) -> list[int]:
    """Sizes that cost more than twice as much for each element as both neighbours."""
    return [
        points[i][0]
        for i in range(1, len(points) - 1)
        if points[i][1] > CLIFF * points[i - 1][1] and points[i][1] > CLIFF * points[i + 1][1]
    ]


def steps(points: list[tuple[int, float]]) -> list[int]:
    """Sizes from which on everything costs more than twice what it did before."""
    return [points[i][0] for i in range(2, len(points) - 2)
            if min(t for _, t in points[i : i + 3]) > CLIFF * max(t for _, t in points[i - 2 : i])]  # fmt: skip


def draw(results: dict[str, dict[str, list[tuple[int, float]]]], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = 4
    lines = -(-len(results) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4 * columns, 2.6 * lines), layout="constrained", squeeze=False)
    for ax in axes.flat[len(results) :]:
        ax.axis("off")
    for ax, (name, by_threads) in zip(axes.flat, results.items(), strict=False):
        for (threads, points), color in zip(by_threads.items(), ("#2a6f97", "#e07a5f", "#81b29a"), strict=False):
            ax.loglog(*zip(*points, strict=True), ".-", color=color, markersize=3, linewidth=0.9, label=f"{threads} threads")
        ax.set_title(name, fontsize=9)
        ax.set_ylabel(f"ns / {FAMILIES[name].unit}", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.grid(True, which="major", linewidth=0.3)
    axes.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="*", help="names, or beginnings of names (default: all)")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="families that are in it already stay")
    parser.add_argument("--out", metavar="PNG")
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    args = parser.parse_args()
    chosen = [f for f in FAMILIES.values() if not args.family or any(f.name.startswith(a) for a in args.family)]
    results = json.loads(Path(args.json).read_text())["families"] if args.json and Path(args.json).exists() else {}
    for family in [] if args.from_json else chosen:
        results[family.name] = {t: measure(family, int(t), args.rounds) for t in args.threads.split(",")}
    results = {name: results[name] for name in FAMILIES if name in results}
    found = 0
    for name, by_threads in results.items():
        for threads, points in by_threads.items():
            for kind, sizes in (("cliff", cliffs(points)), ("step", steps(points))):
                for n in sizes:
                    around_it = [f"{m}: {t:.3g}" for m, t in points if n / 2.1 <= m <= n * 2.1]
                    print(f"{name}, {threads} threads: {kind} at n = {n} (ns / {FAMILIES[name].unit}: {', '.join(around_it)})")
                    found += 1
    print(f"{found} cliffs and steps in {len(results)} families")
    if args.json and not args.from_json:
        Path(args.json).write_text(json.dumps({"families": results}) + "\n")
    if args.out:
        draw(results, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
