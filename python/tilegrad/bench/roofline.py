"""The roofline: every measured case under the limit that this machine sets it (Williams, Waterman and Patterson, 2009).

    GFLOP/s                                 GB/s
      |        _______ arithmetic            | L1 ____
      |      /  x  x                         |       |  L2 ____
      |    / x                               |   x   |__x_____|  L3 ____
      |  /                                   |                 |_x____|__ memory
      +---------------------- FLOP/byte      +--------------------------- bytes touched

Left: cases with FLOPs. The slope is the bandwidth of the level that holds the case's tensors, the flat part the rate of
arithmetic on its dtype. Right: cases that only move bytes, against how many. FLOPs and bytes are the least that the operation
needs, so that Winograd's convolution may lie above the roof.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import _limits
from .goals import Record

Limits = dict[str, Any]  # of one number of threads, as _limits.measured() gives them
SECOND_WORDS = {"cell", "entropy", "loss", "norm", "pool", "sample", "softmax"}
LEVEL_COLORS = ("#8c8c8c", "#6f6f6f", "#4d4d4d", "#1f1f1f")


def measure_limits(threads: Sequence[int]) -> list[Limits]:
    """The limits for every number of threads."""
    return [_limits.measured(count) for count in threads]


def points(results: Sequence[Record], threads: int) -> tuple[list[Record], list[Record]]:
    """(cases with FLOPs and bytes, cases with bytes only) of one number of threads."""
    found = [result for result in results if result["threads"] == threads and result["bytes"]]
    return [r for r in found if r["flops"]], [r for r in found if not r["flops"]]


def level_of(touched: float, limits: Limits) -> dict[str, Any]:
    """The smallest level that holds so many bytes."""
    found = next(level for level in limits["levels"] if level["bytes"] is None or touched <= _limits.ROOM * level["bytes"])
    return dict(found)


def roof(flops: float, touched: float, dtype: str, limits: Limits) -> float:
    """GFLOP/s that the machine allows at this intensity and size."""
    arithmetic = limits["gflops"].get(dtype) or limits["gflops"]["float32"]
    return float(min(arithmetic, flops / touched * best_rate(level_of(touched, limits))))


def best_rate(level: dict[str, Any]) -> float:
    """GB/s of reading or copying, whichever is faster."""
    return float(max(level["gigabytes_per_second"].values()))


def draw(results: Sequence[Record], limits: Sequence[Limits], file: str | Path) -> None:
    """Write the picture: two panels for every number of threads."""
    try:
        import matplotlib
    except ImportError:
        raise RuntimeError("the roofline needs matplotlib, which is not installed: pip install 'tilegrad[bench]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(limits), 2, figsize=(13, 5.2 * len(limits)), squeeze=False, layout="constrained")
    colors = _colors(results)
    for (left, right), found in zip(axes, limits, strict=True):
        computing, moving = points(results, found["threads"])
        _draw_arithmetic(left, computing, found, colors)
        _draw_bandwidth(right, moving, found, colors)
    marks = [pyplot.Line2D([], [], marker="o", linestyle="", color=color, label=name) for name, color in colors.items()]
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=8, fontsize=8, frameon=False)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def family_of(result: Record) -> str:
    """The operation, without what is special about it: what shares a color."""
    words = str(result["op"]).split("_")
    return " ".join(words[:2]) if words[1:] and words[1] in SECOND_WORDS else words[0]


def _colors(results: Sequence[Record]) -> dict[str, Any]:
    from matplotlib import colormaps

    counts: dict[str, int] = {}
    for result in results:
        if result["bytes"]:
            counts[family_of(result)] = counts.get(family_of(result), 0) + 1
    common = sorted(sorted(counts, key=lambda name: -counts[name])[:19])
    palette = colormaps["tab20"]
    colors = {name: palette(i) for i, name in enumerate(common)}
    return {**colors, "others": "black"} if len(counts) > len(common) else colors


def _title(limits: Limits, text: str) -> str:
    return f"{text}, {limits['threads']} thread{'s' * (limits['threads'] > 1)}, {limits['isa']}"


def _draw_arithmetic(axes: Any, results: Sequence[Record], limits: Limits, colors: dict[str, Any]) -> None:
    intensities = [result["flops"] / result["bytes"] for result in results] or [0.1, 100.0]
    low, high = min(0.1, min(intensities) / 2), max(1000.0, 2 * max(intensities))
    for level, gray in zip(limits["levels"], LEVEL_COLORS, strict=False):
        rate = best_rate(level)
        peak = limits["gflops"]["float32"]
        axes.plot([low, peak / rate], [low * rate, peak], color=gray, linewidth=1)
        axes.annotate(f"{level['name']} {rate:.0f} GB/s", (low * 1.15, low * 1.3 * rate), fontsize=7, color=gray)
    wanted = {"float32", *(result["dtype"] for result in results)}
    for dtype, peak in limits["gflops"].items():
        if peak and dtype in wanted:
            axes.axhline(peak, color="black", linewidth=1, linestyle="-" if dtype == "float32" else "--")
            axes.annotate(f"{dtype} {peak:.0f} GFLOP/s", (high / 1.1, peak * 1.06), fontsize=7, ha="right")
    for result in results:
        color = colors.get(family_of(result), colors.get("others"))
        mark = "o" if result["dtype"] == "float32" else "^"
        axes.plot(result["flops"] / result["bytes"], result["gflops"], mark, color=color, markersize=4, alpha=0.85)
    axes.set(xscale="log", yscale="log", xlim=(low, high), xlabel="FLOP per byte", ylabel="GFLOP/s")
    axes.set_title(_title(limits, "arithmetic"), fontsize=10)
    axes.grid(alpha=0.2)


def _draw_bandwidth(axes: Any, results: Sequence[Record], limits: Limits, colors: dict[str, Any]) -> None:
    sizes = [result["bytes"] for result in results] or [1e3, 1e9]
    left, end = min(1e3, min(sizes) / 2), max(1e9, 2 * max(sizes))
    for level, gray in zip(limits["levels"], LEVEL_COLORS, strict=False):
        right = _limits.ROOM * level["bytes"] if level["bytes"] else end
        for word, style in (("read", "-"), ("copy", ":")):
            rate = level["gigabytes_per_second"][word]
            axes.plot([left, right], [rate, rate], color=gray, linewidth=1.2, linestyle=style)
        axes.annotate(level["name"], (left * 1.1, best_rate(level) * 1.06), fontsize=7, color=gray)
        left = right
    for result in results:
        color = colors.get(family_of(result), colors.get("others"))
        axes.plot(result["bytes"], result["gigabytes_per_second"], "o", color=color, markersize=4, alpha=0.85)
    axes.set(xscale="log", yscale="log", xlabel="bytes read and written at least", ylabel="GB/s")
    axes.set_title(_title(limits, "memory (line: read, dots: copy)"), fontsize=10)
    axes.grid(alpha=0.2)
