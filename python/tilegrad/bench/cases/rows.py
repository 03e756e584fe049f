"""Rows: softmax and cross entropy."""

from __future__ import annotations

from typing import Any

from .case import Case, tensors

NUMPY_SOFTMAX = "(lambda e: e / e.sum(1, keepdims=True))(np.exp(x - x.max(1, keepdims=True)))"


def softmax(rows: int, columns: int, why: str) -> Case:
    size = rows * columns
    return Case(
        f"softmax-{rows}x{columns}", why, tensors(x=(rows, columns)), "F.softmax(x, dim=1)", NUMPY_SOFTMAX, 0, 8.0 * size
    )


def classes(t: Any) -> dict[str, Any]:
    return {"x": t.randn(8192, 1000), "y": t.randint(0, 1000, (8192,))}


def classes_graph(t: Any) -> dict[str, Any]:
    names = classes(t)
    names["x"].requires_grad_()
    return names


CASES = [
    softmax(4096, 1024, "attention-sized rows"),
    softmax(512, 32000, "rows longer than L1: a vocabulary"),
    softmax(16384, 128, "many short rows: heads of attention"),
    softmax(64, 10, "a batch of digits: overhead"),
    Case(
        "cross-entropy-8192x1000", "ImageNet classes, value only", classes, "F.cross_entropy(x, y)", None, 0, 4.0 * 8192 * 1000
    ),
    Case(
        "cross-entropy-8192x1000-backward",
        "value and gradient; the fused kernel reads the logits twice and writes once",
        classes_graph,
        "F.cross_entropy(x, y).backward(); x.grad = None",
        None,
        0,
        12.0 * 8192 * 1000,
    ),
]
