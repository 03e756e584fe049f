"""quantize_dynamic: the layers of a trained network that are mostly weights, with the weights in int8.

Source: https://pytorch.org/docs/stable/generated/torch.ao.quantization.quantize_dynamic.html
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tilegrad as tg

from ...nn.module import Module
from ...nn.modules.attention import MultiheadAttention
from ...nn.modules.linear import Linear
from ...ops.quantized import MOST_INPUTS
from ..nn.quantized import dynamic


@dataclass(frozen=True)
class QConfig:
    """How a layer's weights are quantised: a scale per output (per_channel), or one for the whole weight."""

    per_channel: bool = True


default_dynamic_qconfig = QConfig(per_channel=False)
per_channel_dynamic_qconfig = QConfig(per_channel=True)


def quantize_dynamic(
    model: Module,
    qconfig_spec: Iterable[type | str] | Mapping[type | str, QConfig | None] | None = None,
    dtype: Any = tg.qint8,
    mapping: Mapping[type, type] | None = None,
    inplace: bool = False,
) -> Module:
    """`model` with int8 weights in its Linear layers, in eval mode.

    The weights are quantised once, symmetrically and per output; the inputs in every call, row by row. What is not a
    `nn.Linear` (a subclass is not) stays as it is, and so does a layer with more than 65536 inputs and the output layer of
    a `MultiheadAttention`, which is part of its function.

    Args:
        qconfig_spec: which layers: a set of types and of names of submodules (everything below a name counts), or a dict
            from those to a QConfig (None: leave it alone); the longest name wins, then the type. Default: all Linear layers.
        dtype: qint8.
        mapping: which class replaces which; it is built by `from_float(layer, per_channel)`.
        inplace: change `model` itself; otherwise a deep copy is changed.

    Raises:
        ValueError: another dtype, a type that cannot be quantised, or a name that is no submodule.

    Example:
        >>> small = tg.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=tg.qint8)
    """
    if dtype is not tg.qint8:
        raise ValueError(f"quantize_dynamic: dtype must be qint8, got {dtype}")
    classes: dict[type, type] = {Linear: dynamic.Linear} if mapping is None else dict(mapping)
    spec = _spec_of(model, {Linear} if qconfig_spec is None else qconfig_spec, classes)
    if not inplace:
        model = copy.deepcopy(model)
    model.eval()
    return _converted(model, "", None, spec, classes)


def _spec_of(model: Module, given: Any, classes: dict[type, type]) -> dict[type | str, QConfig | None]:
    spec = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, per_channel_dynamic_qconfig)
    names = {name for name, _ in model.named_modules()}
    for key, config in spec.items():
        if config is not None and not isinstance(config, QConfig):
            raise ValueError(f"quantize_dynamic: expected a QConfig or None for {key!r}, got {type(config).__name__}")
        if isinstance(key, str):
            if key not in names:
                raise ValueError(f"quantize_dynamic: the model has no submodule {key!r}")
        elif not isinstance(key, type):
            raise ValueError(f"quantize_dynamic: expected types and names of submodules, got {key!r}")
        elif key not in classes and config is not None:
            raise ValueError(
                f"quantize_dynamic: no int8 version of {key.__name__}; there is one of {', '.join(k.__name__ for k in classes)}"
            )
    return spec


def _converted(module: Module, name: str, inherited: QConfig | None, spec: dict, classes: dict[type, type]) -> Module:
    """`module`, or what stands for it. `inherited` is the config of the nearest named module above."""
    config = spec[name] if name in spec else spec.get(type(module), inherited)
    replacement = classes.get(type(module))
    if replacement is not None:
        if config is None or getattr(module, "in_features", 0) > MOST_INPUTS:
            return module
        new = replacement.from_float(module, config.per_channel)  # type: ignore[attr-defined]
        new._forward_hooks.update(module._forward_hooks)
        new._forward_pre_hooks.update(module._forward_pre_hooks)
        return new
    if isinstance(module, MultiheadAttention):
        return module
    for child_name, child in list(module._modules.items()):
        if child is not None:
            path = f"{name}.{child_name}" if name else child_name
            module._modules[child_name] = _converted(child, path, config, spec, classes)
    return module
