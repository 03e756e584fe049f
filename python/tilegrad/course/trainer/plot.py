"""A curve in the terminal: braille dots (2 x 4 per character), or stars where the terminal has no braille."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Bit of each dot of a braille character, by column (0, 1) and row (0 = top .. 3); the block starts at U+2800.
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def curve(
    x: Sequence[float], y: Sequence[float], *, title: str = "", width: int = 60, height: int = 10, braille: bool = True
) -> list[str]:
    """Lines of text showing ``y`` over ``x``; a logarithmic axis where positive values span more than a factor 50."""
    points = [(float(a), float(b)) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(points) < 2:
        return []
    points = averaged(points, 2 * width)
    lowest, highest = min(b for _, b in points), max(b for _, b in points)
    log = lowest > 0 and highest / lowest > 50
    scale = math.log10 if log else float
    columns, rows = (2 * width, 4 * height) if braille else (width, height)
    left, right = points[0][0], points[-1][0]
    bottom, top = scale(lowest), scale(highest)

    def cell(a: float, b: float) -> tuple[int, int]:
        column = round((a - left) / ((right - left) or 1) * (columns - 1))
        row = round((top - scale(b)) / ((top - bottom) or 1) * (rows - 1))
        return column, row

    lit: set[tuple[int, int]] = set()
    previous = cell(*points[0])
    for point in points:  # join neighbours by a straight line of dots
        now = cell(*point)
        steps = max(abs(now[0] - previous[0]), abs(now[1] - previous[1]), 1)
        for s in range(steps + 1):
            lit.add(
                (
                    round(previous[0] + (now[0] - previous[0]) * s / steps),
                    round(previous[1] + (now[1] - previous[1]) * s / steps),
                )
            )
        previous = now

    def character(column: int, row: int) -> str:
        if not braille:
            return "*" if (column, row) in lit else " "
        bits = sum(DOTS[i][j] for i in range(2) for j in range(4) if (2 * column + i, 4 * row + j) in lit)
        return chr(0x2800 + bits) if bits else " "

    lines = [f"{title} (log scale)" if log else title] if title else []
    for row in range(height):
        label = {0: f"{highest:.4g}", height - 1: f"{lowest:.4g}"}.get(row, "")
        lines.append(f"{label:>10} |" + "".join(character(column, row) for column in range(width)).rstrip())
    lines.append(" " * 11 + "+" + "-" * width)
    end = f"{right:g}"
    lines.append(" " * 12 + f"{left:g}".ljust(width - len(end)) + end)
    return lines


def averaged(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most ``most`` points: the means of equal runs of neighbours, so that a noisy loss stays a line."""
    run = -(-len(points) // most)
    chunks = [points[i : i + run] for i in range(0, len(points), run)]
    return [(sum(a for a, _ in chunk) / len(chunk), sum(b for _, b in chunk) / len(chunk)) for chunk in chunks]
