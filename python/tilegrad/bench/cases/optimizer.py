"""One step of every fused optimiser over the parameters of a small network, and clipping their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .case import Case

SHAPES = [(512, 784), (512,), (512, 512), (512,), (512, 512), (512,), (10, 512), (10,)]
COUNT = 512 * 784 + 2 * 512 * 512 + 512 * 10 + 3 * 512 + 10


def parameters(t: Any) -> list[Any]:
    params = [t.randn(*s).requires_grad_() for s in SHAPES]
    for p in params:
        p.grad = t.randn(*p.shape)
    return params


def stepping(name: str, **options: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda t: {"o": getattr(t.optim, name)(parameters(t), **options)}


def case(name: str, buffers: int, **options: Any) -> Case:
    """Reads p, g and the buffers, writes p and the buffers."""
    traffic = 4.0 * COUNT * (3 + 2 * buffers)
    return Case(f"optimizer-{name.lower()}", "a million parameters", stepping(name, **options), "o.step()", None, 0, traffic)


def hundred(name: str, passes: int, fused: bool, **options: Any) -> Case:
    """10 M parameters in 100 tensors. Fused or not is torch's choice; ours is fused always."""

    def setup(t: Any) -> dict[str, Any]:
        params = [t.randn(316, 316).requires_grad_() for _ in range(100)]
        for p in params:
            p.grad = t.randn(316, 316)
        return {"o": getattr(t.optim, name)(params, fused=True if fused else None, **options)}

    return Case(
        f"{name.lower()}-10M{'-fused' * fused}",
        f"100 tensors, one pass over memory; the peer {'fused' if fused else 'as it comes'}",
        setup,
        "o.step()",
        None,
        0,
        4.0 * passes * 100 * 316 * 316,
    )


CASES = [
    hundred("Adam", 7, True, lr=1e-6),
    *(hundred("AdamW", 7, fused, lr=1e-6) for fused in (False, True)),
    *(hundred("SGD", 5, fused, lr=1e-6, momentum=0.9) for fused in (False, True)),
    case("SGD", 1, lr=1e-6, momentum=0.9),
    case("Adam", 2, lr=1e-6),
    case("RMSprop", 2, lr=1e-6, momentum=0.9),
    case("Adagrad", 1, lr=1e-6),
    case("Adadelta", 2, lr=1e-6),
    case("NAdam", 2, lr=1e-6),
    case("RAdam", 2, lr=1e-6),
    case("Adamax", 2, lr=1e-6),
    Case(
        "optimizer-clip-norm",
        "gradients of a million parameters",
        lambda t: {"p": parameters(t), "clip": t.nn.utils.clip_grad_norm_},
        "clip(p, 1.0)",
        None,
        0,
        12.0 * COUNT,
    ),
]
