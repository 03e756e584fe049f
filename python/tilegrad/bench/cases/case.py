"""Every benchmark case, with the reason for its size.

A case is a few named tensors and one statement. The same text runs on tilegrad and on torch, because the names are the
same: ``t`` is the library, ``F`` its nn.functional. NumPy has a statement of its own where it can do the job at all.
``flops`` and ``bytes`` are the least the operation needs: what the roofline is measured against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Setup = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """``stmt`` is timed with the names that ``setup(library)`` gives; ``numpy`` is the same for arrays under these names."""

    name: str
    why: str
    setup: Setup
    stmt: str
    numpy: str | None = None
    flops: float = 0.0
    bytes: float = 0.0


def tensors(**shapes: tuple[int, ...]) -> Setup:
    """Normal random float32 tensors by name."""
    return lambda t: {name: t.randn(*shape) for name, shape in shapes.items()}
