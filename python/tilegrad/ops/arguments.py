"""Checks of arguments that functions share, before anything is asked of the arguments themselves."""

from __future__ import annotations

from typing import Any

from .. import _core


def need_tensor(name: str, what: str, value: Any) -> None:
    """Raises TypeError unless `value`, the argument `what` of the function `name`, is a tensor."""
    if not isinstance(value, _core.TensorBase):
        raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(value).__name__}")
