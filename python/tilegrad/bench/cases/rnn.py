"""Recurrent layers and their cells, and the embedding's gradient."""

from __future__ import annotations

from typing import Any

from .case import Case

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
SIZES = [
    (35, 20, 200, 200, "word language model: weights fit the second-level cache"),
    (64, 32, 128, 256, "speech frames"),
    (100, 64, 512, 512, "weights larger than the second-level cache"),
]
CELL_SIZES = [(32, 256, 256, "a step of a decoder"), (128, 512, 512, "a large step: two matrix products")]
BACKWARD = ".sum().backward(); x.grad = None; layer.zero_grad()"


def layer(kind: str, t: int, b: int, i: int, h: int, why: str, backward: bool) -> Case:
    def setup(library: Any) -> dict[str, Any]:
        x = library.randn(t, b, i)
        made = getattr(library.nn, kind)(i, h)
        return {"x": x.requires_grad_() if backward else x, "layer": made}

    flops = 2.0 * t * b * GATES[kind] * h * (i + h)
    traffic = 4.0 * (t * b * (i + h) + GATES[kind] * h * (i + h))  # the inputs, the outputs, the weights
    name = f"{kind.lower()}-{t}x{b}x{i}x{h}"
    if backward:
        return Case(
            f"{name}-backward", f"{why}; value and all gradients", setup, f"layer(x)[0]{BACKWARD}", None, 3 * flops, 3 * traffic
        )
    return Case(name, why, setup, "layer(x)", None, flops, traffic)


def cell(kind: str, b: int, i: int, h: int, why: str, backward: bool) -> Case:
    def setup(library: Any) -> dict[str, Any]:
        x, state = library.randn(b, i), library.randn(b, h)
        hx = (state, library.randn(b, h)) if kind == "LSTM" else state
        made = getattr(library.nn, f"{kind}Cell")(i, h)
        return {"x": x.requires_grad_() if backward else x, "hx": hx, "layer": made}

    flops = 2.0 * b * GATES[kind] * h * (i + h)
    traffic = 4.0 * (b * (i + 2 * h) + GATES[kind] * h * (i + h))
    name, first = f"{kind.lower()}-cell-{b}x{i}x{h}", "[0]" if kind == "LSTM" else ""
    if backward:
        statement = f"layer(x, hx){first}{BACKWARD}"
        flops = 2 * flops + 2.0 * b * GATES[kind] * h * i  # the state wants no gradient
        return Case(f"{name}-backward", f"{why}; value and gradients", setup, statement, None, flops, 3 * traffic)
    return Case(name, why, setup, "layer(x, hx)", None, flops, traffic)


def embedding(rows: int, columns: int, tokens: int, why: str) -> Case:
    def setup(library: Any) -> dict[str, Any]:
        weight = library.randn(rows, columns).requires_grad_()
        return {"weight": weight, "i": library.randint(0, rows, (tokens,)), "dy": library.ones(tokens, columns)}

    return Case(
        f"embedding-{rows}x{columns}-{tokens}-backward",
        why,
        setup,
        "F.embedding(i, weight).backward(dy); weight.grad = None",
        None,
        0,
        4.0 * columns * (3 * tokens + rows),
    )


CASES = [
    *(layer(kind, *size, backward) for kind in GATES for size in SIZES for backward in (False, True)),
    *(cell(kind, *size, backward) for kind in GATES for size in CELL_SIZES for backward in (False, True)),
    embedding(100_000, 256, 8192, "a large vocabulary, few tokens: clearing the gradient is most of it"),
    embedding(100_000, 256, 65_536, "a large vocabulary, many tokens"),
    embedding(256, 128, 65_536, "characters: every row is picked many times"),
]
