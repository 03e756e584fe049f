"""Losses with their gradient: at most one pass over the inputs each way."""

from __future__ import annotations

from typing import Any

from .case import Case


def pair(t: Any) -> dict[str, Any]:
    x = t.rand(1024, 1024) * 0.9 + 0.05
    return {"x": x.detach().requires_grad_(), "y": t.rand(1024, 1024)}


def soft(t: Any) -> dict[str, Any]:
    return {"x": t.randn(4096, 1000).requires_grad_(), "y": t.softmax(t.randn(4096, 1000), 1)}


def labels(t: Any) -> dict[str, Any]:
    x = t.log_softmax(t.randn(8192, 1000), 1).detach()
    return {"x": x.requires_grad_(), "y": t.randint(0, 1000, (8192,))}


def sequences(t: Any) -> dict[str, Any]:
    x = t.log_softmax(t.randn(150, 16, 40), 2).detach()
    return {"x": x.requires_grad_(), "y": t.randint(1, 40, (16, 30)), "n": t.full((16,), 150), "m": t.full((16,), 30)}


def pointwise(name: str) -> Case:
    return Case(
        name.replace("_", "-"), "a million numbers", pair, f"F.{name}(x, y).backward(); x.grad = None", None, 0, 20.0 * 1024**2
    )


CASES = [
    *map(pointwise, ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")),
    *map(pointwise, ("binary_cross_entropy", "binary_cross_entropy_with_logits")),
    Case(
        "cross-entropy-soft-4096x1000", "probabilities as targets", soft,
        "F.cross_entropy(x, y).backward(); x.grad = None", None, 0, 20.0 * 4096 * 1000,
    ),
    Case(
        "nll-loss-8192x1000", "class numbers and log-probabilities", labels,
        "F.nll_loss(x, y).backward(); x.grad = None", None, 0, 4.0 * 8192 * 1000,
    ),
    Case(
        "ctc-loss-150x16x40", "a speech batch", sequences,
        "F.ctc_loss(x, y, n, m).backward(); x.grad = None", None, 0, 12.0 * 150 * 16 * 40,
    ),
]  # fmt: skip
