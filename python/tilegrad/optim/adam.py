"""Adam and AdamW.

Source: Kingma & Ba 2015; Loshchilov & Hutter 2019 (decoupled weight decay); Reddi et al. 2018 (amsgrad);
https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tilegrad as tg

from .. import _core
from ..tensor import Tensor
from .optimizer import Optimizer, matching_gradient, run_closure, run_fused


class Adam(Optimizer):
    """m = b1 m + (1-b1) g, v = b2 v + (1-b2) g², p = p - lr m̂ / (√v̂ + eps), hats divide by 1 - bᵗ.

    weight_decay adds weight_decay p to g; with decoupled_weight_decay (AdamW) it multiplies p by 1 - lr weight_decay
    instead. amsgrad uses the largest v̂ so far. The state of a parameter is {"step": int, "exp_avg", "exp_avg_sq",
    "max_exp_avg_sq" (amsgrad)}; PyTorch's float tensor "step" is accepted by load_state_dict.

    Args:
        params: see Optimizer.
        foreach, capturable, differentiable, fused: accepted for PyTorch's signature; the update is always fused.

    Raises:
        ValueError: a negative lr, eps or weight_decay, a beta outside [0, 1).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        for value, what in ((lr, "learning rate"), (eps, "epsilon value"), (weight_decay, "weight_decay value")):
            if not value >= 0.0:
                raise ValueError(f"Invalid {what}: {value}; it must be 0 or more")
        for i, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}; it must be in [0, 1)")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter with a gradient; returns closure() if one is given."""
        loss = run_closure(closure)
        with tg.no_grad():
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        amsgrad = bool(group["amsgrad"])
        # (dtype, device, step) -> parameters, exp_avg, exp_avg_sq, max_exp_avg_sq, gradients
        batches: dict[Any, tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor], list[Tensor]]] = {}
        for param in group["params"]:
            grad = matching_gradient(param)
            if grad is None:
                continue
            state = self.state[param]
            if not state:
                state["step"] = 0
                state["exp_avg"] = tg.zeros(param.shape, dtype=param.dtype, device=param.device)
                state["exp_avg_sq"] = tg.zeros(param.shape, dtype=param.dtype, device=param.device)
            if amsgrad and "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = tg.zeros(param.shape, dtype=param.dtype, device=param.device)
            state["step"] = step = int(state["step"]) + 1
            params, exp_avgs, exp_avg_sqs, maxima, grads = batches.setdefault(
                (param.dtype, param.device, step), ([], [], [], [], [])
            )
            params.append(param)
            grads.append(grad)
            exp_avgs.append(state["exp_avg"])
            exp_avg_sqs.append(state["exp_avg_sq"])
            if amsgrad:
                maxima.append(state["max_exp_avg_sq"])
        beta1, beta2 = group["betas"]
        for (_, _, step), (params, exp_avgs, exp_avg_sqs, maxima, grads) in batches.items():
            run_fused(
                _core.adam_step,
                [params, exp_avgs, exp_avg_sqs, maxima],
                grads,
                float(group["lr"]),
                float(beta1),
                float(beta2),
                float(group["eps"]),
                float(group["weight_decay"]),
                step,
                bool(group["decoupled_weight_decay"]),
                amsgrad,
                bool(group["maximize"]),
            )


class AdamW(Adam):
    """Adam whose weight decay is decoupled from the gradient: p = p (1 - lr weight_decay) before the step.

    Source: Loshchilov & Hutter 2019; https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
