"""Trading time for memory (PyTorch: torch.utils.checkpoint): a checkpointed part of the model keeps only its inputs and is
computed again in the backward pass.

The first run is recorded too, but only to find the parameters the function uses; its graph is dropped at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _core
from .engine import Node, grad
from .function import Function
from .modes import enable_grad


class _Checkpoint(Function):
    """forward(call, args, result, *inputs, *parameters): the inputs stand in args at ctx.positions."""

    @staticmethod
    def forward(ctx: Any, segment: _Segment, *inputs: Any) -> Any:
        ctx.segment = segment
        ctx.save_for_backward(*inputs)
        return segment.take_outputs()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.segment.gradients(ctx.saved_tensors, grads, create_graph=_core.is_grad_enabled()))


class _Segment:
    """One checkpointed call: how to run it again, and which tensors its gradients belong to."""

    def __init__(self, call: Callable, args: tuple, random_state: Any) -> None:
        self.call = call
        self.random_state = random_state
        self.positions = [i for i, a in enumerate(args) if isinstance(a, _core.TensorBase)]
        self.constants = [None if i in self.positions else a for i, a in enumerate(args)]
        inputs = [args[i] for i in self.positions]
        fresh = [x.detach().requires_grad_(x.requires_grad) for x in inputs]
        self.outputs, self.single = self._run(fresh)
        found = _leaves_under(self.outputs)
        self.parameters = [p for p in found if not any(p is x for x in fresh)]
        self.inputs = inputs

    def _run(self, inputs: list) -> tuple[tuple, bool]:
        args = list(self.constants)
        for i, x in zip(self.positions, inputs, strict=True):
            args[i] = x
        with enable_grad():
            result = self.call(*args)
        return (result, False) if isinstance(result, tuple) else ((result,), True)

    def take_outputs(self) -> Any:
        outputs = tuple(y.detach() if isinstance(y, _core.TensorBase) else y for y in self.outputs)
        self.outputs = ()
        return outputs[0] if self.single else outputs

    def gradients(self, saved: tuple, grads: tuple, create_graph: bool) -> tuple:
        from ..random import default_generator

        inputs, parameters = list(saved[: len(self.positions)]), list(saved[len(self.positions) :])
        if not create_graph:  # apart from the outer graph, whose nodes are freed as it goes
            inputs = [x.detach().requires_grad_(x.requires_grad) for x in inputs]
        now = default_generator.get_state()
        if self.random_state is not None:
            default_generator.set_state(self.random_state)
        try:
            outputs, _ = self._run(inputs)
        finally:
            default_generator.set_state(now)
        everything = inputs + parameters
        wanted = [x for x in everything if x.requires_grad]
        pairs = [
            (y, dy)
            for y, dy in zip(outputs, grads, strict=True)
            if isinstance(y, _core.TensorBase) and y.requires_grad and dy is not None
        ]
        found = iter(grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], create_graph=create_graph, allow_unused=True))  # type: ignore[misc]
        return tuple(next(found) if x.requires_grad else None for x in everything)


def _leaves_under(outputs: tuple) -> list:
    stack = [y.grad_fn for y in outputs if isinstance(y, _core.TensorBase) and y.grad_fn is not None]
    seen: set = set(stack)
    leaves: dict[int, Any] = {}
    while stack:
        for edge in stack.pop().edges:
            if type(edge) is Node:
                if edge not in seen:
                    seen.add(edge)
                    stack.append(edge)
            elif edge is not None:
                leaves[id(edge)] = edge
    return list(leaves.values())


def checkpoint(
    function: Callable, *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True, **kwargs: Any
) -> Any:
    """``function(*args)`` without keeping its intermediate results; backward computes them again.

    Args:
        function: computes a tensor or a tuple of tensors from `args`; it may use parameters of modules.
        use_reentrant: accepted for PyTorch's sake; there is one implementation, which also serves ``autograd.grad``.
        preserve_rng_state: draw the same random numbers (dropout) in the second computation.

    Raises:
        Whatever `function` raises.
    """
    from ..random import default_generator

    call = (lambda *a: function(*a, **kwargs)) if kwargs else function
    if not _core.is_grad_enabled():
        return call(*args)
    state = default_generator.get_state() if preserve_rng_state else None
    segment = _Segment(call, args, state)
    return _Checkpoint.apply(segment, *segment.inputs, *segment.parameters)
