"""Which neighbouring layers are computed by one kernel: a Linear and the activation behind it.

The result is the same as that of the two calls, to a rounding; what is saved is one pass over the output in each direction.
It is done only where nobody could tell: both modules are exactly the library's classes with nothing hooked into, replaced on,
or wrapped around their call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import module as module_file
from ..module import Module
from .activation import GELU, ReLU, Sigmoid, Tanh
from .linear import Linear

_LINEAR_FORWARD = Linear.forward
_NAMES: dict[type[Module], Callable[[Any], str | None]] = {
    ReLU: lambda m: "relu",
    GELU: lambda m: {"none": "gelu", "tanh": "gelu_tanh"}.get(m.approximate),
    Tanh: lambda m: "tanh",
    Sigmoid: lambda m: "sigmoid",
}
_FORWARDS = {kind: kind.forward for kind in _NAMES}  # someone may have replaced a class's forward since


def is_plain(module: Module) -> bool:
    """Does calling this module do nothing but its class's forward?"""
    d = module.__dict__
    return not (
        d["_forward_hooks"]
        or d["_forward_pre_hooks"]
        or d["_backward_hooks"]
        or d["_backward_pre_hooks"]
        or "forward" in d
        or module_file._call_tracer is not None
    )


def is_plain_linear(module: Module) -> bool:
    """A Linear, not a subclass, that is_plain."""
    return type(module) is Linear and Linear.forward is _LINEAR_FORWARD and is_plain(module)


def activation_after(module: Module, following: Module) -> str | None:
    """The kernel's name of `following`'s activation if it can be computed in the same pass as `module`, else None."""
    if type(module) is not Linear:
        return None
    kind = type(following)
    name = _NAMES.get(kind)
    if name is None or kind.forward is not _FORWARDS[kind] or not is_plain(following) or not is_plain_linear(module):
        return None
    return name(following)
