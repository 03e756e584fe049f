"""Ops of the user's own (PyTorch: torch.autograd.Function)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _core
from .op import ALL_DY, op

if TYPE_CHECKING:
    from ..tensor import Tensor


class FunctionContext:
    """``ctx``: carries what ``forward`` keeps for ``backward``. Any attribute may be set on it."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._name = ""
        self._to_save: tuple[Tensor | None, ...] = ()
        self._saved: tuple = ()
        self._dirty: tuple = ()
        self._non_differentiable: tuple = ()
        self._materialize = True
        self._positions: tuple = ()  # of the differentiable outputs
        self._shapes: tuple = ()  # and dtypes of those
        self._n_inputs = self._n_outputs = 0
        self._outputs: tuple = ()  # saved outputs, connected to the graph again while backward runs

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for backward; a later in-place change of one of them is an error there."""
        self._to_save = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says which inputs forward changed in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says which outputs have no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """False: backward gets None instead of zeros for outputs that nothing depends on."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        out = []
        for i, (tensor, version, slot) in enumerate(self._saved):
            if tensor is not None and tensor._version != version:
                raise RuntimeError(
                    f"{self._name} saved tensor {i} for backward, and an in-place operation changed it since "
                    f"(version {version} then, {tensor._version} now). Change a clone() instead."
                )
            out.append(tensor if slot is None else self._outputs[slot])
        return tuple(out)


class Function:
    """Subclass it with static ``forward(ctx, *args)`` and ``backward(ctx, *grads)``, then call ``apply``.

    ``backward`` gives one gradient (or None) per argument of ``forward``. Written in differentiable ops on saved tensors
    it can itself be differentiated.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Computes the outputs: a tensor or a tuple. What backward needs is kept with ``ctx.save_for_backward``."""
        raise NotImplementedError("a Function needs a static forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Turns the gradients of the outputs into those of the inputs, one for each argument of forward (None: no gradient)."""
        raise NotImplementedError("a Function that is differentiated needs a static backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs forward, and records it if an argument requires grad."""
        context = FunctionContext()
        context._name = cls.__name__
        tensors = tuple(a if isinstance(a, _core.TensorBase) else None for a in args)
        context.needs_input_grad = tuple(t is not None and t.requires_grad for t in tensors)
        records = _core.is_grad_enabled() and any(context.needs_input_grad)
        previous = _core.set_grad_enabled(False)
        try:
            result = cls.forward(context, *args)
        finally:
            _core.set_grad_enabled(previous)
        outputs = result if isinstance(result, tuple) else (result,)
        outputs = tuple(_fresh(o, args, context._dirty) for o in outputs)
        if records:
            _record(cls, context, args, outputs)
        else:
            context._saved = tuple((x, x._version if x is not None else 0, None) for x in context._to_save)
        return outputs if isinstance(result, tuple) else outputs[0]


def _fresh(output: Any, args: tuple, dirty: tuple) -> Any:
    """An input handed through unchanged becomes a tensor of its own; a dirty one stays itself."""
    if any(output is d for d in dirty):
        return output
    return output.detach() if any(output is a for a in args) else output


def _record(cls: type, context: FunctionContext, args: tuple, outputs: tuple) -> None:
    positions = [
        i
        for i, o in enumerate(outputs)
        if isinstance(o, _core.TensorBase) and not any(o is n for n in context._non_differentiable)
    ]
    differentiable = tuple(outputs[i] for i in positions if outputs[i].dtype.is_floating_point)
    slots = {id(o): k for k, o in enumerate(differentiable)}
    saved: list[tuple] = []
    for t in context._to_save:
        slot = slots.get(id(t)) if t is not None else None
        # a saved output is kept as an alias: no cycle with the graph it belongs to
        saved.append((t if slot is None or t is None else t.detach(), t._version if t is not None else 0, slot))
    context._saved = tuple(saved)
    context._shapes = tuple((o.shape, o.dtype) for o in differentiable)
    context._positions = tuple(i for i in positions if outputs[i].dtype.is_floating_point)
    context._n_outputs = len(outputs)
    context._n_inputs = len(args)
    del context._to_save
    context._dirty = context._non_differentiable = ()
    if differentiable:
        saves_outputs = any(slot is not None for _, _, slot in saved)
        _core.record_function(_op_of(cls, len(differentiable) if saves_outputs else 0), context, args, differentiable)


_ops: dict[tuple[type, int], op] = {}


def _op_of(cls: type, n_saved_outputs: int) -> op:
    """The op of a Function class: its joint rule calls the class's backward."""
    key = (cls, n_saved_outputs)
    found = _ops.get(key)
    if found is None:
        found = _ops[key] = op(_no_kernel, name=cls.__name__, params="context")
        found.set_rules((_rule(cls),), ((0, ALL_DY, *range(1, 1 + n_saved_outputs)),), True)
    return found


def _no_kernel(context: Any) -> None:
    raise RuntimeError("a Function is called through apply()")


def _rule(cls: type) -> Callable:
    def rule(dy: Any, context: FunctionContext, all_dy: tuple, *outputs: Tensor) -> tuple:
        context._outputs = outputs
        given: list = [None] * context._n_outputs
        for position, d, (shape, dtype) in zip(context._positions, all_dy, context._shapes, strict=True):
            given[position] = _core.full(shape, 0, dtype) if d is None and context._materialize else d
        try:
            grads = cls.backward(context, *given)  # type: ignore[attr-defined]
        finally:
            context._outputs = ()
        grads = grads if isinstance(grads, tuple) else (grads,)
        n = context._n_inputs
        if len(grads) > n and all(g is None for g in grads[n:]):
            grads = grads[:n]
        if len(grads) != n:
            raise RuntimeError(f"{cls.__name__}.backward returned {len(grads)} gradients for {n} arguments of forward")
        return grads

    return rule


def once_differentiable(backward: Callable) -> Callable:
    """Marks a backward that must not be differentiated again: its results are cut from the graph."""

    def once(ctx: Any, *grads: Any) -> Any:
        previous = _core.set_grad_enabled(False)
        try:
            out = backward(ctx, *grads)
        finally:
            _core.set_grad_enabled(previous)
        if not previous:
            return out
        outputs = out if isinstance(out, tuple) else (out,)
        sources = [g for g in grads if g is not None] + [t for t, _, _ in ctx._saved if t is not None]
        refused = tuple(o if o is None else _Refuse.apply(o, *sources) for o in outputs)
        return refused if isinstance(out, tuple) else refused[0]

    return once


class _Refuse(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *_: Any) -> Tensor:
        return x.detach()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError("a function marked with once_differentiable cannot be differentiated twice")
