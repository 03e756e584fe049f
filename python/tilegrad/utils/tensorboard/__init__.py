"""tilegrad.utils.tensorboard: SummaryWriter, as in torch.utils.tensorboard."""

from __future__ import annotations

from .writer import SummaryWriter

__all__ = ["SummaryWriter"]
