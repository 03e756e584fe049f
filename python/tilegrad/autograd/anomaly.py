"""Anomaly mode: find the op, the module and the line that made the first NaN (or Inf), forward or backward.

with tg.autograd.detect_anomaly():
    loss = model(x).sum()
    loss.backward()        # RuntimeError naming the op, the module path and the line of the forward call
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import _core

if TYPE_CHECKING:
    from ..tensor import Tensor

enabled = False  # read by the engine on every node
_check_inf = False
_check_forward = True
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Depth(threading.local):
    depth = 0


_running_backward = _Depth()  # rules are ops too: while they run, check_gradients is what judges


@contextlib.contextmanager
def during_backward() -> Iterator[None]:
    _running_backward.depth += 1
    try:
        yield
    finally:
        _running_backward.depth -= 1


# Dotted names of the modules being called, outermost first; nn.Module pushes and pops while anomaly mode is on.
module_path: list[str] = []


def _where() -> str:
    """The user's line that led here, and the module path."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    place = (
        f'  File "{frame.f_code.co_filename}", line {frame.f_lineno}, in {frame.f_code.co_name}'
        if frame is not None
        else "  (unknown)"
    )
    return place + (f"\n  in module {'.'.join(module_path)}" if module_path else "")


def _bad(t: Any) -> str | None:
    if not isinstance(t, _core.TensorBase) or not t.dtype.is_floating_point or t.numel() == 0:
        return None
    flat = t.detach()
    if _core.any(_core.ne(flat, flat), None, False).item():
        return "NaN"
    if _check_inf and _core.any(_core.eq(_core.abs(flat), float("inf")), None, False).item():
        return "Inf"
    return None


def _on_record(node: Any) -> None:
    node.trace = _where()


def _on_call(op: Any, out: Any) -> None:
    if not _check_forward or _running_backward.depth:
        return
    for t in out if isinstance(out, tuple) else (out,):
        found = _bad(t)
        if found:
            raise RuntimeError(
                f"detect_anomaly: {op.name} returned {found} in the forward pass.\nIt was called here:\n{_where()}"
            )


def check_gradients(node: Any, dxs: tuple[Tensor | None, ...]) -> None:
    for i, dx in enumerate(dxs):
        found = _bad(dx)
        if found:
            raise RuntimeError(
                f"detect_anomaly: the gradient of {node.name()} with respect to its input {i} has {found} values.\n"
                f"The forward call was here:\n{node.trace or '  (recorded before detect_anomaly was on)'}"
            )


class detect_anomaly:
    """Checks every op's result and every gradient (PyTorch: torch.autograd.detect_anomaly). Slow: for debugging.

    Args:
        check_nan: look for NaN in gradients.
        nan, inf, forward: what to look for and whether forward results are checked too.
    """

    def __init__(self, check_nan: bool = True, *, inf: bool = False, forward: bool = True) -> None:
        self.settings = (check_nan, inf, forward)

    def __enter__(self) -> None:
        global enabled, _check_inf, _check_forward
        self.previous = (enabled, _check_inf, _check_forward)
        enabled, _check_inf, _check_forward = self.settings
        _wire(enabled)

    def __exit__(self, *_: object) -> None:
        global enabled, _check_inf, _check_forward
        enabled, _check_inf, _check_forward = self.previous
        _wire(enabled)


class set_detect_anomaly(detect_anomaly):
    """Switches anomaly mode at once; in a ``with`` statement it is put back at the end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(bool(mode) and check_nan)
        super().__enter__()

    def __enter__(self) -> None:
        pass


def is_anomaly_enabled() -> bool:
    """Is anomaly mode on (see `detect_anomaly`)?"""
    return enabled


def _wire(on: bool) -> None:
    _core.set_callback("on_record", _on_record if on else None)
    _core.set_callback("on_call", _on_call if on else None)
    module = sys.modules.get("tilegrad.nn.modules.module") or sys.modules.get("tilegrad.nn.module")
    if module is not None and hasattr(module, "_call_tracer"):
        module._call_tracer = _trace_module if on else None  # type: ignore[attr-defined]


def _trace_module(name: str, forward: Any, *args: Any, **kwargs: Any) -> Any:
    module_path.append(name)
    try:
        return forward(*args, **kwargs)
    finally:
        module_path.pop()
