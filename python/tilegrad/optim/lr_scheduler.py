"""Learning-rate schedules: objects that change the "lr" of an optimizer's groups once per `step()`.

Most compute the next rate from the present one, so they can be chained and leave room for changes by hand; after n steps
from the start they give the formula in their docstring. This file is the list.
Source: https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

from .lr_base import LRScheduler
from .lr_cyclic import ChainedScheduler, CyclicLR, PolynomialLR
from .lr_formulas import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)
from .lr_policies import OneCycleLR, ReduceLROnPlateau, SequentialLR

_LRScheduler = LRScheduler  # the older name

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
