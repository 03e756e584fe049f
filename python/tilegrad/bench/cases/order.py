"""Order, running sums, single elements by number, einsum."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup, tensors

SIZE = 1 << 20


def rows(name: str, stmt: str, shape: tuple[int, ...], why: str, numpy: str | None = None, passes: int = 2) -> Case:
    """Read once and written once; with ``passes`` 1 the result is small."""
    size = 1
    for n in shape:
        size *= n
    return Case(name, why, tensors(x=shape), stmt, numpy, 0, 4.0 * passes * size)


def places(t: Any) -> dict[str, Any]:
    return {"x": t.randn(1024, 1024), "y": t.randn(1024, 1024), "i": t.randint(0, 1024, (1024, 1024))}


def heads(t: Any) -> dict[str, Any]:
    return {"q": t.randn(8, 128, 8, 64), "k": t.randn(8, 128, 8, 64)}


def numbers(size: int, top: int) -> Setup:
    return lambda t: {"i": t.randint(0, top, (size,))}


CASES = [
    rows("sort-1M", "t.sort(x)", (SIZE,), "one long row: radix passes", "np.sort(x)"),
    rows("sort-16384x64", "t.sort(x, dim=1)", (16384, 64), "short rows: merging", "np.sort(x, 1)"),
    rows("sort-256x4096", "t.sort(x, dim=1)", (256, 4096), "rows in cache", "np.sort(x, 1)"),
    rows("sort-stable-256x4096", "t.sort(x, dim=1, stable=True)", (256, 4096), "rows in cache"),
    rows("argsort-1000x1000", "t.argsort(x, 1)", (1000, 1000), "odd rows"),
    rows("sort-4096x257-dim0", "t.sort(x, 0)", (4096, 257), "down the columns"),
    rows("sort-64x10", "t.sort(x, 1)", (64, 10), "overhead"),
    rows("topk-64x32000-50", "t.topk(x, 50)", (64, 32000), "sampling from a vocabulary", passes=1),
    rows("topk-8192x1000-5", "t.topk(x, 5)", (8192, 1000), "top-5 accuracy", passes=1),
    rows("topk-4096x64-10", "t.topk(x, 10)", (4096, 64), "experts", passes=1),
    rows("topk-1M-100", "t.topk(x, 100)", (SIZE,), "one long row", passes=1),
    rows("kthvalue-256x4096", "t.kthvalue(x, 100, 1)", (256, 4096), "one element of every row", passes=1),
    rows("median-256x4096", "t.median(x, 1)", (256, 4096), "the middle of every row", passes=1),
    rows("cumprod-256x4096", "t.cumprod(x, 1)", (256, 4096), "chains along rows", "np.cumprod(x, 1)"),
    rows("cumsum-1M", "t.cumsum(x, 0)", (SIZE,), "one chain", "np.cumsum(x)"),
    rows("cumsum-64x128x128-dim1", "t.cumsum(x, 1)", (64, 128, 128), "the middle dim"),
    rows("cumsum-256x4096", "t.cumsum(x, 1)", (256, 4096), "chains along rows", "np.cumsum(x, 1)"),
    rows("cumsum-4096x256-dim0", "t.cumsum(x, 0)", (4096, 256), "chains along columns", "np.cumsum(x, 0)"),
    rows("cummax-256x4096", "t.cummax(x, 1)", (256, 4096), "values and places"),
    rows("logsumexp-4096x1024", "t.logsumexp(x, 1)", (4096, 1024), "one exponential an element", passes=1),
    rows("median-1M", "t.median(x)", (SIZE,), "by sorting", "np.median(x)", passes=1),
    Case("unique-1M", "a thousand different numbers", numbers(SIZE, 1000), "t.unique(i)", None, 0, 8.0 * SIZE),
    Case("bincount-1M", "a thousand different numbers", numbers(SIZE, 1000), "t.bincount(i)", None, 0, 8.0 * SIZE),
    Case("bincount-10000", "digits", numbers(10000, 10), "t.bincount(i)", None, 0, 8.0 * 10000),
    Case("searchsorted-1M", "places in a table", lambda t: {"x": t.randn(SIZE), "s": t.sort(t.randn(4096))[0]},
         "t.searchsorted(s, x)", None, 0, 12.0 * SIZE),
    rows("histc-1M", "t.histc(x, 100, -4, 4)", (SIZE,), "a histogram", passes=1),
    rows("clamp-1M", "x.clamp(-0.5, 0.5)", (SIZE,), "both limits in one pass", "np.clip(x, -0.5, 0.5)"),
    rows("flip-1024x1024", "t.flip(x, (1,))", (1024, 1024), "rows reversed", "x[:, ::-1].copy()"),
    rows("roll-1024x1024", "t.roll(x, 3, 1)", (1024, 1024), "rows turned", "np.roll(x, 3, 1)"),
    rows("tril-1024x1024", "t.tril(x)", (1024, 1024), "a mask for attention", "np.tril(x)"),
    rows("nonzero-1024x1024", "t.nonzero(x > 0.5)", (1024, 1024), "a third of the elements"),
    Case("gather-1024x1024-dim1", "random places in rows", places, "t.gather(x, 1, i)", None, 0, 16.0 * SIZE),
    Case("gather-1024x1024-dim0", "random places in columns", places, "t.gather(x, 0, i)", None, 0, 16.0 * SIZE),
    Case("scatter_add-1024x1024-dim1", "random places in rows", places, "t.scatter_add(x, 1, i, y)", None, 0, 24.0 * SIZE),
    Case("scatter_add-1024x1024-dim0", "random places in columns", places, "t.scatter_add(x, 0, i, y)", None, 0, 24.0 * SIZE),
    Case(
        "einsum-attention-scores",
        "permuted views, batched product",
        heads,
        't.einsum("bthd,bshd->bhts", q, k)',
        None,
        2.0 * 8 * 8 * 128 * 128 * 64,
        4.0 * 8 * 8 * (2 * 128 * 64 + 128 * 128),
    ),
    *[
        rows(f"{name}-1M", f"t.{name}(x)", (SIZE,), "an elementary function", numpy)
        for name, numpy in (
            ("tan", "np.tan(x)"),
            ("sinh", "np.sinh(x)"),
            ("erfc", None),
            ("lgamma", None),
            ("exp2", "np.exp2(x)"),
        )
    ],
    *[
        rows(f"{name}-1M", f"F.{name}(x)", (SIZE,), "an activation")
        for name in ("leaky_relu", "elu", "mish", "hardswish", "logsigmoid")
    ],
]  # fmt: skip
