"""Module: a tree of parameters, buffers and submodules with a `forward`.

Assigning a Parameter or a Module to an attribute registers it. The registries are plain dicts (`_parameters`,
`_buffers`, `_modules`), so `named_parameters`, `state_dict` and `to` are walks over the tree. Saving and loading live
in state_dict.py, hooks in hooks.py.
Source: https://pytorch.org/docs/stable/generated/torch.nn.Module.html
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tilegrad as tg

from ..autograd.hooks import RemovableHandle
from ..tensor import Tensor
from .hooks import Hook, call_with_hooks, register, traced_call
from .parameter import Buffer, Parameter
from .state_dict import StateDictMixin

T = TypeVar("T", bound="Module")

# Anomaly mode sets this to f(name, forward, *args, **kwargs) -> result, see hooks.traced_call; None costs nothing.
_call_tracer: Callable[..., Any] | None = None

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Module(StateDictMixin):
    """Base class of everything with parameters: subclass it, make the parts in `__init__`, compute in `forward`.

    Example:
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 4)
            def forward(self, x):
                return self.layer(x).relu()

    Attributes:
        training: True after train(), False after eval(); Dropout and the batch norms read it.
    """

    training: bool

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _modules={},
            _forward_hooks=OrderedDict(),
            _forward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
            _backward_pre_hooks=OrderedDict(),
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the output; every subclass defines it and callers write `module(x)`."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function: define forward(self, x)'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _call_tracer is not None:
            return traced_call(_call_tracer, self, args, kwargs)
        d = self.__dict__  # one look-up through __getattr__'s machinery instead of four
        try:
            hooked = d["_forward_hooks"] or d["_forward_pre_hooks"] or d["_backward_hooks"] or d["_backward_pre_hooks"]
        except KeyError:
            raise AttributeError(_no_init(self)) from None
        if hooked:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # ---- attributes

    def __getattr__(self, name: str) -> Any:
        # Only reached when the instance and its class have no such attribute. Written out: forward comes here for every
        # weight, so it should cost little.
        attributes = self.__dict__
        if "_parameters" in attributes:
            entries = attributes["_parameters"]
            if name in entries:
                return entries[name]
            entries = attributes["_modules"]
            if name in entries:
                return entries[name]
            entries = attributes["_buffers"]
            if name in entries:
                return entries[name]
        hint = "" if "_parameters" in attributes else f"; {_no_init(self)}"
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._entries("_parameters", "parameters")
            self._forget(name, keep="_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._entries("_modules", "module")
            self._forget(name, keep="_modules")
            self.register_module(name, value)
        elif isinstance(value, Buffer):
            self._entries("_buffers", "buffers")
            self._forget(name, keep="_buffers")
            self._buffers[name] = value
        else:
            attributes = self.__dict__
            if name in attributes.get("_parameters", ()):
                self._replace("_parameters", name, value, "parameter", "tilegrad.nn.Parameter or None")
            elif name in attributes.get("_modules", ()):
                self._replace("_modules", name, value, "child module", "tilegrad.nn.Module or None")
            elif name in attributes.get("_buffers", ()):
                if value is not None and not isinstance(value, Tensor):
                    self._replace("_buffers", name, value, "buffer", "tilegrad.Tensor or None")
                self._buffers[name] = value
            else:
                object.__setattr__(self, name, value)

    def _replace(self, registry: str, name: str, value: Any, kind: str, expected: str) -> None:
        """Registered names accept None; anything of another class is a mistake."""
        if value is not None:
            raise TypeError(
                f"cannot assign '{type(value).__name__}' object as {kind} '{name}' ({expected} expected); "
                f"to make '{name}' a plain attribute, first: del module.{name}"
            )
        self.__dict__[registry][name] = None

    def _entries(self, registry: str, kind: str) -> dict:
        entries = self.__dict__.get(registry)
        if entries is None:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call: {_no_init(self)}")
        return entries

    def _forget(self, name: str, keep: str) -> None:
        """Takes `name` out of the instance and of the other registries, so that one name has one meaning."""
        self.__dict__.pop(name, None)
        for registry in _REGISTRIES:
            if registry != keep:
                self.__dict__[registry].pop(name, None)
        if keep != "_buffers":
            self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, ()):
                del self.__dict__[registry][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = set(object.__dir__(self))
        for registry in _REGISTRIES:
            names.update(self.__dict__.get(registry, ()))
        return sorted(n for n in names if not n[:1].isdigit())

    # ---- registration

    def _check_new_name(self, kind: str, name: Any, registry: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string, got {type(name).__name__}")
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if "." in name:
            raise KeyError(f"{kind} name can't contain \".\" (it separates levels in state_dict), got: '{name}'")
        if name not in self.__dict__[registry] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists; choose another {kind} name")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under `name`; None reserves the name (a layer without bias).

        Raises KeyError for a bad or taken name, TypeError for a value that is not a Parameter, ValueError for a
        Parameter that is not a leaf.
        """
        self._entries("_parameters", "parameter")
        self._check_new_name("parameter", name, "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                    "(tilegrad.nn.Parameter or None required); wrap the tensor in nn.Parameter(tensor)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"cannot assign non-leaf Tensor to parameter '{name}': a parameter is made by the user, not computed; "
                    "compute the value in forward() instead"
                )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that moves with the module and is saved (if persistent) but is not a parameter.

        Raises KeyError for a bad or taken name, TypeError for a value that is not a Tensor or None.
        """
        self._entries("_buffers", "buffer")
        self._check_new_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (tilegrad.Tensor or None required); "
                "convert it with tilegrad.tensor(value)"
            )
        self._buffers[name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as add_module."""
        self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a child under `name`. Raises KeyError for a bad or taken name, TypeError for a value that is not a
        Module.
        """
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{_type_name(module)} is not a Module subclass; pass an instance of tilegrad.nn.Module")
        self._entries("_modules", "module")
        self._check_new_name("module", name, "_modules")
        self._modules[name] = module

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """hook(module, args) runs before forward and may return new args; with_kwargs: hook(module, args, kwargs)."""
        return register(self._forward_pre_hooks, Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """hook(module, args, output) runs after forward and may return a new output."""
        return register(self._forward_hooks, Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_output) runs before the gradient enters the module and may return a new grad_output."""
        return register(self._backward_pre_hooks, Hook(hook), prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_input, grad_output) runs in backward and may return a new grad_input."""
        return register(self._backward_hooks, Hook(hook), prepend)

    # ---- walks

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (named `prefix`) and everything below it, parents first; shared modules once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and everything below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names, each once."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        for _, child in self.named_children():
            yield child

    def _named_members(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in module.__dict__[registry].items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter) of this module and, with recurse, of everything below; shared ones once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, what an optimizer takes."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, buffer) of this module and, with recurse, of everything below."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, persistent or not."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at the dotted path `target` ("" is this module). Raises AttributeError naming the missing step."""
        module: Module = self
        for step in target.split(".") if target else ():
            if step not in module._modules:
                raise AttributeError(f"{type(module).__name__} has no submodule `{step}` (looking for '{target}')")
            module = module._modules[step]
        return module

    def _get_member(self, target: str, registry: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module.__dict__[registry]:
            raise AttributeError(f"{type(module).__name__} has no {kind} `{name}` (looking for '{target}')")
        return module.__dict__[registry][name]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the dotted path `target`. Raises AttributeError when there is none."""
        return self._get_member(target, "_parameters", "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at the dotted path `target`. Raises AttributeError when there is none."""
        return self._get_member(target, "_buffers", "buffer")

    # ---- modes and moves: see also state_dict.py

    def apply(self: T, fn: Callable[[Module], Any]) -> T:
        """Calls fn on every submodule, children first, then on this module; returns self. Typical use: init."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self: T, mode: bool = True) -> T:
        """Sets `training` here and below; returns self. Raises ValueError when mode is not a bool."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {type(mode).__name__}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: T) -> T:
        """train(False)."""
        return self.train(False)

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        """Freezes (False) or unfreezes every parameter; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or fills them with zeros when set_to_none is False."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:  # a fresh tensor: the old one may belong to a graph (create_graph)
                parameter.grad = tg.zeros_like(parameter.grad)

    # ---- printing

    def extra_repr(self) -> str:
        """The text between the brackets of repr; layers override it."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        for name, child in self._modules.items():
            lines.append(f"({name}): " + repr(child).replace("\n", "\n  "))
        if extra and len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"


def _no_init(module: Module) -> str:
    return f"call super().__init__() first in {type(module).__name__}.__init__"


def _type_name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__
