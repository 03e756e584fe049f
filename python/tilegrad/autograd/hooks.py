"""Hooks: functions that see, and may replace, a gradient on its way."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..tensor import Tensor

_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns; ``remove()`` takes the hook away. Also a context manager."""

    def __init__(self, hooks: dict, key: Any = None) -> None:
        self.hooks = hooks
        self.id = next(_ids) if key is None else key

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Calls ``hook(grad)`` whenever the gradient of `tensor` is complete; a returned tensor replaces it.

    Raises:
        RuntimeError: the tensor does not require grad.
    """
    if not tensor.requires_grad:
        raise RuntimeError("register_hook: the tensor does not require grad, so it never gets a gradient")
    node = tensor.grad_fn
    if node is None:
        if tensor._hooks is None:
            tensor._hooks = {}
        hooks = tensor._hooks
    else:
        if node.hooks is None:
            node.hooks = {}
        hooks = node.hooks.setdefault(tensor.output_nr, {})
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def retain_grad(tensor: Tensor) -> None:
    """Lets a computed tensor keep its ``.grad`` in backward().

    Raises:
        RuntimeError: the tensor does not require grad.
    """
    if not tensor.requires_grad:
        raise RuntimeError("retain_grad: the tensor does not require grad, so it never gets a gradient")
    node = tensor.grad_fn
    if node is None:
        return
    reference = weakref.ref(tensor)

    def keep(dy: Tensor) -> None:
        target = reference()
        if target is not None:
            target.grad = dy if target.grad is None else target.grad + dy

    if node.hooks is None:
        node.hooks = {}
    node.hooks.setdefault(tensor.output_nr, {})[f"retain_grad {id(tensor)}"] = keep


def register_post_accumulate_grad_hook(tensor: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Calls ``hook(tensor)`` after backward() has added to the ``.grad`` of a leaf.

    Raises:
        RuntimeError: the tensor is not a leaf that requires grad.
    """
    if not tensor.requires_grad or not tensor.is_leaf:
        raise RuntimeError("register_post_accumulate_grad_hook: expected a leaf tensor that requires grad")
    if tensor._hooks is None:
        tensor._hooks = {}
    hooks = tensor._hooks.setdefault(_AFTER, {})
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


_AFTER = "after accumulation"


def run_post_accumulate_hooks(leaf: Tensor) -> None:
    for hook in list((leaf._hooks or {}).get(_AFTER, {}).values()):
        hook(leaf)


def _call(hooks: dict, dy: Tensor) -> Tensor:
    for key, hook in list(hooks.items()):
        if key == _AFTER:
            continue
        replaced = hook(dy)
        if replaced is None:
            continue
        if replaced.shape != dy.shape:
            raise RuntimeError(f"a hook returned a gradient of shape {replaced.shape}, expected {dy.shape}")
        dy = replaced
    return dy


def run_node_hooks(node: Any, dy: Any) -> Any:
    if node.n_outputs == 1:
        return _call(node.hooks.get(0, {}), dy)
    return [d if d is None or slot not in node.hooks else _call(node.hooks[slot], d) for slot, d in enumerate(dy)]


def run_leaf_hooks(leaf: Tensor, dx: Tensor) -> Tensor:
    return _call(leaf._hooks or {}, dx)
