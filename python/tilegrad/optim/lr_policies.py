"""Schedules made of phases, of other schedules, or of what a metric says.

Source: https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

from .lr_base import LRScheduler
from .optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """One cycle: from max_lr / div_factor up to max_lr in pct_start of the steps, then down to a tiny rate.

    The last rate is max_lr / div_factor / final_div_factor; anneal_strategy "cos" or "linear". With cycle_momentum the
    momentum (or Adam's beta1) moves the other way, between max_momentum and base_momentum.

    Source: Smith & Topin 2017, https://arxiv.org/abs/1708.07120
    Raises ValueError when neither total_steps nor epochs and steps_per_epoch are given, for a pct_start outside [0, 1], an
    unknown anneal_strategy, or more steps than total_steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        groups = optimizer.param_groups
        tops = list(max_lr) if isinstance(max_lr, (list, tuple)) else [max_lr] * len(groups)
        ends = [pct_start * total_steps - 1, total_steps - 1]
        shapes = [("initial", "max"), ("max", "min")]
        if three_phase:
            ends.insert(1, 2 * pct_start * total_steps - 2)
            shapes = [("initial", "max"), ("max", "initial"), ("initial", "min")]
        self._phases = [(end, a, b) for end, (a, b) in zip(ends, shapes, strict=True)]
        self._levels = [{"initial": top / div_factor, "max": top, "min": top / div_factor / final_div_factor} for top in tops]
        self._momenta = {"initial": max_momentum, "max": base_momentum, "min": max_momentum}
        if last_epoch == -1:
            for group, levels in zip(groups, self._levels, strict=True):
                group["lr"] = group["initial_lr"] = levels["initial"]
        super().__init__(optimizer, last_epoch)

    def _value(self, levels: dict[str, float]) -> float:
        start = 0.0
        for end, a, b in self._phases:
            if self.last_epoch <= end or end == self._phases[-1][0]:
                share = (self.last_epoch - start) / (end - start) if end > start else 1.0
                if self.anneal_strategy == "cos":
                    share = (1 - math.cos(math.pi * share)) / 2
                return levels[a] + (levels[b] - levels[a]) * share
            start = end
        raise AssertionError("unreachable")

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is {self.total_steps}"
            )
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                momentum = self._value(self._momenta)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                elif "momentum" in group:
                    group["momentum"] = momentum
        return [self._value(levels) for levels in self._levels]


class SequentialLR(LRScheduler):
    """One scheduler after the other: number i+1 starts from its step 0 at milestones[i].

    Raises ValueError when the milestones are not one fewer than the schedulers.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone "
                f"points, but got number of schedulers {len(schedulers)} and the number of milestones {len(milestones)}"
            )
        self.optimizer, self._schedulers, self._milestones = optimizer, schedulers, milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # every scheduler already took its first step: undo them all but the first
            group["lr"] = group["initial_lr"]
        schedulers[0].last_epoch = -1
        schedulers[0].step()
        self._last_lr = schedulers[0].get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"]
            scheduler.last_epoch = -1
        scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The position and the state_dicts of the schedulers."""
        return {
            "last_epoch": self.last_epoch,
            "_last_lr": self._last_lr,
            "_schedulers": [s.state_dict() for s in self._schedulers],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what state_dict() returned."""
        self.last_epoch, self._last_lr = state_dict["last_epoch"], state_dict["_last_lr"]
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the rate by factor when the metric given to `step(metric)` has not improved for `patience` steps.

    mode "min" or "max"; threshold says what counts as better, relative ("rel") or absolute ("abs"); cooldown steps pass after
    a reduction before bad steps count again; min_lr and eps stop reductions.

    Raises ValueError for factor >= 1 or an unknown mode or threshold_mode.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError(f"Factor should be < 1.0, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown! Use 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown! Use 'rel' or 'abs'")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * len(optimizer.param_groups)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._current()

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        margin = self.threshold * abs(self.best) if self.threshold_mode == "rel" else self.threshold
        return sign * value < sign * self.best - (margin if math.isfinite(self.best) else 0)

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Takes the metric of this epoch; lowers the rates when it has been bad for too long."""
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            rates = [max(lr * self.factor, low) for lr, low in zip(self._current(), self.min_lrs, strict=True)]
            self._set([new if old - new > self.eps else old for old, new in zip(self._current(), rates, strict=True)])
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._current()
