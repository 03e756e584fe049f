"""tilegrad.optim: optimizers with PyTorch's names, signatures and state_dict layout.

The base class is in optimizer.py; one file per family. The update of a whole group runs in one native call.
"""

from __future__ import annotations

from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
