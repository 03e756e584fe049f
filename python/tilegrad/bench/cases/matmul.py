"""Matrix products: square, thin, odd, transposed, batched, bfloat16, and the linear layers made of them."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup

LAYOUTS = {"nn": "x @ y", "nt": "x @ y.T", "tn": "x.T @ y", "tt": "x.T @ y.T"}


def operands(x: tuple[int, ...], y: tuple[int, ...], dtype: str, dy: tuple[int, ...] | None = None) -> Setup:
    """Two operands; with `dy`, the shape of the result's gradient, they ask for gradients."""

    def setup(t: Any) -> dict[str, Any]:
        names = {"x": t.randn(*x).to(getattr(t, dtype)), "y": t.randn(*y).to(getattr(t, dtype))}
        if dy is not None:
            names = {name: value.requires_grad_() for name, value in names.items()}
            names["dy"] = t.randn(*dy).to(getattr(t, dtype))
        return names

    return setup


def matmul(m: int, k: int, n: int, why: str, layout: str = "nn", dtype: str = "float32", both: bool = True) -> list[Case]:
    """The product, and the product with both gradients."""
    name = f"matmul-{m}" if m == k == n else f"matmul-{m}x{k}x{n}"
    if layout != "nn":
        name += f"-{layout}"
    size = 4.0
    if dtype == "bfloat16":
        name, size = f"{name}-bf16", 2.0
    x = (m, k) if layout[0] == "n" else (k, m)
    y = (k, n) if layout[1] == "n" else (n, k)
    flops, bytes_ = 2.0 * m * k * n, size * (m * k + k * n + m * n)
    stmt = LAYOUTS[layout]
    numpy = stmt if dtype == "float32" else None
    forward = Case(name, why, operands(x, y, dtype), stmt, numpy, flops, bytes_)
    if not both:
        return [forward]
    backward = f"({stmt}).backward(dy); x.grad = y.grad = None"
    both_why, setup = f"{why}; with both gradients", operands(x, y, dtype, (m, n))
    return [forward, Case(f"{name}-backward", both_why, setup, backward, None, 3 * flops, 3 * bytes_)]


def batched(name: str, x: tuple[int, ...], y: tuple[int, ...], why: str, dtype: str = "float32") -> list[Case]:
    """Stacks of matrices, with broadcast batch dims."""
    depth = max(len(x), len(y)) - 2
    padded = [(1,) * (depth - len(s) + 2) + s for s in (x, y)]
    batch = tuple(max(a, b) for a, b in zip(*(s[:depth] for s in padded), strict=True))
    count = 1
    for size in batch:
        count *= size
    out = (*batch, x[-2], y[-1])
    flops = 2.0 * count * x[-2] * x[-1] * y[-1]
    elements = float(count * x[-2] * y[-1])
    for shape in (x, y):
        product = 1
        for size in shape:
            product *= size
        elements += product
    size = 2.0 if dtype == "bfloat16" else 4.0
    numpy = "x @ y" if dtype == "float32" else None
    name = f"matmul-{name}" + ("-bf16" if dtype == "bfloat16" else "")
    return [
        Case(name, why, operands(x, y, dtype), "x @ y", numpy, flops, size * elements),
        Case(
            f"{name}-backward",
            f"{why}; with both gradients",
            operands(x, y, dtype, out),
            "(x @ y).backward(dy); x.grad = y.grad = None",
            None,
            3 * flops,
            3 * size * elements,
        ),
    ]


def linear(rows: int, inputs: int, outputs: int, activation: str, why: str) -> list[Case]:
    """A layer with bias and activation as a user writes it, in functions and as modules."""
    apply = {"none": "", "relu": "F.relu", "gelu": "F.gelu"}[activation]
    call = f"{apply}(F.linear(x, w, b))"
    flops = 2.0 * rows * inputs * outputs
    elements = 4.0 * (rows * inputs + inputs * outputs + rows * outputs)

    def setup(t: Any) -> dict[str, Any]:
        names = {"x": t.randn(rows, inputs), "w": t.randn(outputs, inputs) * inputs**-0.5, "b": t.randn(outputs)}
        return {**{key: value.requires_grad_() for key, value in names.items()}, "dy": t.randn(rows, outputs)}

    def modules(t: Any) -> dict[str, Any]:
        nn = t.nn
        layers = {"none": [], "relu": [nn.ReLU()], "gelu": [nn.GELU()]}[activation]
        net = nn.Sequential(nn.Linear(inputs, outputs), *layers)
        return {"net": net, "x": t.randn(rows, inputs).requires_grad_(), "dy": t.randn(rows, outputs)}

    name = f"linear-{rows}x{inputs}x{outputs}-{activation}"
    return [
        Case(name, why, lambda t: {k: v.detach() for k, v in setup(t).items()}, call, None, flops, elements),
        Case(
            f"{name}-backward",
            f"{why}; with all gradients",
            setup,
            f"{call}.backward(dy); x.grad = w.grad = b.grad = None",
            None,
            3 * flops,
            3 * elements,
        ),
        Case(
            f"{name}-modules-backward",
            f"{why}; as nn.Sequential, with all gradients",
            modules,
            "net(x).backward(dy); net.zero_grad(); x.grad = None",
            None,
            3 * flops,
            3 * elements,
        ),
    ]


def int8(rows: int, inputs: int, outputs: int, why: str) -> Case:
    """A linear layer with int8 weights, its input quantised in the call."""

    def setup(t: Any) -> dict[str, Any]:
        net = t.nn.Sequential(t.nn.Linear(inputs, outputs)).eval()
        return {"net": t.ao.quantization.quantize_dynamic(net, {t.nn.Linear}, dtype=t.qint8), "x": t.randn(rows, inputs)}

    traffic = 4.0 * (rows * inputs + rows * outputs) + inputs * outputs
    return Case(f"linear-{rows}x{inputs}x{outputs}-int8", why, setup, "net(x)", None, 2.0 * rows * inputs * outputs, traffic)


CASES = [
    *matmul(16, 16, 16, "a tile or two: only overhead", both=False),
    *matmul(64, 64, 64, "fits L1: packing and call overhead show"),
    *matmul(96, 96, 96, "fits L2; a second thread begins to pay"),
    *matmul(128, 128, 128, "fits L2, one thread's worth"),
    *matmul(192, 192, 192, "whole tiles, between two powers of two"),
    *matmul(256, 256, 256, "where a second thread starts to pay"),
    *matmul(512, 512, 512, "panels leave L1, B stays in L2"),
    *matmul(1024, 1024, 1024, "the usual yardstick; B leaves L2"),
    *matmul(2048, 2048, 2048, "nothing fits: blocking is all"),
    *matmul(4096, 4096, 4096, "rows lie whole pages apart", both=False),
    *matmul(17, 17, 17, "smaller than a tile in both directions", both=False),
    *matmul(63, 63, 63, "one less than whole registers"),
    *matmul(65, 65, 65, "one more than whole registers"),
    *matmul(127, 131, 113, "primes: every edge is ragged"),
    *matmul(509, 521, 503, "larger primes"),
    *matmul(1000, 1000, 1000, "round for people, not for registers"),
    *matmul(128, 784, 256, "first layer of the MNIST MLP"),
    *matmul(128, 784, 512, "a wider MNIST MLP"),
    *matmul(128, 512, 10, "classifier: ten columns"),
    *matmul(32, 512, 2048, "few rows: transformer block, small batch"),
    *matmul(8, 1024, 4096, "one tile of rows: generation, batch 8"),
    *matmul(1, 4096, 4096, "one row: bound by memory"),
    *matmul(1, 1024, 1024, "one row, operands in L3"),
    *matmul(4096, 4096, 1, "one column: bound by memory"),
    *matmul(2, 2048, 2048, "two rows: still bound by memory"),
    *matmul(8192, 64, 64, "tall and thin: many rows, no reuse"),
    *matmul(2048, 64, 2048, "short sums: as much writing as multiplying"),
    *matmul(2048, 2048, 16, "one register of columns"),
    *matmul(512, 16384, 64, "long sums, small result: gradient of a weight"),
    *matmul(64, 16384, 64, "long sums, one block of results"),
    *matmul(10, 8192, 512, "gradient of a classifier's weight"),
    *matmul(2048, 384, 1152, "query, key and value of a small GPT"),
    *matmul(700, 650, 10000, "decoder of a language model"),
    *[case for layout in ("nt", "tn", "tt") for size in (64, 128, 512, 1024)
      for case in matmul(size, size, size, "transposed operands, read where they lie", layout, both=False)],
    *[case for layout in ("nt", "tn") for case in matmul(32, 512, 2048, "few rows, transposed", layout, both=False)],
    *matmul(1, 4096, 4096, "one row times a transposed matrix: a linear layer's", "nt", both=False),
    *matmul(2048, 16, 2048, "very short sums, transposed", "tn", both=False),
    *matmul(4, 4096, 4096, "four rows times a linear layer's weight", "nt", both=False),
    *batched("64x[128x64x128]", (64, 128, 64), (64, 64, 128), "scores of attention"),
    *batched("1024x[16x16x16]", (1024, 16, 16), (1024, 16, 16), "many tiny matrices"),
    *batched("256x[33x17x35]", (256, 33, 17), (256, 17, 35), "many small matrices, ragged"),
    *batched("3x[512x512x512]", (3, 512, 512), (3, 512, 512), "a batch that two threads cannot halve"),
    *batched("32x[64x256x64]-shared", (32, 64, 256), (256, 64), "one matrix for a whole batch"),
    *batched("16x8x[64x64x64]-broadcast", (16, 1, 64, 64), (8, 64, 64), "batch dims that broadcast"),
    *[case for size in (64, 128, 256, 512, 1024, 2048)
      for case in matmul(size, size, size, "bfloat16, added in float32", dtype="bfloat16")],
    *[case for m, k, n in ((128, 784, 512), (32, 512, 2048), (1, 4096, 4096), (2048, 64, 2048), (2048, 2048, 16), (65, 65, 65))
      for case in matmul(m, k, n, "bfloat16, added in float32", dtype="bfloat16")],
    *batched("64x[128x64x128]", (64, 128, 64), (64, 64, 128), "scores of attention in bfloat16", "bfloat16"),
    *linear(128, 784, 512, "relu", "first layer of an MLP"),
    *linear(128, 512, 10, "none", "last layer of an MLP"),
    *linear(2048, 384, 1536, "gelu", "transformer block"),
    *linear(64, 120, 84, "relu", "a layer of LeNet: overhead counts"),
    *linear(1024, 1024, 1024, "relu", "a wide layer"),
    int8(1, 4096, 4096, "int8: one row, bound by memory"),
    int8(1, 512, 512, "int8: one row, a small layer"),
    int8(32, 512, 2048, "int8: few rows"),
    int8(128, 784, 512, "int8: a layer of an MLP"),
    int8(2048, 384, 1536, "int8: transformer block"),
    int8(1024, 1024, 1024, "int8: a wide layer"),
    int8(65, 127, 131, "int8: ragged sizes"),
    int8(512, 4096, 4096, "int8: large"),
]  # fmt: skip
