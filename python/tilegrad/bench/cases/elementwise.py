"""Elementwise and reductions."""

from __future__ import annotations

from .case import Case, tensors


def elementwise(name: str, stmt: str, numpy: str | None, arrays: int) -> list[Case]:
    """One operation on 1 M elements (4 MB: in L3) and on 16 M (64 MB: in memory); ``arrays`` are read or written."""
    inputs = {"x": None, "y": None} if "y" in stmt else {"x": None}
    why = {20: "1 M elements, in L3", 24: "16 M elements, in memory"}
    return [
        Case(f"{name}-{size >> 20}M", why[bits], tensors(**dict.fromkeys(inputs, (size,))), stmt, numpy, 0, 4.0 * arrays * size)
        for bits, size in ((20, 1 << 20), (24, 1 << 24))
    ]


CASES = [
    *elementwise("add", "x + y", "x + y", 3),
    *elementwise("exp", "t.exp(x)", "np.exp(x)", 2),
    *elementwise("tanh", "t.tanh(x)", "np.tanh(x)", 2),
    *elementwise("gelu", "F.gelu(x)", None, 2),
    *elementwise("sum", "x.sum()", "x.sum()", 1),
]
