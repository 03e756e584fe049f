"""Switching gradient recording on and off, per thread (PyTorch: torch.no_grad, torch.enable_grad, torch.inference_mode)."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from .. import _core

is_grad_enabled = _core.is_grad_enabled


class _Mode:
    """A context manager that is also a decorator."""

    def __enter__(self) -> None:
        self.previous = _core.set_grad_enabled(self.mode)

    def __exit__(self, *_: object) -> None:
        _core.set_grad_enabled(self.previous)

    def __call__(self, function: Callable) -> Callable:
        make = self._again

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with make():
                return function(*args, **kwargs)

        return inside

    mode = True

    def _again(self) -> _Mode:
        return type(self)()


class no_grad(_Mode):
    """Nothing is recorded inside; results do not require grad. ``@no_grad`` and ``@no_grad()`` both decorate."""

    mode = False

    def __new__(cls, function: Callable | None = None) -> Any:
        self = super().__new__(cls)
        return self(function) if function is not None else self

    def __init__(self, function: Callable | None = None) -> None:
        pass


class enable_grad(_Mode):
    """Recording inside, also within ``no_grad``."""

    def __new__(cls, function: Callable | None = None) -> Any:
        self = super().__new__(cls)
        return self(function) if function is not None else self

    def __init__(self, function: Callable | None = None) -> None:
        pass


class set_grad_enabled(_Mode):
    """``set_grad_enabled(flag)`` takes effect at once; used in a ``with`` statement it is undone at the end."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.before = _core.set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        self.previous = self.before

    def __call__(self, function: Callable) -> Callable:
        _core.set_grad_enabled(self.before)
        return super().__call__(function)

    def _again(self) -> _Mode:
        return set_grad_enabled(self.mode)


_inference = threading.local()


def is_inference_mode_enabled() -> bool:
    """Is this thread inside ``inference_mode``?"""
    return getattr(_inference, "depth", 0) > 0


class inference_mode(_Mode):
    """As ``no_grad``; tilegrad's tensors have no further state that inference could save."""

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if callable(mode):
            self.mode = False
            return self(mode)
        return self

    def __init__(self, mode: Any = True) -> None:
        self.mode = not mode

    def __enter__(self) -> None:
        self.previous = _core.set_grad_enabled(_core.is_grad_enabled() and self.mode)
        _inference.depth = getattr(_inference, "depth", 0) + (not self.mode)

    def __exit__(self, *_: object) -> None:
        _inference.depth -= not self.mode
        super().__exit__()

    def _again(self) -> _Mode:
        return inference_mode(not self.mode)
