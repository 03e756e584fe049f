"""Adagrad and RMSprop: each weight's step is divided by the root of a sum, or a running mean, of its squared gradients.

Written in tensor operations, to be read; Adam (adam.py) has a fused kernel.
Source: Duchi et al. 2011; Tieleman & Hinton 2012; https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tilegrad as tg

from ..tensor import Tensor
from .optimizer import Optimizer, matching_gradient, run_closure


class _PerParameter(Optimizer):
    """An optimizer whose update is written for one parameter at a time, in `_update(param, grad, state, group)`."""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        for name, what in (("lr", "learning rate"), ("eps", "epsilon value"), ("weight_decay", "weight_decay value")):
            if not defaults[name] >= 0.0:
                raise ValueError(f"Invalid {what}: {defaults[name]}; it must be 0 or more")
        super().__init__(params, defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter with a gradient; returns closure() if one is given."""
        loss = run_closure(closure)
        with tg.no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    grad = matching_gradient(param)
                    if grad is None:
                        continue
                    state = self.state[param]
                    state["step"] = int(state.get("step", 0)) + 1
                    grad = -grad if group["maximize"] else grad
                    if group["weight_decay"]:
                        grad = grad + param * group["weight_decay"]
                    self._update(param, grad, state, group)
        return loss

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        raise NotImplementedError


class Adagrad(_PerParameter):
    """s += g², p = p - lr / (1 + (t-1) lr_decay) g / (√s + eps). The state is {"step": int, "sum": s}.

    Args:
        params: see Optimizer.
        initial_accumulator_value: what s starts from.
        foreach, differentiable, fused: accepted for PyTorch's signature.

    Raises:
        ValueError: a negative lr, lr_decay, weight_decay, initial_accumulator_value or eps.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if not lr_decay >= 0.0:
            raise ValueError(f"Invalid lr_decay value: {lr_decay}; it must be 0 or more")
        if not initial_accumulator_value >= 0.0:
            raise ValueError(f"Invalid initial_accumulator_value value: {initial_accumulator_value}; it must be 0 or more")
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if "sum" not in state:
            state["sum"] = tg.full_like(param, group["initial_accumulator_value"])
        state["sum"].add_(grad * grad)
        rate = float(group["lr"]) / (1 + (state["step"] - 1) * group["lr_decay"])
        param.sub_(grad / (state["sum"].sqrt() + group["eps"]) * rate)


class RMSprop(_PerParameter):
    """v = alpha v + (1 - alpha) g², p = p - lr g / (√v + eps).

    centered subtracts the square of the running mean of g from v; momentum adds the step to momentum times the last one. The
    state is {"step": int, "square_avg", "grad_avg" (centered), "momentum_buffer" (momentum)}.

    Args:
        params: see Optimizer.
        capturable, foreach, differentiable: accepted for PyTorch's signature.

    Raises:
        ValueError: a negative lr, alpha, eps, weight_decay or momentum.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not momentum >= 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}; it must be 0 or more")
        if not alpha >= 0.0:
            raise ValueError(f"Invalid alpha value: {alpha}; it must be 0 or more")
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        alpha, lr = group["alpha"], float(group["lr"])
        if "square_avg" not in state:
            state["square_avg"] = tg.zeros_like(param)
        square_avg = state["square_avg"].mul_(alpha).add_(grad * grad * (1 - alpha))
        if group["centered"]:
            if "grad_avg" not in state:
                state["grad_avg"] = tg.zeros_like(param)
            grad_avg = state["grad_avg"].mul_(alpha).add_(grad * (1 - alpha))
            square_avg = square_avg - grad_avg * grad_avg
        change = grad / (square_avg.sqrt() + group["eps"])
        if group["momentum"] > 0:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = tg.zeros_like(param)
            change = state["momentum_buffer"].mul_(group["momentum"]).add_(change)
        param.sub_(change * lr)
