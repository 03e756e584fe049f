"""Call a module with other tensors in place of its parameters and buffers.

What MAML and other methods that differentiate through a parameter update need.
Source: https://pytorch.org/docs/stable/generated/torch.func.functional_call.html
"""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from ..module import Module


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | tuple[dict[str, Tensor], ...],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """module(*args, **kwargs) with the tensors of the dict(s) (dotted name -> tensor) in place of its own.

    The gradient flows to the given tensors; the module itself is as before afterwards, also after an exception.

    Raises:
        KeyError: a name that is neither a parameter nor a buffer of the module.
    """
    dicts = (
        parameter_and_buffer_dicts if isinstance(parameter_and_buffer_dicts, (tuple, list)) else [parameter_and_buffer_dicts]
    )
    given = {name: tensor for d in dicts for name, tensor in d.items()}
    places = {}
    for name in given:
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        registry = next((r for r in (owner._parameters, owner._buffers) if leaf in r), None)
        if registry is None:
            raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer called '{name}'")
        places[name] = (registry, leaf, registry[leaf])
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    try:
        for name, (registry, leaf, _) in places.items():
            registry[leaf] = given[name]
        return module(*args, **(kwargs or {}))
    finally:
        for registry, leaf, own in places.values():
            registry[leaf] = own
