"""Pooling."""

from __future__ import annotations

from typing import Any

from .case import Case, tensors


def pooled(name: str, shape: tuple[int, ...], stmt: str, share: float, why: str) -> list[Case]:
    """The value, and value and gradient; the result has `share` of the input's elements."""

    def graph(t: Any) -> dict[str, Any]:
        return {"x": t.randn(*shape, requires_grad=True)}

    size = 4.0
    for n in shape:
        size *= n
    text = "x".join(map(str, shape))
    return [
        Case(f"{name}-{text}", why, tensors(x=shape), stmt, None, 0, size * (1 + share)),
        Case(f"{name}-{text}-backward", why, graph, f"{stmt}.sum().backward(); x.grad = None", None, 0, size * (2 + 2 * share)),
    ]


CASES = [
    *pooled("max-pool-2", (32, 64, 56, 56), "F.max_pool2d(x, 2)", 0.25, "feature maps in memory"),
    *pooled("max-pool-2", (64, 6, 28, 28), "F.max_pool2d(x, 2)", 0.25, "LeNet, in cache"),
    *pooled("max-pool-3-stride-2", (16, 64, 112, 112), "F.max_pool2d(x, 3, 2, 1)", 0.25, "ResNet's stem"),
    *pooled("avg-pool-2", (32, 64, 56, 56), "F.avg_pool2d(x, 2)", 0.25, "feature maps in memory"),
    *pooled("avg-pool-3-stride-2", (32, 64, 56, 56), "F.avg_pool2d(x, 3, 2, 1)", 0.25, "a divisor that is no power of two"),
    *pooled("global-avg-pool", (32, 512, 7, 7), "F.adaptive_avg_pool2d(x, 1)", 0.02, "the end of a ResNet: short rows"),
    *pooled("adaptive-avg-pool-5", (32, 64, 56, 56), "F.adaptive_avg_pool2d(x, 5)", 0.01, "windows of unequal size"),
    *pooled("max-pool-3", (4, 17, 63, 65), "F.max_pool2d(x, 3, 1, 1)", 1.0, "windows that overlap, odd sizes"),
    *pooled("max-pool-2", (1, 512, 7, 7), "F.max_pool2d(x, 2)", 0.2, "maps smaller than a register"),
    *pooled("max-pool1d-2", (16, 64, 1000), "F.max_pool1d(x, 2)", 0.5, "sequences"),
    *pooled("avg-pool-7", (8, 128, 14, 14), "F.avg_pool2d(x, 7)", 0.02, "large windows"),
    *pooled("avg-pool-2", (4, 17, 63, 65), "F.avg_pool2d(x, 2)", 0.25, "odd sizes"),
    *pooled("global-avg-pool", (8, 64, 56, 56), "F.adaptive_avg_pool2d(x, 1)", 0.001, "long rows"),
    *pooled("global-avg-pool", (1, 1280, 7, 7), "F.adaptive_avg_pool2d(x, 1)", 0.02, "one image: MobileNet's end"),
    *pooled("max-pool3d-2", (4, 16, 16, 32, 32), "F.max_pool3d(x, 2)", 0.125, "volumes"),
]
