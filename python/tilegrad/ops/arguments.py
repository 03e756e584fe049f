"""Checks of arguments that functions share, before anything is asked of the arguments themselves."""

from __future__ import annotations

from typing import Any

from .. import _core


def need_tensor(name: str, what: str, value: Any) -> None:
    """Raises TypeError unless `value`, the argument `what` of the function `name`, is a tensor."""
    if not isinstance(value, _core.TensorBase):
        raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(value).__name__}")


def need_tensors(name: str, **values: Any) -> None:
    """The same for several arguments of the function `name`."""
    for what, value in values.items():
        need_tensor(name, what, value)


def need_sequence(name: str, what: str, values: Any) -> Any:
    """`values` as a list or tuple; raises TypeError unless it is an iterable of tensors alone."""
    values = values if isinstance(values, (list, tuple)) else list(values)
    for i, value in enumerate(values):
        if not isinstance(value, _core.TensorBase):  # asked here, for the name of an element costs more than the check
            need_tensor(name, f"{what}[{i}]", value)
    return values
