"""Normalisation, forward and forward with backward, at the sizes of common models."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup


def leaves(shape: tuple[int, ...], size: int) -> Setup:
    """x, weight and bias that want gradients, and the gradient dy of the result."""

    def setup(t: Any) -> dict[str, Any]:
        x, w, b = (t.randn(*s).requires_grad_() for s in (shape, (size,), (size,)))
        return {"x": x, "w": w, "b": b, "dy": t.randn(*shape), "m": t.zeros(size), "v": t.ones(size)}

    return setup


def both(name: str, why: str, shape: tuple[int, ...], size: int, call: str) -> list[Case]:
    """The call without gradients, and with all of them; the least traffic is 2 and 5 passes."""
    count = 1.0
    for n in shape:
        count *= n
    label = f"{name}-" + "x".join(map(str, shape))
    backward = f"{call}.backward(dy); x.grad = w.grad = b.grad = None"
    return [
        Case(label, why, leaves(shape, size), f"with t.no_grad(): {call}", None, 0, 8 * count),
        Case(f"{label}-backward", why, leaves(shape, size), backward, None, 0, 20 * count),
    ]


def layer(rows: int, cols: int, why: str) -> list[Case]:
    return both("layer-norm", why, (rows, cols), cols, f"F.layer_norm(x, ({cols},), w, b)")


BATCH = "F.batch_norm(x, m, v, w, b, True)"
CASES = [
    *layer(4096, 768, "BERT base, 32 sentences of 128"),
    *layer(8192, 1024, "beyond the caches"),
    *layer(2048, 384, "a small transformer"),
    *layer(64, 64, "overhead"),
    *layer(512, 4096, "long rows"),
    *layer(128, 768, "in L2"),
    *layer(1021, 333, "odd rows"),
    *layer(16384, 17, "rows hardly longer than a register"),
    *both("rms-norm", "Llama-like rows", (4096, 768), 768, "(F.rms_norm(x, (768,), w, 1e-6) + b * 0)"),
    *both("rms-norm", "Llama-like rows, in L3", (512, 1024), 1024, "(F.rms_norm(x, (1024,), w, 1e-6) + b * 0)"),
    *both("batch-norm", "ResNet, first stage", (32, 64, 56, 56), 64, BATCH),
    *both("batch-norm", "ResNet, third stage", (64, 128, 14, 14), 128, BATCH),
    *both("batch-norm", "a small net on small images", (64, 16, 32, 32), 16, BATCH),
    *both("batch-norm", "behind a linear layer", (256, 512), 512, BATCH),
    *both("batch-norm", "odd planes", (17, 31, 13, 13), 31, BATCH),
    *both("batch-norm", "a small net behind a linear layer", (64, 100), 100, BATCH),
    *both("batch-norm", "many channels", (32, 512, 7, 7), 512, BATCH),
    *both("batch-norm-eval", "ResNet in use", (32, 64, 56, 56), 64, "F.batch_norm(x, m, v, w, b)"),
    *both("group-norm", "a diffusion net", (8, 128, 32, 32), 128, "F.group_norm(x, 32, w, b)"),
    *both("instance-norm", "style transfer", (4, 64, 64, 64), 64, "F.instance_norm(x, None, None, w, b)"),
]
