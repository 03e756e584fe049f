"""Attention: sizes of small and large Transformers, masks, dropout, and one step of decoding."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup

CALL = "F.scaled_dot_product_attention(q, k, v{})"


def inputs(
    batch: int, heads: int, length: int, size: int, queries: int, graph: bool, mask: str, groups: int, half: bool
) -> Setup:
    def make(t: Any) -> dict[str, Any]:
        shapes = {"q": (heads, queries), "k": (groups, length), "v": (groups, length)}
        dtype = t.bfloat16 if half else t.float32
        names = {n: t.randn(batch, count, rows, size).to(dtype) for n, (count, rows) in shapes.items()}
        if graph:
            for x in names.values():
                x.requires_grad_()
            names["dy"] = t.randn(batch, heads, queries, size).to(dtype)
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
    groups: int | None = None,
    half: bool = False,
) -> Case:
    batch, heads, length, size = shape
    rows = length if queries is None else queries
    few = "decode" if queries == 1 else f"queries{queries}"
    words = {
        "bf16": half,
        "causal": causal,
        mask: mask,
        "dropout": dropout,
        few: queries is not None,
        f"groups{groups}": groups is not None,
        "backward": graph,
    }
    name = "-".join(["attention", "x".join(map(str, shape)), *(w for w, on in words.items() if on)])
    options = "".join(
        [
            ", mask" if mask else "",
            f", dropout_p={dropout}" if dropout else "",
            ", is_causal=True" if causal else "",
            ", enable_gqa=True" if groups is not None else "",
        ]
    )
    statement = CALL.format(options)
    if graph:
        statement = f"{statement}.backward(dy); q.grad = k.grad = v.grad = None"
    products = (7 if graph else 2) * 2.0 * batch * heads * rows * length * size
    tensors = batch * heads * size * (2 * rows + 2 * length)
    return Case(
        name,
        why,
        inputs(batch, heads, length, size, rows, graph, mask, groups or heads, half),
        statement,
        None,
        products / 2 if causal else products,
        (2.0 if half else 4.0) * tensors * (3 if graph else 1),
    )


SMALL, MIDDLE, LONG, WIDE = (8, 8, 128, 64), (4, 8, 512, 64), (2, 8, 2048, 64), (1, 8, 4096, 128)


def four(shape: tuple[int, int, int, int], why: str, half: bool = False) -> list[Case]:
    """All keys and causal, forward alone and with the backward pass."""
    return [attention(shape, why, causal, graph, half=half) for causal in (False, True) for graph in (False, True)]


def both(shape: tuple[int, int, int, int], why: str, **options: Any) -> list[Case]:
    return [attention(shape, why, graph=graph, **options) for graph in (False, True)]


def views(backward: bool) -> Case:
    """Heads as a Transformer's projection leaves them: q, k and v are views of one tensor, and heads lie inside its rows."""

    def make(t: Any) -> dict[str, Any]:
        x = t.randn(8, 256, 3 * 384)
        return {"x": x.requires_grad_() if backward else x, "dy": t.randn(8, 256, 384)}

    heads = "x.reshape(8, 256, 3, 6, 64).permute(2, 0, 3, 1, 4).unbind(0)"
    call = f"F.scaled_dot_product_attention(*{heads}, is_causal=True).transpose(1, 2).reshape(8, 256, 384)"
    products = (7 if backward else 2) * 2.0 * 8 * 6 * 256 * 256 * 64 / 2
    return Case(
        f"attention-views-8x6x256x64-causal{'-backward' if backward else ''}",
        "views of a projection in, heads side by side out: nothing should be copied",
        make,
        f"{call}.backward(dy); x.grad = None" if backward else call,
        None,
        products,
        4.0 * 8 * 256 * 384 * 4 * (3 if backward else 1),
    )


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
    views(False),
    views(True),
    # sizes that fill no tile: head sizes between registers and panels, lengths one off a block of queries or two
    *both((4, 6, 256, 32), "small heads: exponentials weigh more", causal=True),
    *both((2, 8, 256, 80), "head size 80: five registers"),
    *both((2, 8, 256, 96), "head size 96: two panels"),
    *both((2, 4, 512, 128), "head size 128, a page of text", causal=True),
    *both((4, 4, 128, 20), "head size 20: a register and a bit"),
    *both((8, 8, 17, 64), "a short phrase: one block, mostly overhead"),
    *both((64, 8, 1, 64), "one token each: nothing but overhead"),
    *both((64, 8, 5, 64), "five tokens: panels mostly empty"),
    *both((1, 1, 2000, 64), "one head: threads share its queries, then its keys"),
    *both((8, 8, 63, 64), "one key less than a block of queries"),
    *both((8, 8, 65, 64), "one key more than a block of queries", causal=True),
    *both((8, 8, 127, 64), "a prime length below two blocks", causal=True),
    *both((2, 8, 511, 64), "one key less than a page"),
    *both((1, 1, 8, 16), "tiny: the cost of a call"),
    *both((64, 4, 50, 32), "patches of small images: many short heads"),
    *both((1, 12, 197, 64), "ViT-B: 14 x 14 patches and a class token, one image"),
    *both((4, 8, 77, 64), "a picture looks at a sentence: many queries, few keys", queries=1024),
    *both((4, 8, 1024, 64), "a decoder's few words look at a long source", queries=33),
    *both((2, 8, 512, 64), "grouped heads: four share a head of keys", groups=2),
    attention((2, 8, 2048, 64), "decoding with grouped heads: four share a head of keys", queries=1, groups=2),
    attention((1, 32, 512, 128), "decoding, one sequence, large heads", queries=1),
    *four(SMALL, "a sentence a row in bfloat16", half=True),
    *four(MIDDLE, "a page of text in bfloat16", half=True),
    *four(LONG, "a long text in bfloat16", half=True),
    *four(WIDE, "large heads in bfloat16", half=True),
    *both((2, 8, 127, 80), "odd sizes in bfloat16", half=True, causal=True),
    *both((8, 8, 17, 64), "a short phrase in bfloat16", half=True),
    attention(MIDDLE, "bfloat16 with a boolean mask without structure", mask="bool", half=True),
    attention(MIDDLE, "bfloat16 with dropout", dropout=0.1, graph=True, half=True),
    attention(LONG, "decoding in bfloat16: memory speed", queries=1, half=True),
]
