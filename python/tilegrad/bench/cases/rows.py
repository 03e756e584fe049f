"""Rows: softmax and cross entropy."""

from __future__ import annotations

from .case import Case, Setup, tensors

NUMPY_SOFTMAX = "(lambda e: e / e.sum(1, keepdims=True))(np.exp(x - x.max(1, keepdims=True)))"


def rows(count: int, columns: int, why: str) -> list[Case]:
    """softmax and log_softmax of rows, and with their gradient."""
    size, shape = count * columns, (count, columns)
    cases = []
    for name, numpy in (("softmax", NUMPY_SOFTMAX), ("log_softmax", None)):
        label, call = f"{name.replace('_', '-')}-{count}x{columns}", f"F.{name}(x, dim=1)"
        cases += [
            Case(label, why, tensors(x=shape), call, numpy, 0, 8.0 * size),
            Case(f"{label}-backward", why, graph(shape), f"{call}.backward(dy); x.grad = None", None, 0, 20.0 * size),
        ]
    return cases


def across(shape: tuple[int, ...], dim: int, why: str) -> list[Case]:
    """softmax and log_softmax over a dim that is not the last."""
    size = 1.0
    for n in shape:
        size *= n
    cases = []
    for name in ("softmax", "log_softmax"):
        label = f"{name.replace('_', '-')}-{'x'.join(map(str, shape))}-dim{dim}"
        call = f"F.{name}(x, dim={dim})"
        cases += [
            Case(label, why, tensors(x=shape), call, None, 0, 8 * size),
            Case(f"{label}-backward", why, graph(shape), f"{call}.backward(dy); x.grad = None", None, 0, 20 * size),
        ]
    return cases


def graph(shape: tuple[int, ...]) -> Setup:
    return lambda t: {"x": t.randn(*shape).requires_grad_(), "dy": t.randn(*shape)}


def cross_entropy(count: int, columns: int, why: str) -> list[Case]:
    """The value; the value and its gradient (the logits are read once, the gradient written once)."""

    def setup(graph: bool) -> Setup:
        return lambda t: {"x": t.randn(count, columns).requires_grad_(graph), "y": t.randint(0, columns, (count,))}

    label, size = f"cross-entropy-{count}x{columns}", 4.0 * count * columns
    return [
        Case(label, why, setup(False), "F.cross_entropy(x, y)", None, 0, size),
        Case(f"{label}-backward", why, setup(True), "F.cross_entropy(x, y).backward(); x.grad = None", None, 0, 2 * size),
    ]


CASES = [
    *rows(4096, 1024, "attention-sized rows"),
    *rows(1024, 1024, "in L3"),
    *rows(512, 32000, "rows longer than L1: a vocabulary"),
    *rows(16384, 128, "many short rows: heads of attention"),
    *rows(64, 10, "a batch of digits: overhead"),
    *rows(1021, 333, "odd rows"),
    *rows(65536, 17, "rows hardly longer than a register"),
    *across((512, 1024), 0, "down the columns, a stride of 4 KB"),
    *across((16, 21, 64, 64), 1, "segmentation: classes of every pixel"),
    *across((2, 100000), 0, "two classes: overhead of short rows across"),
    *across((8, 1000, 49), 1, "odd columns, long rows across"),
    *cross_entropy(8192, 1000, "ImageNet classes"),
    *cross_entropy(2048, 32000, "a language model's vocabulary"),
    *cross_entropy(700, 10000, "a small language model"),
    *cross_entropy(128, 10, "a batch of digits: overhead"),
    *cross_entropy(509, 1531, "odd rows"),
]  # fmt: skip
