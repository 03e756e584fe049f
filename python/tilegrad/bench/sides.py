"""The sides of a comparison: what runs a case's statement, and how a library is brought to a number of threads.

| side | where it runs |
|---|---|
| ``tilegrad``, ``torch`` | in this process |
| ``torch-tuned`` | in a process of its own, because the settings of malloc are fixed when a process starts |
| ``numpy``, ``onnxruntime`` | in a process of its own each: their threads go on spinning, on the cores of the others |

A statement is rewritten so that a result stays alive while the next one is computed, as the loss and the gradients of a
training loop do. Otherwise every call would get back the very buffer that the one before has just freed, still warm in the
cache.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tilegrad as tg

from .cases import Case

SIDES = ("tilegrad", "numpy", "torch", "torch-tuned", "onnxruntime")
MODULES = {"torch-tuned": "torch"}  # where the module is called otherwise than the side

Sampler = Callable[[int, int], float]  # (untimed calls, timed calls) -> seconds of the timed ones


def library(side: str) -> Any:
    """The module measured on this side, or None if it is not installed."""
    if side == "tilegrad":
        return tg
    try:
        return __import__(MODULES.get(side, side))
    except ImportError:
        return None


@contextlib.contextmanager
def thread_count(threads: int, blas: bool = False) -> Iterator[None]:
    """``threads`` for tilegrad, torch (if it is loaded) and, with ``blas``, NumPy's BLAS (if threadpoolctl is there).

    BLAS is left alone otherwise: the threads it would start spin for some ten milliseconds on the core of the main thread.
    """
    before = tg.get_num_threads()
    tg.set_num_threads(threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    try:
        with _blas_threads(threads) if blas else contextlib.nullcontext():
            yield
    finally:
        tg.set_num_threads(before)


def _blas_threads(threads: int) -> contextlib.AbstractContextManager[Any]:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return contextlib.nullcontext()
    found: contextlib.AbstractContextManager[Any] = threadpool_limits(threads, user_api="blas")
    return found


# --- statements -------------------------------------------------------------------------------------------------------


def keeping(statement: str) -> str:
    """The statement with its result kept until the next call has made its own, and gradients until the next backward pass.

    >>> keeping("F.relu(x).backward(dy); x.grad = None")
    '_kept = F.relu(x)\\nx.grad = None\\n_kept.backward(dy)'
    """
    return ast.unparse(ast.Module(_keeping(ast.parse(statement).body), []))


def _keeping(body: list[ast.stmt]) -> list[ast.stmt]:
    clearing = [s for s in body if _clears_gradients(s)]
    result: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.With):
            statement.body = _keeping(statement.body)
        if isinstance(statement, ast.Expr) and not _clears_gradients(statement):
            call = statement.value
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "backward":
                result += [_kept(call.func.value), *clearing]
                clearing = []
                call.func.value = ast.Name("_kept", ast.Load())
                result.append(statement)
            else:
                result.append(_kept(call))
        elif not _clears_gradients(statement):
            result.append(statement)
    return [ast.fix_missing_locations(s) for s in (*result, *clearing)]


def _kept(value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name("_kept", ast.Store())], value)


def _clears_gradients(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, ast.Attribute) and target.attr == "grad" for target in statement.targets)
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "zero_grad"


def statement_sampler(statement: str, names: dict[str, Any]) -> Sampler:
    """Runs the statement with these names, its results kept alive."""
    body = textwrap.indent(keeping(statement), " " * 8)
    source = f"def _samples(_warm, _calls, _clock):\n    for _ in range(_warm):\n{body}\n    _start = _clock()\n"
    source += f"    for _ in range(_calls):\n{body}\n    return _clock() - _start\n"
    names = dict(names)
    exec(source, names)
    run = names["_samples"]

    def sample(warm: int, calls: int) -> float:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return float(run(warm, calls, time.perf_counter))
        finally:
            if collecting:
                gc.enable()

    return sample


def names_for(case: Case, side: str) -> tuple[str, dict[str, Any]] | None:
    """(statement, its names) of the case on one side; None if that side cannot do it or is not installed."""
    if side == "numpy":
        if case.numpy is None:
            return None
        return case.numpy, {"np": np, **{name: value.numpy() for name, value in case.setup(tg).items()}}
    module = library(side)
    if module is None:
        return None
    module.manual_seed(0)
    return case.stmt, {"t": module, "F": module.nn.functional, **case.setup(module)}


def function(case: Case, side: str) -> Callable[[], None] | None:
    """The case's statement on one side as a function without arguments."""
    found = names_for(case, side)
    if not found:
        return None
    exec(f"def call():\n    {found[0]}", found[1])
    return found[1]["call"]


def sampler(case: Case, side: str, threads: int) -> Sampler | None:
    """What takes samples of the case on one side; None if that side cannot do it or is not installed."""
    if side in ("tilegrad", "torch"):
        return local_sampler(case, side, threads)
    from .worker import process_of

    if library(side) is None or (side == "numpy" and case.numpy is None):
        return None
    return process_of(side).sampler(case, threads)


def local_sampler(case: Case, side: str, threads: int) -> Sampler | None:
    """The same within this process."""
    if side == "onnxruntime":
        from .onnx_models import session_sampler

        return session_sampler(case, threads) if library(side) and library("onnx") else None
    found = names_for(case, MODULES.get(side, side))
    return statement_sampler(*found) if found else None
