"""Attention: sizes of small and large Transformers, masks, dropout, and one step of decoding."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup

CALL = "F.scaled_dot_product_attention(q, k, v{})"


def inputs(batch: int, heads: int, length: int, size: int, queries: int, graph: bool, mask: str) -> Setup:
    def make(t: Any) -> dict[str, Any]:
        names = {n: t.randn(batch, heads, rows, size) for n, rows in (("q", queries), ("k", length), ("v", length))}
        if graph:
            for x in names.values():
                x.requires_grad_()
            names["dy"] = t.randn(batch, heads, queries, size)
        if mask == "float":
            names["mask"] = t.randn(queries, length)
        elif mask == "bool":
            names["mask"] = t.rand(queries, length) < 0.7
        elif mask == "padding":  # between half and all of the keys
            names["mask"] = t.arange(length) < t.randint(length // 2, length + 1, (batch, 1, 1, 1))
        return names

    return make


def attention(
    shape: tuple[int, int, int, int],
    why: str,
    causal: bool = False,
    graph: bool = False,
    mask: str = "",
    dropout: float = 0.0,
    queries: int | None = None,
) -> Case:
    batch, heads, length, size = shape
    rows = length if queries is None else queries
    words = {"causal": causal, mask: mask, "dropout": dropout, "decode": queries is not None, "backward": graph}
    name = "-".join(["attention", "x".join(map(str, shape)), *(w for w, on in words.items() if on)])
    options = (
        (", mask" if mask else "") + (f", dropout_p={dropout}" if dropout else "") + (", is_causal=True" if causal else "")
    )
    statement = CALL.format(options)
    if graph:
        statement = f"{statement}.backward(dy); q.grad = k.grad = v.grad = None"
    products = (7 if graph else 2) * 2.0 * batch * heads * rows * length * size
    tensors = batch * heads * size * (2 * rows + 2 * length)
    return Case(
        name,
        why,
        inputs(batch, heads, length, size, rows, graph, mask),
        statement,
        None,
        products / 2 if causal else products,
        4.0 * tensors * (3 if graph else 1),
    )


SMALL, MIDDLE, LONG, WIDE = (8, 8, 128, 64), (4, 8, 512, 64), (2, 8, 2048, 64), (1, 8, 4096, 128)


def four(shape: tuple[int, int, int, int], why: str) -> list[Case]:
    """All keys and causal, forward alone and with the backward pass."""
    return [attention(shape, why, causal, graph) for causal in (False, True) for graph in (False, True)]


CASES = [
    *four(SMALL, "a sentence a row: much per call, little per block"),
    *four(MIDDLE, "a page of text: everything fits the second-level cache"),
    *four(LONG, "scores would take 256 MB"),
    *four(WIDE, "keys and values of a head exceed the second-level cache"),
    attention(MIDDLE, "an additive mask shared by all heads", mask="float"),
    attention(MIDDLE, "the same, forward and backward", mask="float", graph=True),
    attention(MIDDLE, "a boolean mask without structure", mask="bool"),
    attention(MIDDLE, "padding: blocks of keys that nobody sees", mask="padding"),
    attention(MIDDLE, "random numbers drawn twice, never stored", dropout=0.1, graph=True),
    attention(MIDDLE, "one token against a short cache of keys", queries=1),
    attention(LONG, "one token against a long cache of keys: memory speed", queries=1),
]
