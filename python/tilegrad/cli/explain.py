"""``tilegrad explain CALL``: which kernels a call runs, their time, and how near that is to what this machine can do."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Sequence
from typing import Any

from tilegrad._limits import arithmetic
from tilegrad.course.trainer.output import Output, table

from .parser import Parser, UsageError, complain

SECONDS = 0.3  # the call is repeated for about this long
MOST = 200  # but not more often
EXAMPLE = 'tilegrad explain "F.conv2d(t.randn(32, 64, 56, 56), t.randn(64, 64, 3, 3), padding=1)"'

# Calls that only make the call's operands: they run once, and are not part of what is explained.
MAKERS = {
    "arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "randperm", "tensor", "zeros",
}  # fmt: skip
PREPARING = {"bfloat16", "contiguous", "double", "eval", "float", "half", "long", "requires_grad_", "to", "train"}


def main(arguments: Sequence[str]) -> int:
    parser = Parser(
        "explain",
        description="Runs a call and shows its kernels: time, FLOPs, bytes, share of this machine's limits, what bounds them.",
        epilog=f"The names are those of the benchmarks: t, tg (tilegrad), F, nn, np. For example: {EXAMPLE}",
    )
    parser.add_argument("call", help="a Python expression; tensors made in it (t.randn, nn.Linear, ...) are made once")
    parser.add_argument("--threads", type=int, help="number of threads (default: what is set)")
    parser.add_argument("--backward", action="store_true", help="the gradients too: .sum().backward() of the result")
    output = Output(sys.stdout)
    try:
        args = parser.read(arguments)
        if args.threads is not None and args.threads < 1:
            raise UsageError(f"--threads {args.threads}: at least 1")
        lines = explain(args.call, args.threads, args.backward)
    except UsageError as error:
        return complain(str(error))
    for line in lines:
        output.say(line)
    return 0


def explain(call: str, threads: int | None = None, backward: bool = False) -> list[str]:
    """The lines of the answer; UsageError if the call cannot be run."""
    import tilegrad as tg

    before = tg.get_num_threads()
    if threads is not None:
        tg.set_num_threads(threads)
    try:
        run = prepared(call, backward)
        start = time.perf_counter()
        _run(run)  # the first call is the warm-up
        once = time.perf_counter() - start
        times = max(1, min(MOST, int(SECONDS / max(once, 1e-6))))
        with tg.profile(record_shapes=True) as prof:
            for _ in range(times):
                _run(run)
        return report(prof, times)
    finally:
        tg.set_num_threads(before)


def report(prof: Any, times: int) -> list[str]:
    """A row for every op and shape, longest first; all figures are of one call of the expression."""
    import tilegrad as tg
    from tilegrad.bench.report import time_text

    header = ("op", "phase", "runs", "time", "FLOPs", "GFLOP/s", "bytes", "GB/s", "of limit", "bound", "kernel")
    cells = []
    for row in sorted(prof.rows(limits=True), key=lambda row: -row.self_time):
        cells.append(
            (
                f"{row.name} {' '.join('x'.join(map(str, shape)) for shape in row.shapes if shape)}".rstrip(),
                row.phase,
                f"{row.calls / times:g}",
                time_text(row.time / times),
                f"{row.flops / times:.4g}" if row.flops else "",
                f"{row.flops / row.time / 1e9:.3g}" if row.flops else "",
                f"{row.bytes / times:.4g}" if row.bytes else "",
                f"{row.bytes / row.time / 1e9:.3g}" if row.bytes else "",
                f"{row.limit / row.time:.0%}" if row.limit else "",
                row.bound,
                row.kernel,
            )
        )
    inside, wall = sum(row.self_time for row in prof.rows()) / times, prof.wall_time / times
    peak = arithmetic(tg.get_num_threads(), "float32") / 1e9
    return [
        *table(header, cells, right=range(2, 9)),
        f"{time_text(wall)} a call (mean of {times}), {time_text(max(wall - inside, 0.0))} of it outside of ops",
        f"instruction set {tg._core.isa_name()}, threads: {tg.get_num_threads()}, limit of float32: {peak:.0f} GFLOP/s",
    ]


def prepared(call: str, backward: bool) -> Any:
    """The call as a function without arguments, the tensors and modules made in it already there."""
    import numpy as np

    import tilegrad as tg

    try:
        tree = ast.parse(call.strip(), mode="eval")
    except SyntaxError as error:
        raise UsageError(f"not a Python expression: {call!r}: {error.msg}; for example: {EXAMPLE}") from None
    names: dict[str, Any] = {"t": tg, "tg": tg, "F": tg.nn.functional, "nn": tg.nn, "np": np}
    made: list[Any] = []

    class Hoist(ast.NodeTransformer):
        """Replaces what makes operands by its value."""

        def visit_Call(self, node: ast.Call) -> ast.AST:
            if not _makes(node):
                return self.generic_visit(node)
            value = _run(lambda: eval(compile(ast.Expression(node), "<call>", "eval"), names))
            names[f"_made{len(made)}"] = value
            made.append(value)
            return ast.copy_location(ast.Name(f"_made{len(made) - 1}", ast.Load()), node)

    tree = ast.fix_missing_locations(Hoist().visit(tree))
    code = compile(tree, "<call>", "eval")
    leaves = [p for value in made for p in (value.parameters() if isinstance(value, tg.nn.Module) else [value])]
    leaves = [leaf for leaf in leaves if isinstance(leaf, tg.Tensor)]
    if backward:
        for leaf in leaves:
            if leaf.is_floating_point():
                leaf.requires_grad_()

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        out = eval(code, names)
        if backward:
            first = out[0] if isinstance(out, tuple) else out
            first.sum().backward()

    return run


def _makes(node: ast.AST) -> bool:
    """Is this a call that makes a tensor or a module, perhaps with something done to it at once?"""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner, name = node.func.value, node.func.attr
    if isinstance(owner, ast.Name):
        return (owner.id in ("t", "tg") and name in MAKERS) or (owner.id == "nn" and name[:1].isupper())
    return name in PREPARING and _makes(owner)


def _run(function: Any) -> Any:
    """Whatever the call raises is the user's to read: its type and text, not a traceback."""
    try:
        return function()
    except Exception as error:
        raise UsageError(f"the call raised {type(error).__name__}: {' '.join(str(error).split())}") from None
