"""Recurrent layers and their cells, and the embedding's gradient."""

from __future__ import annotations

from typing import Any

from .case import Case

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
SIZES = [
    (35, 20, 200, 200, "word language model: weights fit the second-level cache"),
    (64, 32, 128, 256, "speech frames"),
    (100, 64, 512, 512, "weights larger than the second-level cache"),
    (20, 17, 63, 65, "one unit more than four registers, an odd batch"),
    (25, 8, 50, 100, "small: a character model of a course"),
    (50, 1, 128, 128, "one sequence: every step is a product of a matrix and a vector"),
    (28, 64, 28, 128, "rows of MNIST as a sequence"),
    (200, 2, 300, 300, "long and thin"),
]
# name, options, size, why
VARIANTS: list[tuple[str, str, dict[str, Any], tuple[int, int, int, int], str]] = [
    ("LSTM", "bidirectional", {"bidirectional": True}, (40, 16, 100, 100), "two directions: two layers over the same input"),
    ("LSTM", "layers2", {"num_layers": 2}, (35, 20, 200, 200), "two layers: the second one's input wants a gradient"),
    ("LSTM", "proj", {"proj_size": 100}, (35, 20, 200, 200), "h is projected to half"),
    ("GRU", "layers2", {"num_layers": 2, "bidirectional": True}, (40, 16, 100, 100), "two layers, two directions"),
]
CELL_SIZES = [
    (32, 256, 256, "a step of a decoder"),
    (128, 512, 512, "a large step: two matrix products"),
    (17, 63, 65, "an odd small step"),
    (1, 100, 100, "one sequence: overhead and the weights' stream"),
    (64, 128, 128, "a small step of many sequences"),
]
BACKWARD = ".sum().backward(); x.grad = None; layer.zero_grad()"


def layer(
    kind: str, t: int, b: int, i: int, h: int, why: str, backward: bool, word: str = "", options: dict[str, Any] | None = None
) -> Case:
    options = options or {}

    def setup(library: Any) -> dict[str, Any]:
        x = library.randn(t, b, i)
        made = getattr(library.nn, kind)(i, h, **options)
        return {"x": x.requires_grad_() if backward else x, "layer": made}

    directions, out = (2 if options.get("bidirectional") else 1), options.get("proj_size", h)
    weights = sum(
        directions * (GATES[kind] * h * ((directions * out if n else i) + out) + (h * out if "proj_size" in options else 0))
        for n in range(options.get("num_layers", 1))
    )
    flops = 2.0 * t * b * weights
    traffic = 4.0 * (t * b * (i + directions * out) + weights)  # the inputs, the outputs, the weights
    name = f"{kind.lower()}{word and '-' + word}-{t}x{b}x{i}x{h}"
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
    *(
        layer(kind, *size, why, backward, word, options)
        for kind, word, options, size, why in VARIANTS
        for backward in (False, True)
    ),
    *(cell(kind, *size, backward) for kind in GATES for size in CELL_SIZES for backward in (False, True)),
    embedding(100_000, 256, 8192, "a large vocabulary, few tokens: clearing the gradient is most of it"),
    embedding(100_000, 256, 65_536, "a large vocabulary, many tokens"),
    embedding(256, 128, 65_536, "characters: every row is picked many times"),
    embedding(10_000, 512, 8192, "a middle vocabulary, wide rows"),
    embedding(1000, 63, 700, "an odd width, few tokens"),
    embedding(65, 384, 2048, "a character model's table: 65 rows take everything"),
]
