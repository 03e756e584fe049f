"""How tensors print: NumPy's layout with PyTorch's frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes

if TYPE_CHECKING:
    from .tensor import Tensor

_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80}


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Digits, how many elements before a tensor is shortened, how many stay at each edge, characters per line."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({k: v for k, v in given.items() if v is not None})


def text(x: Tensor) -> str:
    detached = x.detach()
    array = (detached.float() if x.dtype is dtypes.bfloat16 else detached).numpy()
    name = "Parameter containing:\ntensor" if type(x).__name__ == "Parameter" else "tensor"
    body = np.array2string(
        array,
        separator=", ",
        prefix="tensor(",
        max_line_width=_options["linewidth"],
        **{k: v for k, v in _options.items() if k != "linewidth"},
    )
    notes = ""
    if x.dtype not in (dtypes.float32, dtypes.int64, dtypes.bool):
        notes += f", dtype={x.dtype!r}"
    if x.numel() == 0 and x.ndim != 1:
        notes += f", size={x.shape}"
    if x.grad_fn is not None:
        notes += f", grad_fn={x.grad_fn!r}"
    elif x.requires_grad:
        notes += ", requires_grad=True"
    return f"{name}({body}{notes})"
