"""tilegrad.optim: optimizers with PyTorch's names, signatures and state_dict layout.

The base class is in optimizer.py; one file per family. SGD and Adam update a whole
group in one native call.
"""

from __future__ import annotations

from . import lr_scheduler
from .adam import Adam, AdamW
from .adaptive import Adagrad, RMSprop
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
