"""Time per unit of work against its size, over four decades and more: a cliff shows as a spike or a step.

    python bench/scaling.py --threads 1 --png scaling.png --json scaling.json
    python bench/scaling.py softmax sort

Each curve is one operation at powers of two and at odd sizes between them. Powers of two are where strides of 4 KB make lines
of memory compete for the same places of a cache; odd sizes are where tiles do not fit. A size whose time per unit is 1.5 times
that of both neighbours is named as a spike. Steps by the ratio of two levels of memory are no fault: they are where the data
leave a cache.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilegrad.course.trainer.output import table

from .cases import Case
from .cases.case import Setup, tensors

SPIKE = 1.5
ROUNDS = 5


@dataclass(frozen=True)
class Curve:
    """An operation whose size is one number.

    Args:
        name: the operation.
        low, high: exponents of 2: the first size and the last.
        setup: size -> names for the statement.
        stmt: what is timed.
        work: size -> units of work: elements, or multiplications.
    """

    name: str
    low: int
    high: int
    setup: Callable[[int], Setup]
    stmt: str
    work: Callable[[int], float]

    def sizes(self) -> list[int]:
        """Powers of two, and odd numbers in the middle between them."""
        powers = [1 << bits for bits in range(self.low, self.high + 1)]
        return sorted({*powers, *(power + power // 2 - 1 for power in powers[:-1])})

    def case(self, size: int) -> Case:
        """The benchmark case of one size."""
        return Case(f"{self.name}-{size}", "a point of a curve", self.setup(size), self.stmt, None, 0, 4.0 * self.work(size))


def _elements(size: int) -> float:
    return float(size)


def _leaf(*names: str) -> Callable[[int], Setup]:
    return lambda n: tensors(**dict.fromkeys(names, (n,)))


def _square(n: int) -> Setup:
    return tensors(x=(n, n))


def _rows(columns: int) -> Callable[[int], Setup]:
    return lambda n: tensors(x=(n, columns))


def _classes(n: int) -> Setup:
    return lambda t: {"x": t.randn(n, 1000).requires_grad_(), "y": t.randint(0, 1000, (n,))}


def _norm(n: int) -> Setup:
    return lambda t: {"x": t.randn(n, 768), "w": t.randn(768), "b": t.randn(768)}


def _heads(n: int) -> Setup:
    return tensors(**dict.fromkeys("qkv", (1, 4, n, 64)))


def _lstm(n: int) -> Setup:
    return lambda t: {"x": t.randn(16, 16, n), "layer": t.nn.LSTM(n, n)}


def _tokens(n: int) -> Setup:
    def setup(t: Any) -> dict[str, Any]:
        return {"w": t.randn(1000, 64).requires_grad_(), "i": t.randint(0, 1000, (n,)), "dy": t.ones(n, 64)}

    return setup


def _parameters(n: int) -> Setup:
    def setup(t: Any) -> dict[str, Any]:
        parameter = t.randn(n).requires_grad_()
        parameter.grad = t.randn(n)
        return {"o": t.optim.Adam([parameter], lr=1e-6)}

    return setup


CURVES = (
    Curve("add", 8, 24, _leaf("x", "y"), "x + y", _elements),
    Curve("exp", 8, 24, _leaf("x"), "t.exp(x)", _elements),
    Curve("sum", 8, 24, _leaf("x"), "x.sum()", _elements),
    Curve("sum-columns", 4, 12, _square, "x.sum(0)", lambda n: float(n) ** 2),
    Curve("transpose-copy", 4, 12, _square, "x.t().contiguous()", lambda n: float(n) ** 2),
    Curve("cumsum", 8, 22, _leaf("x"), "t.cumsum(x, 0)", _elements),
    Curve("sort", 8, 20, _leaf("x"), "t.sort(x)", _elements),
    Curve("cat", 8, 22, _leaf("x", "y"), "t.cat([x, y])", lambda n: 2.0 * n),
    Curve("softmax-rows", 2, 14, _rows(1000), "F.softmax(x, 1)", lambda n: 1000.0 * n),
    Curve("softmax-one-row", 8, 22, lambda n: tensors(x=(1, n)), "F.softmax(x, 1)", _elements),
    Curve("layer-norm", 2, 14, _norm, "F.layer_norm(x, (768,), w, b)", lambda n: 768.0 * n),
    Curve("cross-entropy", 2, 13, _classes, "F.cross_entropy(x, y).backward(); x.grad = None", lambda n: 1000.0 * n),
    Curve("matmul", 4, 10, lambda n: tensors(x=(n, n), y=(n, n)), "x @ y", lambda n: float(n) ** 3),
    Curve("matmul-one-row", 6, 12, lambda n: tensors(x=(1, n), y=(n, n)), "x @ y", lambda n: float(n) ** 2),
    Curve("conv2d-3x3", 3, 8, lambda n: tensors(x=(1, 32, n, n), w=(32, 32, 3, 3)), "F.conv2d(x, w, padding=1)",
          lambda n: 32.0 * n * n),
    Curve("conv2d-channels", 2, 8, lambda n: tensors(x=(1, n, 28, 28), w=(n, n, 3, 3)), "F.conv2d(x, w, padding=1)",
          lambda n: float(n) ** 2),
    Curve("max-pool", 4, 10, lambda n: tensors(x=(1, 8, n, n)), "F.max_pool2d(x, 2)", lambda n: 8.0 * n * n),
    Curve("attention", 4, 11, _heads, "F.scaled_dot_product_attention(q, k, v)", lambda n: float(n) ** 2),
    Curve("lstm", 4, 9, _lstm, "layer(x)", lambda n: float(n) ** 2),
    Curve("embedding-gradient", 6, 17, _tokens, "F.embedding(i, w).backward(dy); w.grad = None", _elements),
    Curve("adam", 8, 23, _parameters, "o.step()", _elements),
)  # fmt: skip


def measured(curve: Curve, threads: int) -> list[dict[str, Any]]:
    """Seconds, and nanoseconds per unit of work, at every size."""
    from .timing import measure

    points = []
    for size in curve.sizes():
        result = measure(curve.case(size), ["tilegrad"], threads, ROUNDS)
        seconds = result.seconds["tilegrad"]
        points.append({"size": size, "seconds": seconds, "nanoseconds_per_unit": seconds / curve.work(size) * 1e9})
    return points


def spikes(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Points that cost SPIKE times as much per unit as either neighbour."""
    found = []
    for before, point, behind in zip(points, points[1:], points[2:], strict=False):
        if point["nanoseconds_per_unit"] > SPIKE * max(before["nanoseconds_per_unit"], behind["nanoseconds_per_unit"]):
            found.append(point)
    return found


def draw(curves: dict[str, list[dict[str, Any]]], threads: int, file: str | Path) -> None:
    """A small panel for every curve, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(3.4 * columns, 2.4 * lines), squeeze=False, layout="constrained")
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis, (name, points) in zip(axes.flat, curves.items(), strict=False):
        sizes, costs = [p["size"] for p in points], [p["nanoseconds_per_unit"] for p in points]
        axis.plot(sizes, costs, "-", color="#4c72b0", linewidth=1)
        for power in (True, False):
            chosen = [(s, c) for s, c in zip(sizes, costs, strict=True) if (s & (s - 1) == 0) == power]
            axis.plot(*zip(*chosen, strict=True), "o" if power else ".", color="#4c72b0" if power else "#dd8452", markersize=3)
        axis.set(xscale="log", yscale="log")
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7, which="both")
        axis.grid(alpha=0.2)
    figure.supxlabel("size (dots: powers of two; points: odd sizes)", fontsize=9)
    figure.supylabel(f"ns per unit of work, {threads} thread{'s' * (threads > 1)}", fontsize=9)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 1 when there are spikes."""
    from tilegrad.cli.bench import check_picture
    from tilegrad.cli.parser import UsageError, complain

    parser = argparse.ArgumentParser(
        prog="scaling.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("curve", nargs="*", help=f"beginnings of names (default: all of {', '.join(c.name for c in CURVES)})")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--png", metavar="FILE")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(arguments)
    try:
        if args.png:
            check_picture(args.png)
        unknown = [name for name in args.curve if not any(curve.name.startswith(name) for curve in CURVES)]
        if unknown or args.threads < 1:
            raise UsageError(f"no curve {unknown[0]!r}" if unknown else f"--threads {args.threads}: at least 1")
    except UsageError as error:
        return complain(str(error))
    curves = {}
    found = []
    for curve in CURVES:
        if not args.curve or any(curve.name.startswith(name) for name in args.curve):
            points = curves[curve.name] = measured(curve, args.threads)
            first, best = points[0]["nanoseconds_per_unit"], min(p["nanoseconds_per_unit"] for p in points)
            found += [(curve.name, point) for point in spikes(points)]
            print(f"{curve.name:<20}{first:>10.3g} ns a unit at {points[0]['size']}, at best {best:.3g}", flush=True)
    if found:
        cells = [(name, point["size"], f"{point['nanoseconds_per_unit']:.3g}") for name, point in found]
        print("\n".join(["", *table(("spike", "size", "ns a unit"), cells, right=(1, 2))]))
    if args.json:
        content = {"threads": args.threads, "curves": curves}
        Path(args.json).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if args.png:
        draw(curves, args.threads, args.png)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
