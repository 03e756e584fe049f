"""Which neighbouring layers are computed by one kernel: a Linear or a Conv2d and the activation behind it.

The result is the same as that of the two calls, to a rounding; what is saved is one pass over the output in each direction.
It is done only where nobody could tell: both modules are exactly the library's classes with nothing hooked into, replaced on,
or wrapped around their call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ops.conv import conv2d
from ...ops.matmul import linear
from .. import module as module_file
from ..module import Module
from .activation import GELU, ReLU, Sigmoid, Tanh
from .conv import Conv2d
from .linear import Linear

_LINEAR_FORWARD = Linear.forward
_CONV_FORWARD = Conv2d.forward
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


def is_plain_conv(module: Module) -> bool:
    """A Conv2d, not a subclass, that is_plain."""
    return type(module) is Conv2d and Conv2d.forward is _CONV_FORWARD and is_plain(module)


def may_wait(module: Module) -> bool:
    """Could an activation behind this module be computed in the same pass?"""
    return type(module) is Linear or type(module) is Conv2d


def activation_after(module: Module, following: Module) -> str | None:
    """The kernel's name of `following`'s activation if it can be computed in the same pass as `module`, else None."""
    kind = type(following)
    name = _NAMES.get(kind)
    if name is None or kind.forward is not _FORWARDS[kind] or not is_plain(following):
        return None
    if is_plain_linear(module):
        return name(following)
    return "relu" if kind is ReLU and is_plain_conv(module) else None


def call_with(module: Any, input: Any, activation: str) -> Any:
    """module(input) and the activation that activation_after named."""
    if type(module) is Linear:
        return linear(input, module.weight, module.bias, activation)
    x, padding = module._padded(input)
    return conv2d(x, module.weight, module.bias, module.stride, padding, module.dilation, module.groups, activation)
