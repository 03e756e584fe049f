"""What a Module does with all its tensors at once: save them, load them, convert or move them.

A mixin of Module (module.py), apart only to keep the files short.
Source: https://pytorch.org/docs/stable/generated/torch.nn.Module.html (state_dict, load_state_dict, to).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import tilegrad as tg

from ..tensor import Tensor
from .parameter import Parameter

T = TypeVar("T", bound="StateDictMixin")


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: the keys the file lacked and the keys the model does not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    def __str__(self) -> str:
        return repr(self)


class StateDictMixin:
    """state_dict, load_state_dict, to and its short forms."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]

    # ---- saving and loading

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Dotted name -> tensor for every parameter and persistent buffer, in registration order.

        The tensors are detached but share memory with the module (keep_vars=True returns the parameters themselves), so
        clone them to keep a snapshot while training goes on.
        """
        destination = OrderedDict() if destination is None else destination
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return destination

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """The entries of this module alone; override to save more."""
        for name, tensor in self._own_state().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()

    def _own_state(self) -> dict[str, Tensor]:
        entries = {k: v for k, v in self._parameters.items() if v is not None}
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                entries[name] = buffer
        return entries

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copies the tensors of `state_dict` into the parameters and buffers of the same dotted names.

        Args:
            state_dict: what state_dict() or tilegrad.load returned. Values are converted to the dtype and device here.
            strict: missing and unexpected keys are errors; with False they are only reported in the result.
            assign: take over the given tensors instead of copying into the old ones (they keep their dtype).

        Returns:
            A named tuple (missing_keys, unexpected_keys).

        Raises:
            TypeError: state_dict is not a mapping.
            RuntimeError: listing every missing key, unexpected key and shape mismatch at once. Tensors that did match
            have
                then been copied, as in PyTorch.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict).__name__}")
        given = dict(state_dict)
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        self._load_tree(given, "", assign, missing, unexpected, errors)
        if strict:
            if unexpected:
                errors.insert(0, "Unexpected key(s) in state_dict: " + _quoted(unexpected) + ".")
            if missing:
                errors.insert(0, "Missing key(s) in state_dict: " + _quoted(missing) + ".")
        if errors:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        return IncompatibleKeys(missing, unexpected)

    def _load_tree(self, given: dict, prefix: str, assign: bool, missing: list, unexpected: list, errors: list) -> None:
        self._load_from_state_dict(given, prefix, {"assign": assign}, True, missing, unexpected, errors)
        for name, child in self._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                part = {k: v for k, v in given.items() if k.startswith(below)}
                child._load_tree(part, below, assign, missing, unexpected, errors)

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list,
        unexpected_keys: list,
        error_msgs: list,
    ) -> None:
        """Loads the entries of this module alone (PyTorch's extension point); reports problems into the three lists."""
        own = self._own_state()
        for name, tensor in own.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys.append(key)
                continue
            value = state_dict[key]
            if not isinstance(value, Tensor):
                error_msgs.append(
                    f"expected a Tensor for {key}, got {type(value).__name__}; convert it with tilegrad.tensor(value)."
                )
            elif tuple(value.shape) != tuple(tensor.shape):
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {tuple(value.shape)} from checkpoint, "
                    f"the shape in current model is {tuple(tensor.shape)}."
                )
            elif local_metadata.get("assign"):
                self._assign_member(name, tensor, value)
            else:
                with tg.no_grad():
                    tensor.copy_(value)
        for key in state_dict:
            if not key.startswith(prefix):
                continue
            first, _, rest = key[len(prefix) :].partition(".")
            known = self._modules.get(first) is not None if rest else first in own
            if not known:
                unexpected_keys.append(key)

    def _assign_member(self, name: str, old: Tensor, value: Tensor) -> None:
        if name in self._parameters:
            self._parameters[name] = value if isinstance(value, Parameter) else Parameter(value, old.requires_grad)
        else:
            self._buffers[name] = value

    # ---- converting and moving

    def _apply(self: T, fn: Callable[[Tensor], Tensor]) -> T:
        """Replaces the memory of every tensor by fn of it; parameters stay the same objects, so optimizers keep
        working.
        """
        for child in self._modules.values():
            if child is not None:
                child._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            grad = parameter.grad
            with tg.no_grad():
                parameter.grad = None  # a gradient has its parameter's dtype: convert both, then put it back
                parameter.data = fn(parameter.data)
                if grad is not None:
                    parameter.grad = fn(grad.detach())
        for name, buffer in self._buffers.items():
            if buffer is not None:
                moved = fn(buffer.detach())
                if type(buffer) is not Tensor:
                    moved = type(buffer)(moved)
                self._buffers[name] = moved
        return self

    def to(self: T, *args: Any, **kwargs: Any) -> T:
        """to(device), to(dtype), to(device, dtype), to(tensor): converts in place and returns self.

        Only floating point parameters and buffers change dtype; integer buffers only move.

        Raises:
            TypeError: the dtype is not floating point, or an argument is none of the above.
        """
        device, dtype = _parse_to(args, kwargs)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}; "
                "integer parameters cannot be trained"
            )

        def convert(tensor: Tensor) -> Tensor:
            wanted = dtype if dtype is not None and tensor.dtype.is_floating_point else tensor.dtype
            if device is None:
                return tensor if tensor.dtype == wanted else tensor.to(wanted)
            return tensor.to(device=device, dtype=wanted)

        return self._apply(convert)

    def _to_float_dtype(self: T, dtype: Any) -> T:
        return self._apply(lambda t: t.to(dtype) if t.dtype.is_floating_point else t)

    def float(self: T) -> T:
        """Floating point parameters and buffers become float32."""
        return self._to_float_dtype(tg.float32)

    def double(self: T) -> T:
        """Floating point parameters and buffers become float64."""
        return self._to_float_dtype(tg.float64)

    def half(self: T) -> T:
        """Floating point parameters and buffers become float16."""
        return self._to_float_dtype(tg.float16)

    def bfloat16(self: T) -> T:
        """Floating point parameters and buffers become bfloat16."""
        return self._to_float_dtype(tg.bfloat16)

    def type(self: T, dst_type: Any) -> T:
        """Every parameter and buffer becomes dst_type, integers too."""
        return self._apply(lambda t: t.to(dst_type))

    def cpu(self: T) -> T:
        """to("cpu")."""
        return self.to("cpu")

    def cuda(self: T, device: Any = None) -> T:
        """to("cuda"); raises tilegrad's usual error when there is no GPU."""
        return self.to("cuda" if device is None else tg.device("cuda", device) if isinstance(device, int) else device)


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{k}"' for k in keys)


def _parse_to(args: tuple, kwargs: dict) -> tuple[Any, Any]:
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    other = kwargs.pop("tensor", None)
    for ignored in ("non_blocking", "memory_format", "copy"):
        kwargs.pop(ignored, None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    for arg in args:
        if isinstance(arg, Tensor):
            other = arg
        elif isinstance(arg, tg.dtype):
            dtype = arg
        elif isinstance(arg, (str, tg.device)) or (isinstance(arg, int) and not isinstance(arg, bool)):
            device = tg.device("cuda", arg) if isinstance(arg, int) else arg
        elif arg is not None and not isinstance(arg, bool):  # a bool is non_blocking
            raise TypeError(f"to() takes a device, a dtype or a Tensor, got {type(arg).__name__}")
    if other is not None:
        device, dtype = other.device, other.dtype
    return device, dtype
