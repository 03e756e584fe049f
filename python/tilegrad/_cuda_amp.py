"""PyTorch's old ``torch.cuda.amp``: `autocast` without its device, and `GradScaler`. Without a GPU both change nothing."""

from __future__ import annotations

from . import amp, dtypes
from .amp import GradScaler

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):
    """``amp.autocast("cuda", ...)``."""

    def __init__(self, enabled: bool = True, dtype: dtypes.dtype = dtypes.float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)
