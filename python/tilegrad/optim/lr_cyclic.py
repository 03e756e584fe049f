"""Schedules that go round, end, or run side by side: CyclicLR, PolynomialLR, ChainedScheduler.

Source: https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .lr_base import LRScheduler
from .optimizer import Optimizer


class PolynomialLR(LRScheduler):
    """lr0 (1 - n / total_iters)^power, 0 from total_iters on."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        n = self.last_epoch
        if n == 0 or n > self.total_iters:
            return self._current()
        change = ((1.0 - n / self.total_iters) / (1.0 - (n - 1) / self.total_iters)) ** self.power
        return [lr * change for lr in self._current()]


class CyclicLR(LRScheduler):
    """Up from base_lr to max_lr in step_size_up steps and down in step_size_down, again and again.

    mode "triangular" keeps the height, "triangular2" halves it each cycle, "exp_range" multiplies it by gamma^n; scale_fn is a
    height of one's own, of the cycle's number (scale_mode "cycle") or of n ("iterations"). With cycle_momentum the momentum
    (or Adam's beta1) moves the other way, between max_momentum and base_momentum.

    Source: Smith 2017, https://arxiv.org/abs/1506.01186
    Raises ValueError for an unknown mode without scale_fn, or cycle_momentum of an optimizer that has no momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode must be 'triangular', 'triangular2' or 'exp_range' when scale_fn is None, got {mode!r}")
        groups = optimizer.param_groups
        lows, self.max_lrs = (list(v) if isinstance(v, (list, tuple)) else [v] * len(groups) for v in (base_lr, max_lr))
        if cycle_momentum and not all("momentum" in g or "betas" in g for g in groups):
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        self.up = float(step_size_up)
        self.down = self.up if step_size_down is None else float(step_size_down)
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        if last_epoch == -1:
            for group, low in zip(groups, lows, strict=True):
                group["lr"] = group["initial_lr"] = low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def _height(self, x: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        length = self.up + self.down
        cycle = math.floor(1 + self.last_epoch / length)
        x = 1.0 + self.last_epoch / length - cycle
        share = x / (self.up / length) if x <= self.up / length else (x - 1) / (self.up / length - 1)
        share *= self._height(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            momentum = self.max_momentum - (self.max_momentum - self.base_momentum) * share
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return [low + (high - low) * share for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]


class ChainedScheduler(LRScheduler):
    """Steps several schedulers one after the other, each changing the rate that the one before left.

    Raises ValueError without schedulers, or when they belong to different optimizers.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler expects at least one scheduler to be chained, but got no scheduler")
        owner = schedulers[0].optimizer if optimizer is None else optimizer
        for i, scheduler in enumerate(schedulers):
            if scheduler.optimizer is not owner:
                raise ValueError(
                    "ChainedScheduler expects all schedulers to belong to the same optimizer, but got scheduler "
                    f"{type(scheduler).__name__} at index {i} with another one"
                )
        self.optimizer, self._schedulers = owner, list(schedulers)
        self._last_lr = self._current()

    def step(self, epoch: int | None = None) -> None:
        """Steps every scheduler."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._current()

    def state_dict(self) -> dict[str, Any]:
        """The state_dicts of the schedulers."""
        return {"_last_lr": self._last_lr, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what state_dict() returned."""
        self._last_lr = state_dict["_last_lr"]
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)
