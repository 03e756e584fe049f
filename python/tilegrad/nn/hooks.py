"""Hooks of a Module: registering one, the call with hooks, and the tracer that names the running module.

`Module.__call__` runs `forward` directly; it comes here only when a hook is registered or a tracer is set.
Source: https://pytorch.org/docs/stable/generated/torch.nn.Module.html (register_forward_hook and its neighbours).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd.function import Function
from ..autograd.hooks import RemovableHandle
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


class Hook:
    """One registered function and the options it was registered with."""

    __slots__ = ("always_call", "function", "with_kwargs")

    def __init__(self, function: Callable, with_kwargs: bool = False, always_call: bool = False) -> None:
        if not callable(function):
            raise TypeError(f"a hook must be callable, got {type(function).__name__}")
        self.function, self.with_kwargs, self.always_call = function, with_kwargs, always_call


def register(hooks: OrderedDict, hook: Hook, prepend: bool) -> RemovableHandle:
    """Adds `hook` to `hooks` (first with prepend) and returns its handle."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def call_with_hooks(module: Module, args: tuple, kwargs: dict) -> Any:
    """forward with every hook of `module`: pre-hooks, backward hooks around the graph, forward, forward hooks."""
    for hook in list(module._forward_pre_hooks.values()):
        if hook.with_kwargs:
            changed = hook.function(module, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook with with_kwargs=True must return None or a tuple (new_args, new_kwargs), "
                        f"got {type(changed).__name__}"
                    )
                args, kwargs = changed
        else:
            changed = hook.function(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    called: set[int] = set()
    try:
        if module._backward_hooks or module._backward_pre_hooks:
            result = _call_with_backward_hooks(module, args, kwargs)
        else:
            result = module.forward(*args, **kwargs)
        for key, hook in list(module._forward_hooks.items()):
            called.add(key)
            result = _run_forward_hook(hook, module, args, kwargs, result)
        return result
    except Exception:
        for key, hook in list(module._forward_hooks.items()):
            if hook.always_call and key not in called:
                _run_forward_hook(hook, module, args, kwargs, None)
        raise


def _run_forward_hook(hook: Hook, module: Module, args: tuple, kwargs: dict, result: Any) -> Any:
    changed = hook.function(module, args, kwargs, result) if hook.with_kwargs else hook.function(module, args, result)
    return result if changed is None else changed


class _BackwardCall:
    """One forward call of a module with backward hooks: what the two nodes around it share."""

    def __init__(self, module: Module, count: int, wanted: list[int]) -> None:
        self.module, self.count, self.wanted = module, count, wanted  # count: positional arguments of the call
        self.grad_output: tuple = ()

    def leave(self, grad_input: tuple) -> tuple:
        """Runs the hooks that see both gradients; they may replace grad_input."""
        for hook in list(self.module._backward_hooks.values()):
            changed = hook.function(self.module, grad_input, self.grad_output)
            if changed is not None:
                grad_input = changed if isinstance(changed, tuple) else (changed,)
        return grad_input


class _InputNode(Function):
    """The identity on the inputs that require gradients: its backward knows grad_input."""

    @staticmethod
    def forward(ctx: Any, call: _BackwardCall, *inputs: Tensor) -> Any:
        ctx.call = call
        return inputs

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        call = ctx.call
        grad_input: list[Any] = [None] * call.count
        for i, grad in zip(call.wanted, grads, strict=True):
            grad_input[i] = grad
        changed = call.leave(tuple(grad_input))
        return None, *(changed[i] for i in call.wanted)


class _OutputNode(Function):
    """The identity on the outputs: its backward knows grad_output."""

    @staticmethod
    def forward(ctx: Any, call: _BackwardCall, *outputs: Tensor) -> Any:
        ctx.call = call
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        call = ctx.call
        for hook in list(call.module._backward_pre_hooks.values()):
            changed = hook.function(call.module, grads)
            if changed is not None:
                grads = changed if isinstance(changed, tuple) else (changed,)
        call.grad_output = grads
        if not call.wanted:  # no node on the inputs will come: the hooks see no grad_input
            call.leave((None,) * call.count)
        return None, *grads


def _call_with_backward_hooks(module: Module, args: tuple, kwargs: dict) -> Any:
    """forward between two identity nodes, which call the hooks when the gradient passes them."""
    wanted = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    call = _BackwardCall(module, len(args), wanted)
    if wanted:
        replaced = list(args)
        for i, marked in zip(wanted, _InputNode.apply(call, *(args[i] for i in wanted)), strict=True):
            replaced[i] = marked
        args = tuple(replaced)
    result = module.forward(*args, **kwargs)
    if isinstance(result, Tensor):
        return _OutputNode.apply(call, result)[0] if result.requires_grad else result
    if isinstance(result, (tuple, list)):
        at = [i for i, r in enumerate(result) if isinstance(r, Tensor) and r.requires_grad]
        if not at:
            return result
        replaced = list(result)
        for i, marked in zip(at, _OutputNode.apply(call, *(result[i] for i in at)), strict=True):
            replaced[i] = marked
        return type(result)(replaced)
    raise TypeError(
        "a module with a backward hook must return a Tensor or a tuple/list of Tensors, "
        f"{type(module).__name__}.forward returned {type(result).__name__}"
    )


_running = threading.local()  # .modules: the modules being called in this thread, innermost last; only while tracing


def traced_call(tracer: Callable, module: Module, args: tuple, kwargs: dict) -> Any:
    """tracer(name, forward, *args, **kwargs), where name says which module this is.

    The outermost module has its class name, the others their dotted path inside the module that calls them, so the names
    of the running modules joined by "." read "Net.encoder.0". Anomaly mode uses it to say where a NaN was made.
    """
    modules = _running.__dict__.setdefault("modules", [])
    inside = {id(m): name for name, m in modules[-1].named_modules()} if modules else {}
    name = inside.get(id(module)) or type(module).__name__
    modules.append(module)
    try:
        return tracer(name, lambda *a, **k: call_with_hooks(module, a, k), *args, **kwargs)
    finally:
        modules.pop()
