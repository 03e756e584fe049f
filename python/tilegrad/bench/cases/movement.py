"""Moving elements: joining, permuting, picking rows, choosing by a mask."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup, tensors

SIZE = 1 << 20


def moved(name: str, shape: tuple[int, ...], stmt: str, why: str, copies: float = 1) -> Case:
    """Reads and writes every element `copies` times."""
    size = 8.0 * copies
    for n in shape:
        size *= n
    names = {k: shape for k in ("x", "y") if k in stmt}
    return Case(name, why, tensors(**names), stmt, None, 0, size)


def picked(rows: int, cols: int, count: int) -> Setup:
    return lambda t: {"x": t.randn(rows, cols), "i": t.randint(0, rows, (count,))}


def masked(t: Any) -> dict[str, Any]:
    x = t.randn(1024, 1024)
    return {"x": x, "y": t.randn(1024, 1024), "m": x > 0}


def tokens(rows: int, cols: int, shape: tuple[int, ...], graph: bool) -> Setup:
    def setup(t: Any) -> dict[str, Any]:
        names = {"w": t.randn(rows, cols).requires_grad_(graph), "i": t.randint(0, rows, shape)}
        return {**names, "dy": t.randn(*shape, cols)} if graph else names

    return setup


CASES = [
    moved("cat-rows", (1024, 512), "t.cat((x, y))", "two blocks one after the other", 2),
    moved("cat-columns", (1024, 512), "t.cat((x, y), 1)", "rows in turn", 2),
    moved("cat-channels", (16, 32, 56, 56), "t.cat((x, y), 1)", "a skip connection", 2),
    moved("cat-odd", (1000, 17), "t.cat((x, y), 1)", "rows of 68 bytes", 2),
    moved("stack-first", (1024, 512), "t.stack((x, y))", "two blocks one after the other", 2),
    moved("stack-last", (1024, 512), "t.stack((x, y), 2)", "elements in turn", 2),
    moved("transpose-1024x1024", (1024, 1024), "x.t().contiguous()", "strides of 4 KB"),
    moved("transpose-1000x777", (1000, 777), "x.t().contiguous()", "odd strides"),
    moved("transpose-4096x4096", (4096, 4096), "x.t().contiguous()", "strides of 16 KB, in memory"),
    moved("transpose-64x64", (64, 64), "x.t().contiguous()", "overhead"),
    moved("permute-heads", (8, 128, 8, 64), "x.permute(0, 2, 1, 3).contiguous()", "heads of attention: rows of 256 bytes"),
    moved("permute-heads-transposed", (8, 128, 8, 64), "x.permute(0, 2, 3, 1).contiguous()", "keys of attention, transposed"),
    moved("permute-nchw-nhwc", (32, 64, 28, 28), "x.permute(0, 2, 3, 1).contiguous()", "channels to the end"),
    moved("permute-nhwc-nchw", (32, 28, 28, 64), "x.permute(0, 3, 1, 2).contiguous()", "channels back"),
    moved("permute-nhwc-rgb", (64, 3, 64, 64), "x.permute(0, 2, 3, 1).contiguous()", "three channels to the end"),
    moved("clone-1M", (SIZE,), "x.clone()", "a copy in L3"),
    moved("clone-16M", (16 * SIZE,), "x.clone()", "a copy in memory"),
    moved("slice-copy", (1024, 1024), "x[:, 1:].contiguous()", "rows that do not start at a cache line"),
    moved("stride-2-copy", (1024, 1024), "x[:, ::2].contiguous()", "every other element", 0.5),
    moved("repeat-interleave", (1024, 256), "x.repeat_interleave(2, 0)", "rows twice", 1.5),
    moved("repeat-2x2", (512, 512), "x.repeat(2, 2)", "tiles", 2.5),
    moved("tile-expand", (1024, 1, 64), "x.expand(1024, 16, 64).contiguous()", "a broadcast made real", 8.5),
    moved("split-sum", (1024, 1024), "a, b = x.chunk(2, 1); a + b", "halves of rows: gated units", 0.75),
    Case("index-select-10000x512", "rows of 2 KB", picked(10000, 512, 8192),
         "t.index_select(x, 0, i)", None, 0, 8.0 * 512 * 8192),
    Case("index-select-10000x16", "rows of one cache line", picked(10000, 16, 65536),
         "t.index_select(x, 0, i)", None, 0, 8.0 * SIZE),
    Case("index-select-1M", "single elements", lambda t: {"x": t.randn(SIZE), "i": t.randint(0, SIZE, (SIZE,))},
         "t.index_select(x, 0, i)", None, 0, 16.0 * SIZE),
    Case("index-rows", "a batch of samples by a list of numbers", picked(60000, 784, 128), "x[i]", None, 0, 8.0 * 784 * 128),
    Case("embedding-10000x512-64x128", "tokens of a language model", tokens(10000, 512, (64, 128), False), "F.embedding(i, w)",
         None, 0, 8.0 * 512 * 8192),
    Case("embedding-10000x512-64x128-backward", "the same with its gradient", tokens(10000, 512, (64, 128), True),
         "F.embedding(i, w).backward(dy); w.grad = None", None, 0, 4.0 * 512 * (3 * 8192 + 10000)),
    Case("where-1024x1024", "a choice by a mask", masked, "t.where(m, x, y)", None, 0, 13.0 * SIZE),
    Case("masked_fill-1024x1024", "a mask for attention", masked, 'x.masked_fill(m, float("-inf"))', None, 0, 9.0 * SIZE),
    Case("masked_select-1024x1024", "half of the elements", masked, "x[m]", None, 0, 7.0 * SIZE),
    Case("gt-1024x1024", "a comparison", masked, "x > y", None, 0, 9.0 * SIZE),
    Case("gt-number-1024x1024", "a comparison with a number", masked, "x > 0.5", None, 0, 5.0 * SIZE),
]  # fmt: skip
