"""Elementwise and reductions."""

from __future__ import annotations

from typing import Any

from .case import Case, Setup, tensors


def elementwise(name: str, stmt: str, numpy: str | None, arrays: int) -> list[Case]:
    """One operation on 1 M elements (4 MB: in L3) and on 16 M (64 MB: in memory); ``arrays`` are read or written."""
    inputs = {"x": None, "y": None} if "y" in stmt else {"x": None}
    why = {20: "1 M elements, in L3", 24: "16 M elements, in memory"}
    return [
        Case(f"{name}-{size >> 20}M", why[bits], tensors(**dict.fromkeys(inputs, (size,))), stmt, numpy, 0, 4.0 * arrays * size)
        for bits, size in ((20, 1 << 20), (24, 1 << 24))
    ]


def graph(shape: tuple[int, ...]) -> Setup:
    return lambda t: {"x": t.randn(*shape).requires_grad_(), "dy": t.randn(*shape)}


def backward(name: str, call: str) -> list[Case]:
    return [
        Case(f"{name}-{size >> 20}M-backward", "value and gradient", graph((size,)), f"{call}.backward(dy); x.grad = None",
             None, 0, 20.0 * size)
        for size in (1 << 20, 1 << 24)
    ]  # fmt: skip


def sized(name: str, sizes: dict[int, str], stmt: str, arrays: int) -> list[Case]:
    """Other sizes than the million."""
    names = ("x", "y") if "y" in stmt else ("x",)
    return [
        Case(f"{name}-{size}", why, tensors(**dict.fromkeys(names, (size,))), stmt, None, 0, 4.0 * arrays * size)
        for size, why in sizes.items()
    ]


def shapes(name: str, why: str, stmt: str, **operands: tuple[int, ...]) -> Case:
    total = 4.0 * 1024 * 1024
    for shape in operands.values():
        size = 4.0
        for n in shape:
            size *= n
        total += size
    return Case(name, why, tensors(**operands), stmt, None, 0, total)


def typed(dtype: str) -> Setup:
    def setup(t: Any) -> dict[str, Any]:
        kind = getattr(t, dtype)
        return {name: (t.randn(SIZE) * 100).to(kind) for name in ("x", "y")}

    return setup


SIZE = 1 << 20
THRESHOLDS = {16_385: "one thread", 32_769: "just enough for two threads", 65_537: "a sum of several segments"}
SMALL = {64: "overhead", 1000: "overhead", 4096: "in the first cache: one thread", 100_003: "in the second cache, an odd size"}
SQUARE = (1024, 1024)
FUNCTIONS = ("log", "log1p", "sqrt", "sin", "cos", "erf", "expm1", "abs", "neg", "floor", "round", "reciprocal", "rsqrt")
CASES = [
    *elementwise("add", "x + y", "x + y", 3),
    *elementwise("mul-number", "x * 2.5", "x * np.float32(2.5)", 2),
    *elementwise("exp", "t.exp(x)", "np.exp(x)", 2),
    *elementwise("tanh", "t.tanh(x)", "np.tanh(x)", 2),
    *elementwise("gelu", "F.gelu(x)", None, 2),
    *elementwise("gelu-tanh", 'F.gelu(x, approximate="tanh")', None, 2),
    *elementwise("relu", "F.relu(x)", "np.maximum(x, 0)", 2),
    *elementwise("sigmoid", "t.sigmoid(x)", None, 2),
    *elementwise("silu", "F.silu(x)", None, 2),
    *elementwise("sum", "x.sum()", "x.sum()", 1),
    *backward("gelu", "F.gelu(x)"),
    *backward("relu", "F.relu(x)"),
    *(case for name in FUNCTIONS for case in sized(name, {SIZE: "a function in L3"}, f"t.{name}(x)", 2)),
    *sized("softplus", {SIZE: "an activation in L3"}, "F.softplus(x)", 2),
    *sized("div", {SIZE: "in L3"}, "x / y", 3),
    *sized("maximum", {SIZE: "in L3"}, "t.maximum(x, y)", 3),
    *sized("pow-3", {SIZE: "in L3"}, "x ** 3", 2),
    *sized("square", {SIZE: "in L3"}, "x ** 2", 2),
    *sized("atan2", {SIZE: "in L3"}, "t.atan2(x, y)", 3),
    *sized("add_", {SIZE: "in place: no new memory"}, "x.add_(y, alpha=1e-9)", 3),
    *sized("lerp", {SIZE: "in L3"}, "t.lerp(x, y, 0.3)", 3),
    *sized("addcmul", {SIZE: "in L3"}, "t.addcmul(x, x, y)", 3),
    *sized("add", SMALL, "x + y", 3),
    *sized("mul-number", SMALL, "x * 2.5", 2),
    *sized("exp", SMALL, "t.exp(x)", 2),
    *sized("relu", SMALL, "F.relu(x)", 2),
    *sized("gelu", SMALL, "F.gelu(x)", 2),
    *sized("add", THRESHOLDS, "x + y", 3),
    *sized("sum", THRESHOLDS, "x.sum()", 1),
    shapes("add-row-narrow", "a bias, short rows", "x + y", x=(8192, 128), y=(128,)),
    shapes("add-column-narrow", "one number a short row", "x + y", x=(8192, 128), y=(8192, 1)),
    shapes("add-row", "a bias", "x + y", x=SQUARE, y=(1024,)),
    shapes("add-column", "one number a row", "x + y", x=SQUARE, y=(1024, 1)),
    shapes("add-channel", "a bias of images", "x + y", x=(32, 32, 32, 32), y=(32, 1, 1)),
    shapes("add-outer", "a row and a column", "x + y", x=(1024, 1), y=(1, 1024)),
    shapes("add-transposed", "one operand runs down columns", "x + y.t()", x=SQUARE, y=SQUARE),
    shapes("mul-strided", "halves of rows", "x[:, :512] * x[:, 512:]", x=SQUARE),
    *(Case(f"add-1M-{dtype}", "another element type", typed(dtype), "x + y", None, 0, 3.0 * size * SIZE)
      for dtype, size in (("int64", 8), ("int32", 4), ("float64", 8), ("bfloat16", 2), ("float16", 2))),
    *(Case(f"mul-number-1M-{dtype}", "a number and another element type", typed(dtype), "x * 0.3", None, 0, 4.0 * SIZE)
      for dtype in ("bfloat16", "float16")),
    *(Case(f"cast-1M-{source}-{target}", "a conversion", typed(source), f"x.to(t.{target})", None, 0, float(size * SIZE))
      for source, target, size in (("float32", "bfloat16", 6), ("bfloat16", "float32", 6), ("float32", "float16", 6),
                                   ("float32", "float64", 12), ("int64", "float32", 12), ("float32", "int64", 12))),
]  # fmt: skip
