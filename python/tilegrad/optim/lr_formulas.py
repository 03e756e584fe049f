"""Schedules that are a formula of the number of steps n; lr0 is the rate a group started with.

Source: https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from .lr_base import LRScheduler
from .optimizer import Optimizer


class LambdaLR(LRScheduler):
    """lr0 * f(n): one function of the number of steps, or one per group.

    Raises ValueError when the number of functions is not the number of groups.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"Expected {groups} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(LambdaLR):
    """The rate is multiplied by f(n) at step n >= 1."""

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._current()
        return [lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, self._current(), strict=True)]


class StepLR(LRScheduler):
    """lr0 * gamma^(n // step_size). Raises ValueError when step_size is less than 1."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        change = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if change else lr for lr in self._current()]


class MultiStepLR(LRScheduler):
    """lr0 * gamma^(how many milestones are <= n)."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self._current()]


class ExponentialLR(LRScheduler):
    """lr0 * gamma^n."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma if self.last_epoch > 0 else lr for lr in self._current()]


class LinearLR(LRScheduler):
    """lr0 times a factor that goes in a straight line from start_factor to end_factor in total_iters steps: warm-up.

    Raises ValueError unless 0 < start_factor <= 1 and 0 <= end_factor <= 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"Starting multiplicative factor expected to be in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"Ending multiplicative factor expected to be between 0 and 1, got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, n: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(n, self.total_iters) / self.total_iters

    def get_lr(self) -> list[float]:
        n = self.last_epoch
        change = self._factor(0) if n == 0 else self._factor(n) / self._factor(n - 1)
        return [lr * change for lr in self._current()]


class ConstantLR(LRScheduler):
    """lr0 * factor for the first total_iters steps, lr0 after. Raises ValueError unless 0 <= factor <= 1."""

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"Constant multiplicative factor expected to be between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        change = {0: self.factor, self.total_iters: 1.0 / self.factor if self.factor else 1.0}.get(self.last_epoch, 1.0)
        return [lr * change for lr in self._current()]


class CosineAnnealingLR(LRScheduler):
    """eta_min + (lr0 - eta_min) (1 + cos(pi n / T_max)) / 2: half a cosine down in T_max steps, then up again.

    Source: Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        n, low, period = self.last_epoch, self.eta_min, self.T_max
        if n == 0:
            return self._current()
        if (n - 1 - period) % (2 * period) == 0:  # at the bottom the present rate says nothing of lr0
            rise = (1 - math.cos(math.pi / period)) / 2
            return [lr + (base - low) * rise for base, lr in zip(self.base_lrs, self._current(), strict=True)]
        change = (1 + math.cos(math.pi * n / period)) / (1 + math.cos(math.pi * (n - 1) / period))
        return [low + (lr - low) * change for lr in self._current()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines from lr0 to eta_min, restarting: the first takes T_0 steps, each next T_mult times as many (SGDR).

    step(epoch) also takes fractions, to move within an epoch. Raises ValueError when T_0 or T_mult is not an int >= 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"Expected integer {name} >= 1, but got {value}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        n, length = self.last_epoch, self.T_0
        while n >= length:
            n -= length
            length *= self.T_mult
        share = (1 + math.cos(math.pi * n / length)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]
