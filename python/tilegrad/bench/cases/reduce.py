"""Reductions over the last, the first and a middle dim: the walk through memory differs, the arithmetic does not."""

from __future__ import annotations

from .case import Case, tensors

SHAPE, SIZE = (64, 128, 128), 64 * 128 * 128
OPS = {  # on x, over dim d
    "sum": "x.sum({d})",
    "mean": "x.mean({d})",
    "prod": "x.prod({d})",
    "amax": "x.amax({d})",
    "argmax": "x.argmax({d})",
    "max": "x.max({d})",
    "var": "x.var({d})",
    "norm": "t.linalg.vector_norm(x, dim={d})",
}
DIMS = ("first", "middle", "last")


def case(name: str, shape: tuple[int, ...], stmt: str, why: str, numpy: str | None = None) -> Case:
    size = 4.0
    for n in shape:
        size *= n
    return Case(name, why, tensors(x=shape), stmt, numpy, 0, size)


CASES = [
    *(
        case(f"{name}-64x128x128-{where}", SHAPE, stmt.format(d=d), f"the {where} dim of three, in L3")
        for name, stmt in OPS.items()
        for d, where in enumerate(DIMS)
    ),
    *(case(f"{name}-1M", (1 << 20,), f"x.{name}()", "all elements") for name in ("amax", "argmax", "prod", "var")),
    case("norm-1M", (1 << 20,), "t.linalg.vector_norm(x)", "all elements"),
    case("any-1M", (1 << 20,), "(x > 9).any()", "a mask, and whether it has a true element"),
    case("sum-65536x10-last", (65536, 10), "x.sum(1)", "rows shorter than a register"),
    case("sum-17x65521-last", (17, 65521), "x.sum(1)", "few long rows of odd length"),
    case("sum-65521x17-first", (65521, 17), "x.sum(0)", "few columns: the gradient of a bias"),
    case("sum-4096x1024-first", (4096, 1024), "x.sum(0)", "the gradient of a bias, beyond L2"),
    case("amax-8192x1000-last", (8192, 1000), "x.amax(1)", "beyond the caches"),
    case("argmax-8192x1000-last", (8192, 1000), "x.argmax(1)", "predicted classes"),
    case("mean-32x256x14x14-planes", (32, 256, 14, 14), "x.mean((2, 3))", "global pooling, planes of 196"),
    case("mean-32x64x56x56-channels", (32, 64, 56, 56), "x.mean((0, 2, 3))", "statistics of batch_norm"),
    case("sum-64", (64,), "x.sum()", "overhead"),
    case("sum-64x64-last", (64, 64), "x.sum(1)", "overhead"),
]  # fmt: skip
