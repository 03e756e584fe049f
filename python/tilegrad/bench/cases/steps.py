"""Whole steps."""

from __future__ import annotations

from typing import Any

from .case import Case


def adam(t: Any) -> dict[str, Any]:
    parameters = [t.randn(316, 316).requires_grad_() for _ in range(100)]
    for parameter in parameters:
        parameter.grad = t.randn(316, 316)
    return {"optimizer": t.optim.Adam(parameters, lr=1e-3)}


def mlp(t: Any) -> dict[str, Any]:
    nn = t.nn
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = t.optim.SGD(model.parameters(), lr=0.01)
    x, y = t.randn(128, 784), t.randint(0, 10, (128,))

    def step() -> None:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {"step": step}


MLP_WEIGHTS = 784 * 512 + 512 * 256 + 256 * 10

CASES = [
    Case(
        "adam-10M",
        "10 M parameters in 100 tensors: one pass over memory",
        adam,
        "optimizer.step()",
        None,
        0,
        28.0 * 100 * 316 * 316,
    ),
    Case("mlp-step", "MNIST MLP 784-512-256-10, batch 128: a whole update", mlp, "step()", None, 6.0 * 128 * MLP_WEIGHTS),
]
