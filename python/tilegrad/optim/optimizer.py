"""Optimizer: parameter groups, per-parameter state, saving and loading. Subclasses write `step`.

A group is a dict: its "params" list and the hyper-parameters that apply to them. `state[p]` is the dict of buffers of
parameter p (momentum, ...). In a state_dict parameters are numbered in group order, so it can be saved without them.
Source: https://pytorch.org/docs/stable/optim.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import tilegrad as tg

from ..tensor import Tensor


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()  # the default of a hyper-parameter that every group must give itself


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: an iterable of tensors, of (name, tensor) pairs (`model.named_parameters()`), or of dicts with the key
            "params" and hyper-parameters that differ from the defaults.
        defaults: hyper-parameters of every group that does not set its own.

    Raises:
        TypeError: params is a single tensor, or holds something that is not a tensor, or is a set (no order).
        ValueError: no parameters (an empty list, or a generator that was already consumed), a tensor that is not a
        leaf,
            a parameter in two groups, or a missing required option.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}; wrap it in a list: [tensor]"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list; give it model.parameters() of a model with parameters, and call "
                "parameters() again if that generator was already consumed"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group: a dict with "params" (a tensor or an iterable) and any options; missing options take the
        defaults.

        Raises as the constructor does.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"param_group must have the key 'params', got the keys {sorted(param_group)}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        entries = [params] if isinstance(params, Tensor) else list(params)
        named = [isinstance(e, tuple) and len(e) == 2 and isinstance(e[0], str) for e in entries]
        if any(named) and not all(named):
            raise ValueError(
                "all optimizer params should be with/without names; some of the given params are (name, tensor) pairs and "
                "some are not"
            )
        group = {**param_group, "params": [e[1] for e in entries] if any(named) else entries}
        if any(named):
            group["param_names"] = [e[0] for e in entries]
        for param in group["params"]:
            _check_parameter(param)
        for name, default in self.defaults.items():
            if name not in group and default is required:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            group.setdefault(name, default)
        ids = [id(p) for p in group["params"]]
        if len(set(ids)) != len(ids):
            raise ValueError("some parameters appear more than once in the parameter group; give each tensor once")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        if not known.isdisjoint(ids):
            raise ValueError("some parameters appear in more than one parameter group; give each tensor to one group")
        self.param_groups.append(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient. closure recomputes the loss, which is returned."""
        raise NotImplementedError(f"{type(self).__name__} must define step(self, closure=None)")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or fills them with zeros when set_to_none is False."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                else:  # a fresh tensor: the old one may belong to a graph (create_graph)
                    param.grad = tg.zeros_like(param.grad)

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: buffers}, "param_groups": [options with "params" as numbers]}; the buffers are shared."""
        number: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                number.setdefault(id(param), len(number))
            options = {k: v for k, v in group.items() if k != "params"}
            groups.append({**options, "params": [number[id(p)] for p in group["params"]]})
        state = {number[id(k)] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what state_dict() returned; parameters are matched by position.

        Buffers are copied and take the dtype and device of their parameter, except integer ones and "step".

        Raises:
            ValueError: the groups differ in number or in their number of parameters, or a key is missing.
        """
        for key in ("state", "param_groups"):
            if key not in state_dict:
                raise ValueError(f"loaded state dict has no key '{key}': is this the state_dict of an optimizer?")
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved_groups)}, this optimizer has {len(self.param_groups)}"
            )
        by_number: dict[int, Tensor] = {}
        for i, (saved, group) in enumerate(zip(saved_groups, self.param_groups, strict=True)):
            if len(saved["params"]) != len(group["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"group {i} has {len(saved['params'])} parameters there and {len(group['params'])} here"
                )
            by_number.update(zip(saved["params"], group["params"], strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, values in state_dict["state"].items():
            if key in by_number:
                param = by_number[key]
                state[param] = {k: _like_parameter(v, param, k) for k, v in values.items()}
            else:
                state[key] = deepcopy(values)
        self.state = state
        self.param_groups = [
            {**deepcopy({k: v for k, v in saved.items() if k != "params"}), "params": group["params"]}
            for saved, group in zip(saved_groups, self.param_groups, strict=True)
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _check_parameter(param: Any) -> None:
    if not isinstance(param, Tensor):
        raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
    if not (param.is_leaf or param.requires_grad is False):
        raise ValueError(
            "can't optimize a non-leaf Tensor: it is the result of an operation and would be recomputed; optimize the "
            "tensors it was made from, or use tensor.detach().requires_grad_()"
        )


def _like_parameter(value: Any, param: Tensor, key: str) -> Any:
    if not isinstance(value, Tensor):
        return deepcopy(value)
    if key == "step" or not value.dtype.is_floating_point or not param.dtype.is_floating_point:
        return value.detach().clone()
    return value.detach().to(device=param.device, dtype=param.dtype).clone()


def run_closure(closure: Callable[[], Any] | None) -> Any:
    """closure() with gradients enabled, or None."""
    if closure is None:
        return None
    with tg.enable_grad():
        return closure()


def matching_gradient(param: Tensor) -> Tensor | None:
    """The gradient of `param`, or None. Raises RuntimeError when its shape or dtype is not the parameter's."""
    grad = param.grad
    if grad is not None and (tuple(grad.shape) != tuple(param.shape) or grad.dtype != param.dtype):
        raise RuntimeError(
            f"the gradient of a parameter has shape {tuple(grad.shape)} and dtype {grad.dtype}, the parameter "
            f"{tuple(param.shape)} and {param.dtype}; assign a gradient that matches, or None"
        )
    return grad


def run_fused(kernel: Callable[..., None], written: list[list[Tensor]], grads: list[Tensor], *options: Any) -> None:
    """kernel(written[0], grads, *written[1:], *options): one native call that updates many parameters in place.

    The kernels take contiguous float32 or float64. Anything else goes through a contiguous copy, float32 for the 16-bit
    types, and what the kernel wrote is copied back. written[0] are the parameters; an empty list stands for None.
    """
    staged = [[_staged(t) for t in tensors] for tensors in written]
    lists = [tensors or None for tensors in staged]
    kernel(lists[0], [_staged(g) for g in grads], *lists[1:], *options)
    for originals, copies in zip(written, staged, strict=True):
        for original, copy in zip(originals, copies, strict=True):
            if copy is not original:
                original.data.copy_(copy)


def _staged(tensor: Tensor) -> Tensor:
    if tensor.dtype not in (tg.float32, tg.float64):
        return tensor.detach().to(tg.float32).contiguous()
    return tensor if tensor.is_contiguous() else tensor.detach().contiguous()
