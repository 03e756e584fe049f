"""NAdam, RAdam and Adamax: Adam with another first step, another start, or another norm.

Source: Dozat 2016; Liu et al. 2020; Kingma & Ba 2015 (section 7); https://pytorch.org/docs/stable/optim.html
"""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from .batched import BatchedOptimizer, check_betas, check_not_negative
from .optimizer import run_fused


class _AdamLike(BatchedOptimizer):
    """Checks of the arguments, and the buffers exp_avg and exp_avg_sq."""

    def __init__(self, params: Any, **defaults: Any) -> None:
        check_not_negative(
            {"learning rate": defaults["lr"], "epsilon value": defaults["eps"], "weight_decay value": defaults["weight_decay"]}
        )
        check_betas(defaults["betas"])
        defaults["betas"] = tuple(defaults["betas"])
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")


def _decay(group: dict[str, Any]) -> tuple[float, float]:
    """(what is added to the gradient, what p is multiplied by)."""
    decay = float(group["weight_decay"])
    return (0.0, 1.0 - float(group["lr"]) * decay) if group["decoupled_weight_decay"] else (decay, 1.0)


class NAdam(_AdamLike):
    """Adam with Nesterov momentum: the step also looks one gradient ahead.

    mu_t = beta1 (1 - ½ 0.96^(t momentum_decay)); p = p - lr ((1 - mu_t) g / (1 - ∏ mu) + mu_{t+1} m / (1 - ∏ mu mu_{t+1})) /
    (√(v / (1 - beta2^t)) + eps). The state is {"step": int, "mu_product": float, "exp_avg": m, "exp_avg_sq": v}.

    foreach, capturable and differentiable are accepted for PyTorch's signature; the update is always fused.
    Raises ValueError for a negative lr, eps, weight_decay or momentum_decay, or betas outside [0, 1).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative({"momentum_decay value": momentum_decay})
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
        )

    @staticmethod
    def _mu(group: dict[str, Any], step: int) -> float:
        return float(group["betas"][0]) * (1.0 - 0.5 * 0.96 ** (step * float(group["momentum_decay"])))

    def _advance(self, state: dict[str, Any], group: dict[str, Any]) -> tuple:
        state["mu_product"] = float(state.get("mu_product", 1.0)) * self._mu(group, state["step"])
        return (state["mu_product"],)

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        (mu_product,) = extra
        lr, (beta1, beta2) = float(group["lr"]), map(float, group["betas"])
        after = self._mu(group, step + 1)
        decay, shrink = _decay(group)
        run_fused(
            _core.nadam_step,
            [params, buffers["exp_avg"], buffers["exp_avg_sq"]],
            grads,
            lr * after / (1.0 - mu_product * after),
            lr * (1.0 - self._mu(group, step)) / (1.0 - mu_product),
            beta1,
            beta2,
            float(group["eps"]),
            decay,
            shrink,
            1.0 / math.sqrt(1.0 - beta2**step),
            bool(group["maximize"]),
        )


class RAdam(_AdamLike):
    """Adam that leaves out the division by √v until enough steps make its variance small, and corrects it from then on.

    With r = r∞ - 2 t beta2^t / (1 - beta2^t) and r∞ = 2 / (1 - beta2) - 1: for r > 5 the step is Adam's times
    √((r-4)(r-2) r∞ / ((r∞-4)(r∞-2) r)), before that lr m / (1 - beta1^t). The state is Adam's.

    foreach, capturable and differentiable are accepted for PyTorch's signature; the update is always fused.
    Raises ValueError for a negative lr, eps or weight_decay, or betas outside [0, 1).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            decoupled_weight_decay=decoupled_weight_decay,
            differentiable=differentiable,
        )

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        lr, (beta1, beta2) = float(group["lr"]), map(float, group["betas"])
        left = 1.0 - beta2**step
        longest = 2.0 / (1.0 - beta2) - 1.0
        length = longest - 2.0 * step * beta2**step / left
        rate, plain = lr / (1.0 - beta1**step), not length > 5.0
        if not plain:
            ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            rate *= math.sqrt(ratio) * math.sqrt(left)
        decay, shrink = _decay(group)
        run_fused(
            _core.radam_step,
            [params, buffers["exp_avg"], buffers["exp_avg_sq"]],
            grads,
            rate,
            beta1,
            beta2,
            float(group["eps"]),
            decay,
            shrink,
            plain,
            bool(group["maximize"]),
        )


class Adamax(_AdamLike):
    """Adam with the largest gradient so far, fading, in place of the root of v: u = max(beta2 u, |g| + eps), p -= lr m / u.

    lr is divided by 1 - beta1^t. The state is {"step": int, "exp_avg": m, "exp_inf": u}.

    foreach, capturable and differentiable are accepted for PyTorch's signature; the update is always fused.
    Raises ValueError for a negative lr, eps or weight_decay, or betas outside [0, 1).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            foreach=foreach,
            maximize=maximize,
            differentiable=differentiable,
            capturable=capturable,
        )

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _run(self, group: Any, step: int, params: Any, grads: Any, buffers: Any, *extra: Any) -> None:
        beta1, beta2 = map(float, group["betas"])
        run_fused(
            _core.adamax_step,
            [params, buffers["exp_avg"], buffers["exp_inf"]],
            grads,
            float(group["lr"]) / (1.0 - beta1**step),
            beta1,
            beta2,
            float(group["eps"]),
            float(group["weight_decay"]),
            bool(group["maximize"]),
        )
