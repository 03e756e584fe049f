"""SGD with momentum.

Source: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html; Polyak 1964, Sutskever et al. 2013 (Nesterov).
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from .. import _core
from ..tensor import Tensor
from .batched import BatchedOptimizer, check_not_negative
from .optimizer import matching_gradient, run_fused


class SGD(BatchedOptimizer):
    """v = momentum v + (1 - dampening) g, then p = p - lr v, where g = grad + weight_decay p.

    The first v is g itself. nesterov uses g + momentum v instead of v; maximize flips the sign of grad. The state of a
    parameter is {"momentum_buffer": tensor of its shape}, empty without momentum.

    Args:
        params: see Optimizer.
        foreach, differentiable, fused: accepted for PyTorch's signature; the update is always fused.

    Raises:
        ValueError: a negative lr, momentum or weight_decay; nesterov without momentum or with dampening.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative({"learning rate": lr, "momentum value": momentum, "weight_decay value": weight_decay})
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"Nesterov momentum requires a momentum and zero dampening, got momentum={momentum}, dampening={dampening}"
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    # Not the base's: nothing is counted, the first step differs, and without momentum there is no state at all.
    def _step_group(self, group: dict[str, Any]) -> None:
        momentum = float(group["momentum"])
        batches: dict[Any, tuple[list[Tensor], list[Tensor], list[Tensor]]] = {}  # parameters, gradients, buffers
        for param in group["params"]:
            grad = matching_gradient(param)
            if grad is None:
                continue
            state = self.state[param] if momentum else {}
            first_step = state.get("momentum_buffer") is None
            params, grads, buffers = batches.setdefault((param.dtype, param.device, first_step), ([], [], []))
            params.append(param)
            grads.append(grad)
            if momentum:
                if first_step:
                    state["momentum_buffer"] = tg.zeros(param.shape, dtype=param.dtype, device=param.device)
                buffers.append(state["momentum_buffer"])
        for (_, _, first_step), (params, grads, buffers) in batches.items():
            run_fused(
                _core.sgd_step,
                [params, buffers],
                grads,
                float(group["lr"]),
                momentum,
                float(group["dampening"]),
                float(group["weight_decay"]),
                bool(group["nesterov"]),
                bool(group["maximize"]),
                first_step,
            )
