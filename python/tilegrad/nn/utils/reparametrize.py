"""Weights computed from other parameters before every call: spectral_norm and weight_norm.

The layer keeps its attribute `weight`, but what is trained is `weight_orig` (spectral norm), or `weight_g` and `weight_v`
(weight norm); a hook recomputes `weight` before `forward`. Names in state_dict are PyTorch's.
"""

from __future__ import annotations

from typing import Any, TypeVar

import tilegrad as tg

from ..functions.margin import normalize
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class _Reparametrized:
    """The hooks around forward: before it `module.<name>` is computed, after it only its value stays.

    Without the second, the layer would hold on to the graph of its last call and could not be copied or pickled.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module) -> Any:
        raise NotImplementedError

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module))

    def release(self, module: Module, inputs: Any, output: Any) -> None:
        setattr(module, self.name, getattr(module, self.name).detach())

    def attach(self, module: Module, parameters: dict[str, Any]) -> None:
        """Replaces the parameter `name` by `parameters`; `name` stays readable as a plain attribute."""
        del module._parameters[self.name]
        for suffix, value in parameters.items():
            module.register_parameter(self.name + suffix, Parameter(value))
        module.register_forward_pre_hook(self)
        module.register_forward_hook(self.release)

    @classmethod
    def detach(cls, module: M, name: str, suffixes: tuple[str, ...]) -> M:
        """Takes the hook off; `name` is a parameter again, with the value it has now."""
        for key, entry in module._forward_pre_hooks.items():
            hook = entry.function
            if isinstance(hook, cls) and hook.name == name:
                with tg.no_grad():
                    weight = hook.compute(module)
                del module._forward_pre_hooks[key]
                after = module._forward_hooks
                del after[next(k for k, e in after.items() if e.function == hook.release)]
                for suffix in suffixes:
                    delattr(module, name + suffix)
                delattr(module, name)
                module.register_parameter(name, Parameter(weight.detach()))
                return module
        raise ValueError(f"no {cls.__name__} of {name!r} found in {type(module).__name__}")


def _parameter(module: Module, name: str, what: str) -> Any:
    """The parameter called `name`, or an error saying why it cannot be replaced."""
    for entry in module._forward_pre_hooks.values():
        hook = entry.function
        if isinstance(hook, _Reparametrized) and hook.name == name:
            raise RuntimeError(f"{what}: {name!r} of {type(module).__name__} is computed by {type(hook).__name__} already")
    weight = module._parameters.get(name)
    if weight is None:
        known = ", ".join(module._parameters) or "none"
        raise ValueError(f"{what}: {type(module).__name__} has no parameter {name!r}; it has {known}")
    return weight


class SpectralNorm(_Reparametrized):
    """The hook of spectral_norm: weight_orig divided by an estimate of its largest singular value."""

    def __init__(self, name: str, iterations: int, dim: int, eps: float) -> None:
        super().__init__(name)
        self.iterations, self.dim, self.eps = iterations, dim, eps

    def matrix(self, weight: Any) -> Any:
        """The weight as a matrix with `dim` as its rows."""
        return weight.movedim(self.dim, 0).flatten(1) if weight.ndim > 1 else weight[:, None]

    def compute(self, module: Module) -> Any:
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = self.matrix(weight)
        if module.training:
            with tg.no_grad():
                for _ in range(self.iterations):  # power iteration; u and v carry over from call to call
                    v.copy_(normalize(matrix.T @ u, dim=0, eps=self.eps))
                    u.copy_(normalize(matrix @ v, dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()  # the graph keeps these while later calls change the buffers
        return weight / (u @ (matrix @ v))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divides a weight by its largest singular value before every call, so that a linear layer is 1-Lipschitz.

    Args:
        module: the layer, changed in place and returned.
        name: the parameter. It becomes `<name>_orig`; the singular vectors are the buffers `<name>_u` and `<name>_v`.
        n_power_iterations: steps of power iteration per call in training mode.
        eps: lower bound of the norms that are divided by.
        dim: the dim that counts outputs; default 0, or 1 for transposed convolutions.

    Raises ValueError when there is no such parameter or n_power_iterations < 1, RuntimeError when it is normalised already.
    Source: Miyato et al. 2018; https://pytorch.org/docs/stable/generated/torch.nn.utils.spectral_norm.html
    """
    if n_power_iterations < 1:
        raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
    weight = _parameter(module, name, "spectral_norm")
    if dim is None:
        dim = 1 if "ConvTranspose" in type(module).__name__ else 0
    hook = SpectralNorm(name, n_power_iterations, dim, eps)
    hook.attach(module, {"_orig": weight.detach()})
    with tg.no_grad():
        rows, columns = hook.matrix(weight).shape
        module.register_buffer(f"{name}_u", normalize(tg.randn(rows, dtype=weight.dtype), dim=0, eps=eps))
        module.register_buffer(f"{name}_v", normalize(tg.randn(columns, dtype=weight.dtype), dim=0, eps=eps))
    setattr(module, name, hook.compute(module).detach())
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undoes spectral_norm: the weight is a parameter again, with its normalised value. Raises ValueError if there is none."""
    return SpectralNorm.detach(module, name, ("_orig", "_u", "_v"))


class WeightNorm(_Reparametrized):
    """The hook of weight_norm: weight = g v / |v|."""

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def length(self, v: Any) -> Any:
        """|v| over all dims but `dim`, in v's number of dims."""
        if self.dim is None:
            return v.norm()
        others = [d for d in range(v.ndim) if d != self.dim]
        return (v**2).sum(others, keepdim=True).sqrt() if others else v.abs()

    def compute(self, module: Module) -> Any:
        v = getattr(module, self.name + "_v")
        return v * (getattr(module, self.name + "_g") / self.length(v))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Trains a weight's length and direction apart: weight = g v / |v|.

    Args:
        module: the layer, changed in place and returned.
        name: the parameter. `<name>_g` holds the lengths, `<name>_v` the directions.
        dim: lengths are counted per slice of this dim; None takes one length for the whole weight.

    Raises ValueError when there is no such parameter, IndexError for a dim it has not, RuntimeError when it is normalised.
    Source: Salimans & Kingma 2016; https://pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html
    """
    weight = _parameter(module, name, "weight_norm")
    if dim == -1:  # PyTorch's old spelling of None
        dim = None
    if dim is not None and not -weight.ndim <= dim < weight.ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-weight.ndim}, {weight.ndim - 1}], but got {dim})"
        )
    hook = WeightNorm(name, dim if dim is None else dim % weight.ndim)
    with tg.no_grad():
        length = hook.length(weight)
    hook.attach(module, {"_g": length.detach(), "_v": weight.detach()})
    with tg.no_grad():
        setattr(module, name, hook.compute(module))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undoes weight_norm: the weight is a parameter again. Raises ValueError if it was not applied."""
    return WeightNorm.detach(module, name, ("_g", "_v"))
