"""BatchedOptimizer: optimizers whose kernel updates many parameters in one native call.

A subclass says which buffers a parameter has and calls its kernel; parameters of one dtype, device and step number go
together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tilegrad as tg

from ..tensor import Tensor
from .optimizer import Optimizer, matching_gradient, run_closure


def check_not_negative(values: dict[str, float]) -> None:
    """Raises ValueError for a negative (or NaN) hyper-parameter; the keys are their names in the text."""
    for name, value in values.items():
        if not float(value) >= 0.0:
            raise ValueError(f"Invalid {name}: {value}; it must be 0 or more")


def check_betas(betas: tuple[float, float]) -> None:
    """Raises ValueError for a beta outside [0, 1)."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}; it must lie in [0, 1)")


class BatchedOptimizer(Optimizer):
    """Optimizer whose subclasses define `_buffers` and `_run` (or, where parameters go together otherwise, `_step_group`)."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter with a gradient; returns closure() if one is given."""
        loss = run_closure(closure)
        with tg.no_grad():
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        names = self._buffers(group)
        batches: dict[Any, tuple[list[Tensor], list[Tensor], dict[str, list[Tensor]]]] = {}  # parameters, gradients, buffers
        for param in group["params"]:
            grad = matching_gradient(param)
            if grad is None:
                continue
            state = self.state[param]
            state["step"] = step = int(state.get("step", 0)) + 1
            key = (param.dtype, param.device, step, *self._advance(state, group))
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = ([], [], {name: [] for name in names})
            params, grads, buffers = batch
            params.append(param)
            grads.append(grad)
            for name, tensors in buffers.items():
                buffer = state.get(name)
                if buffer is None:
                    buffer = state[name] = self._start(name, param, group)
                tensors.append(buffer)
        for (_, _, step, *extra), (params, grads, buffers) in batches.items():
            self._run(group, step, params, grads, buffers, *extra)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The names of the buffers a parameter of this group has."""
        raise NotImplementedError

    def _start(self, name: str, param: Tensor, group: dict[str, Any]) -> Tensor:
        """What a buffer starts from."""
        return tg.zeros(param.shape, dtype=param.dtype, device=param.device)

    def _advance(self, state: dict[str, Any], group: dict[str, Any]) -> tuple:
        """Numbers beside the step that a parameter's update depends on; they are handed to `_run`."""
        return ()

    def _run(
        self,
        group: dict[str, Any],
        step: int,
        params: list[Tensor],
        grads: list[Tensor],
        buffers: dict[str, list[Tensor]],
        *extra: Any,
    ) -> None:
        raise NotImplementedError
