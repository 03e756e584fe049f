"""Adam and AdamW.

Source: Kingma & Ba 2015; Loshchilov & Hutter 2019 (decoupled weight decay); Reddi et al. 2018 (amsgrad);
https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
"""

from __future__ import annotations

from typing import Any

from .. import _core
from .batched import BatchedOptimizer, check_betas, check_not_negative
from .optimizer import run_fused


class Adam(BatchedOptimizer):
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
        check_not_negative({"learning rate": lr, "epsilon value": eps, "weight_decay value": weight_decay})
        check_betas(betas)
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

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        beta1, beta2 = group["betas"]
        run_fused(
            _core.adam_step,
            [params, buffers["exp_avg"], buffers["exp_avg_sq"], buffers.get("max_exp_avg_sq", [])],
            grads,
            float(group["lr"]),
            float(beta1),
            float(beta2),
            float(group["eps"]),
            float(group["weight_decay"]),
            step,
            bool(group["decoupled_weight_decay"]),
            bool(group["amsgrad"]),
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
