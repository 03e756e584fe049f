"""Every benchmark case, with the reason for its size.

A case is a few named tensors and one statement. The same text runs on tilegrad and on torch, because the names are the
same: ``t`` is the library, ``F`` its nn.functional. NumPy has a statement of its own where it can do the job at all.
``flops`` and ``bytes`` are the least the operation needs: what the roofline is measured against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Setup = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """``stmt`` is timed with the names that ``setup(library)`` gives; ``numpy`` is the same for arrays under these names."""

    name: str
    why: str
    setup: Setup
    stmt: str
    numpy: str | None = None
    flops: float = 0.0
    bytes: float = 0.0


def tensors(**shapes: tuple[int, ...]) -> Setup:
    """Normal random float32 tensors by name."""
    return lambda t: {name: t.randn(*shape) for name, shape in shapes.items()}


# --- the cost of an op: tensors so small that only the engine is measured ---------------------------------------------


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


OP_COST = [
    Case("add-10", "cost of one op without a graph", tensors(x=(10,), y=(10,)), "x + y", "x + y"),
    Case("add-10-graph", "cost of one op that is recorded", graph, "x + w"),
    Case("matmul-8", "the smallest matmul a course meets", tensors(x=(8, 8), y=(8, 8)), "x @ y", "x @ y"),
    Case("mul-chain", "20 mul + sum + backward: cost per node", chain, "run()"),
]


# --- matmul -----------------------------------------------------------------------------------------------------------


def matmul(m: int, k: int, n: int, why: str) -> Case:
    name = f"matmul-{m}" if m == k == n else f"matmul-{m}x{k}x{n}"
    return Case(name, why, tensors(x=(m, k), y=(k, n)), "x @ y", "x @ y", 2.0 * m * k * n, 4.0 * (m * k + k * n + m * n))


MATMUL = [
    matmul(64, 64, 64, "fits L1: packing and call overhead show"),
    matmul(128, 128, 128, "fits L2, one thread's worth"),
    matmul(256, 256, 256, "where a second thread starts to pay"),
    matmul(512, 512, 512, "panels leave L1, B stays in L2"),
    matmul(1024, 1024, 1024, "the usual yardstick; B leaves L2"),
    matmul(2048, 2048, 2048, "nothing fits: blocking is all"),
    matmul(128, 784, 256, "first layer of the MNIST MLP"),
    matmul(32, 512, 2048, "few rows: transformer block, small batch"),
    matmul(8192, 64, 64, "tall and thin: many rows, no reuse"),
    matmul(1, 4096, 4096, "one row: bound by memory"),
]


# --- rows: softmax and cross entropy ----------------------------------------------------------------------------------

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


ROWS = [
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


# --- elementwise and reductions ---------------------------------------------------------------------------------------


def elementwise(name: str, stmt: str, numpy: str | None, arrays: int) -> list[Case]:
    """One operation on 1 M elements (4 MB: in L3) and on 16 M (64 MB: in memory); ``arrays`` are read or written."""
    inputs = {"x": None, "y": None} if "y" in stmt else {"x": None}
    why = {20: "1 M elements, in L3", 24: "16 M elements, in memory"}
    return [
        Case(f"{name}-{size >> 20}M", why[bits], tensors(**dict.fromkeys(inputs, (size,))), stmt, numpy, 0, 4.0 * arrays * size)
        for bits, size in ((20, 1 << 20), (24, 1 << 24))
    ]


ELEMENTWISE = [
    *elementwise("add", "x + y", "x + y", 3),
    *elementwise("exp", "t.exp(x)", "np.exp(x)", 2),
    *elementwise("tanh", "t.tanh(x)", "np.tanh(x)", 2),
    *elementwise("gelu", "F.gelu(x)", None, 2),
    *elementwise("sum", "x.sum()", "x.sum()", 1),
]


# --- whole steps ------------------------------------------------------------------------------------------------------


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

STEPS = [
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

CASES: list[Case] = [*OP_COST, *MATMUL, *ROWS, *ELEMENTWISE, *STEPS]
