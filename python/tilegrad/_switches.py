"""Settings of PyTorch that have one value here, and `compile`, which has nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class memory_format:
    """An order of dims in memory. Tensors keep the order they have; the formats exist for code that passes them on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"tilegrad.{self.name}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")

_PRECISIONS = ("highest", "high", "medium")
_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """How exact products of float32 may be: 'highest', 'high' or 'medium'. On the CPU they are always computed in float32, so
    all three give the same bits.

    Raises:
        RuntimeError: another value.
    """
    global _precision
    if precision not in _PRECISIONS:
        raise RuntimeError(f"{precision} is not one of 'highest', 'high', or 'medium'; the current setting stays {_precision}")
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given."""
    return _precision


def compile(model: Callable | None = None, **options: Any) -> Any:
    """The model itself: there is no compiler, and the ops are fused kernels already. Also usable as a decorator."""
    return model if model is not None else lambda function: function
