"""The cost of an op: tensors so small that only the engine is measured."""

from __future__ import annotations

from typing import Any

from .case import Case, tensors


def graph(t: Any) -> dict[str, Any]:
    return {"x": t.randn(10).requires_grad_(), "w": t.randn(10).requires_grad_()}


def chain(t: Any) -> dict[str, Any]:
    """20 multiplications, a sum and the way back: what an update of a tiny model costs."""
    x = t.ones(10).requires_grad_()

    def run() -> None:
        z = x
        for _ in range(20):
            z = z * x
        z.sum().backward()
        x.grad = None

    return {"run": run}


CASES = [
    Case("add-10", "cost of one op without a graph", tensors(x=(10,), y=(10,)), "x + y", "x + y"),
    Case("add-10-graph", "cost of one op that is recorded", graph, "x + w"),
    Case("matmul-8", "the smallest matmul a course meets", tensors(x=(8, 8), y=(8, 8)), "x @ y", "x @ y"),
    Case("mul-chain", "20 mul + sum + backward: cost per node", chain, "run()"),
]
