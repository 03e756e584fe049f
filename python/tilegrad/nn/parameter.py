"""Parameter and Buffer: tensors that a Module registers when they are assigned to one of its attributes.

Both are ordinary tensors; the class only tells `Module.__setattr__` where to put them. They share memory with the
tensor they were made from, as in PyTorch.
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ..tensor import Tensor


def _leaf_of_class(cls: type, data: Tensor | None) -> Any:
    """A new leaf of class `cls` that shares the memory of `data` (an empty float32 tensor for None)."""
    if data is None:
        data = tg.empty(0)
    if not isinstance(data, Tensor):
        raise TypeError(
            f"{cls.__name__}: data must be a Tensor, got {type(data).__name__}; make one with tilegrad.tensor(data) first"
        )
    leaf = data.detach()
    leaf.__class__ = cls  # same layout (no __dict__, no slots), so this only changes what isinstance says
    return leaf


class Parameter(Tensor):
    """A tensor that `Module` lists in `parameters()` and that an optimizer updates.

    Args:
        data: the initial values, any shape; memory is shared, not copied. None makes an empty float32 tensor.
        requires_grad: False freezes the parameter. Integer data must be frozen.

    Raises:
        TypeError: data is not a Tensor.
        RuntimeError: requires_grad=True with a dtype that is not floating point.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    __slots__ = ()

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        leaf = _leaf_of_class(cls, data)
        if requires_grad and not leaf.dtype.is_floating_point:
            raise RuntimeError(
                f"Parameter: only floating point tensors can require gradients, got dtype {leaf.dtype}; "
                "use a floating dtype, Parameter(data, requires_grad=False), or register_buffer"
            )
        leaf.requires_grad = bool(requires_grad)
        return leaf

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass  # __new__ did the work: it had to choose the memory

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return type(self), (self.detach(), self.requires_grad)


class Buffer(Tensor):
    """A tensor that `Module` keeps in `buffers()` and `state_dict()` and that no optimizer touches.

    `module.mask = Buffer(mask)` is `module.register_buffer("mask", mask)`. For a buffer that stays out of the
    state_dict call `register_buffer(name, tensor, persistent=False)`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.parameter.Buffer.html
    """

    __slots__ = ()

    def __new__(cls, data: Tensor | None = None) -> Buffer:
        return _leaf_of_class(cls, data)

    def __init__(self, data: Tensor | None = None) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> Buffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone())
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return type(self), (self.detach(),)
