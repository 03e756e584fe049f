"""Adagrad, RMSprop and Adadelta: a weight's step is divided by the root of a sum, or a running mean, of its squared gradients.

Source: Duchi et al. 2011; Tieleman & Hinton 2012; Zeiler 2012; https://pytorch.org/docs/stable/optim.html
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from .. import _core
from ..tensor import Tensor
from .batched import BatchedOptimizer, check_not_negative
from .optimizer import run_fused


class Adagrad(BatchedOptimizer):
    """s += g², p = p - lr / (1 + (t-1) lr_decay) g / (√s + eps). The state is {"step": int, "sum": s}.

    Args:
        params: see Optimizer.
        initial_accumulator_value: what s starts from.
        foreach, differentiable, fused: accepted for PyTorch's signature; the update is always fused.

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
        check_not_negative(
            {
                "learning rate": lr,
                "lr_decay value": lr_decay,
                "weight_decay value": weight_decay,
                "initial_accumulator_value value": initial_accumulator_value,
                "epsilon value": eps,
            }
        )
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

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def _start(self, name: str, param: Tensor, group: dict[str, Any]) -> Tensor:
        return tg.full(param.shape, float(group["initial_accumulator_value"]), dtype=param.dtype, device=param.device)

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        rate = float(group["lr"]) / (1 + (step - 1) * float(group["lr_decay"]))
        eps, decay, maximize = float(group["eps"]), float(group["weight_decay"]), bool(group["maximize"])
        run_fused(_core.adagrad_step, [params, buffers["sum"]], grads, rate, eps, decay, maximize)


class RMSprop(BatchedOptimizer):
    """v = alpha v + (1 - alpha) g², p = p - lr g / (√v + eps).

    centered subtracts the square of the running mean of g from v; momentum adds the step to momentum times the last one. The
    state is {"step": int, "square_avg", "grad_avg" (centered), "momentum_buffer" (momentum)}.

    Args:
        params: see Optimizer.
        capturable, foreach, differentiable: accepted for PyTorch's signature; the update is always fused.

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
        check_not_negative(
            {
                "learning rate": lr,
                "epsilon value": eps,
                "momentum value": momentum,
                "weight_decay value": weight_decay,
                "alpha value": alpha,
            }
        )
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

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return tuple(names)

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        run_fused(
            _core.rmsprop_step,
            [params, buffers["square_avg"], buffers.get("momentum_buffer", []), buffers.get("grad_avg", [])],
            grads,
            float(group["lr"]),
            float(group["alpha"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            float(group["momentum"]),
            bool(group["maximize"]),
        )


class Adadelta(BatchedOptimizer):
    """v = rho v + (1 - rho) g², d = √(u + eps) / √(v + eps) g, u = rho u + (1 - rho) d², p = p - lr d.

    The state is {"step": int, "square_avg": v, "acc_delta": u}. foreach, capturable and differentiable are accepted for
    PyTorch's signature; the update is always fused.

    Raises:
        ValueError: a negative lr, eps or weight_decay, or rho outside [0, 1].
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative({"learning rate": lr, "epsilon value": eps, "weight_decay value": weight_decay})
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}; it must lie in [0, 1]")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        run_fused(
            _core.adadelta_step,
            [params, buffers["square_avg"], buffers["acc_delta"]],
            grads,
            float(group["lr"]),
            float(group["rho"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            bool(group["maximize"]),
        )
