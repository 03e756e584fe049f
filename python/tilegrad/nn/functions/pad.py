"""pad. Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.pad.html"""

from __future__ import annotations

from ...ops.pad import pad

__all__ = ["pad"]
