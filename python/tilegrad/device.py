"""Devices. The CPU is the only one of this build; asking for another says why."""

from __future__ import annotations

from typing import Any


class device:
    """Where a tensor lives: ``tilegrad.device("cpu")``."""

    __slots__ = ("index", "type")
    index: int | None
    type: str

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        if not isinstance(type, str):
            raise TypeError(f"device: expected a name such as 'cpu', got {type!r}")
        name, _, number = type.partition(":")
        if name not in ("cpu", "cuda"):
            raise RuntimeError(f"device: unknown device '{type}'; tilegrad knows cpu and cuda")
        if number and not number.isdigit():
            raise RuntimeError(f"device: '{type}' should look like 'cuda:0'")
        self.type = name
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            other = device(other)
        return isinstance(other, device) and (self.type, self.index or 0) == (other.type, other.index or 0)

    def __hash__(self) -> int:
        return hash((self.type, self.index or 0))


CPU = device("cpu")


def require_cpu(wanted: Any) -> None:
    """Raises RuntimeError with the reason if `wanted` names a device this build lacks; None means the CPU."""
    if wanted is None or wanted is CPU:
        return
    if device(wanted).type != "cpu":
        from . import cuda

        raise RuntimeError(f"device '{wanted}' is not available: {cuda.unavailable_reason()}")
