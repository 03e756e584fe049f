"""Rprop and ASGD, written in tensor operations.

Source: Riedmiller & Braun 1993; Polyak & Juditsky 1992; https://pytorch.org/docs/stable/optim.html
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ..tensor import Tensor
from .batched import BatchedOptimizer, check_not_negative


class Rprop(BatchedOptimizer):
    """Only the sign of the gradient counts: a step grows by etas[1] while the sign stays and shrinks by etas[0] when it turns.

    After a turn the weight is not moved in that step. The state is {"step": int, "prev", "step_size"}.
    capturable, foreach and differentiable are accepted for PyTorch's signature.
    Raises ValueError for a negative lr, or etas that are not 0 < etas[0] < 1 < etas[1].
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative({"learning rate": lr})
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}; they must be 0 < etas[0] < 1 < etas[1]")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _start(self, name: str, param: Tensor, group: dict[str, Any]) -> Tensor:
        value = float(group["lr"]) if name == "step_size" else 0.0
        return tg.full(param.shape, value, dtype=param.dtype, device=param.device)

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        (shrink, grow), (low, high) = group["etas"], group["step_sizes"]
        for param, grad, prev, size in zip(params, grads, buffers["prev"], buffers["step_size"], strict=True):
            grad = -grad if group["maximize"] else grad
            turn = prev * grad
            factor = tg.where(turn > 0, float(grow), tg.where(turn < 0, float(shrink), tg.ones_like(turn)))
            size.copy_((size * factor).clamp(low, high))
            grad = tg.where(turn < 0, tg.zeros_like(grad), grad)
            param.sub_(grad.sign() * size)
            prev.copy_(grad)


class ASGD(BatchedOptimizer):
    """SGD whose weights are also averaged: state[p]["ax"] is the mean of the weights from step t0 on.

    p = p (1 - lambd eta) - eta g with eta = lr / (1 + lambd lr t)^alpha. The state is {"step": int, "ax", "eta", "mu"}.
    foreach, capturable and differentiable are accepted for PyTorch's signature.
    Raises ValueError for a negative lr or weight_decay.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative({"learning rate": lr, "weight_decay value": weight_decay})
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("ax",)

    def _advance(self, state: dict[str, Any], group: dict[str, Any]) -> tuple:
        lr, step = float(group["lr"]), state["step"]
        eta, mu = float(state.get("eta", lr)), float(state.get("mu", 1.0))
        state["eta"] = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1, step - group["t0"])
        return eta, mu

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        eta, mu = extra
        for param, grad, ax in zip(params, grads, buffers["ax"], strict=True):
            grad = -grad if group["maximize"] else grad
            if group["weight_decay"]:
                grad = grad + param * group["weight_decay"]
            param.mul_(1 - group["lambd"] * eta).sub_(grad * eta)
            ax.add_((param - ax) * mu) if mu != 1 else ax.copy_(param)
