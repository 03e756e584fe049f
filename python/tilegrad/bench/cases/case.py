"""Every benchmark case, with the reason for its size.

A case is a few named tensors and one statement. The same text runs on tilegrad and on torch, because the names are the
same: ``t`` is the library, ``F`` its nn.functional. NumPy has a statement of its own where it can do the job at all.
``flops`` and ``bytes`` are the least the operation needs: what the roofline is measured against. A case whose arithmetic is
elementwise has only bytes; one whose cost is the call itself has neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Setup = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One operation at one size.

    Args:
        name: the operation, then its size, then what is special: ``layer-norm-4096x768-backward``.
        why: why this size is worth measuring.
        setup: library -> the names of the statement.
        stmt: what is timed.
        numpy: the same for arrays under these names; None where NumPy cannot do it.
        flops: multiplications and additions of the operation's definition.
        bytes: what must be read and written at least, each tensor once.
        op: the operation; the beginning of the name when left out.
        dtype: what the arithmetic is done on, which says what limit the case is held against; left out, ``-bf16`` or ``-int8``
            in the name tells, else it is float32.
    """

    name: str
    why: str
    setup: Setup
    stmt: str
    numpy: str | None = None
    flops: float = 0.0
    bytes: float = 0.0
    op: str = ""
    dtype: str = ""

    def __post_init__(self) -> None:
        if not self.op:
            object.__setattr__(self, "op", op_of(self.name))
        if not self.dtype:
            words = {"bf16": "bfloat16", "int8": "int8"}
            named = [words[word] for word in self.name.split("-") if word in words]
            object.__setattr__(self, "dtype", named[0] if named else "float32")


def op_of(name: str) -> str:
    """The operation that a case's name begins with: ``layer_norm`` of ``layer-norm-4096x768-backward``."""
    return re.split(r"-\d|-backward", name)[0].replace("-", "_")


def tensors(**shapes: tuple[int, ...]) -> Setup:
    """Normal random float32 tensors by name."""
    return lambda t: {name: t.randn(*shape) for name, shape in shapes.items()}
