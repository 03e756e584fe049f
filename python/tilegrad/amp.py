"""Mixed precision: `autocast` and `GradScaler`, as in PyTorch on the CPU.

Inside ``with tilegrad.autocast("cpu", dtype=tilegrad.bfloat16):`` matrix products, linear layers, convolutions and attention
convert their float32 arguments to bfloat16 (parameters stay float32; gradients reach them in float32), losses convert theirs to
float32, and everything else computes in the dtype it is given. An op outside autocast pays nothing for it.

Source: https://pytorch.org/docs/stable/amp.html
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from . import _core, dtypes
from .device import device as _device
from .tensor import Tensor

_LOW = (dtypes.bfloat16, dtypes.float16)


class autocast:
    """A context manager, or a decorator, under which costly ops run in a narrow dtype. It holds for the current thread.

    Args:
        device_type: "cpu" or "cuda"; for "cuda" a warning says that there is none and nothing is converted, as in PyTorch.
        dtype: bfloat16 (the default) or float16. Another one warns and switches autocast off.
        enabled: False makes a region without conversions, also inside another autocast.
        cache_enabled: taken for PyTorch's sake; weights are converted when they are used.
    """

    def __init__(
        self,
        device_type: str = "cpu",
        dtype: dtypes.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = _device(device_type).type
        self.fast_dtype = dtypes.bfloat16 if dtype is None else dtype
        if enabled and self.device == "cuda":
            warnings.warn("User provided device_type of 'cuda', but CUDA is not available. Disabling", stacklevel=2)
            enabled = False
        if enabled and self.fast_dtype not in _LOW:
            warnings.warn(
                f"In CPU autocast, but the target dtype {self.fast_dtype} is not supported. Disabling autocast; it supports "
                f"bfloat16 and float16.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._outer: list[Any] = []

    def __enter__(self) -> autocast:
        self._outer.append(_core.set_autocast(_Conversion(self.fast_dtype) if self._enabled else None))
        return self

    def __exit__(self, *_: object) -> None:
        _core.set_autocast(self._outer.pop())

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


class _Conversion:
    """What an op does with an argument: float32 and the narrow dtypes change, float64 and integers stay."""

    def __init__(self, dtype: dtypes.dtype) -> None:
        self.dtype = dtype

    def __call__(self, x: Tensor, to_float32: bool) -> Tensor:
        if not x.dtype.is_floating_point or x.dtype is dtypes.float64:
            return x
        return x.to(dtypes.float32 if to_float32 else self.dtype)


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Is autocast on in this thread?"""
    return device_type == "cpu" and _core.get_autocast() is not None


def get_autocast_dtype(device_type: str = "cpu") -> dtypes.dtype:
    """The dtype of the autocast region, or the default one."""
    conversion = _core.get_autocast()
    return dtypes.bfloat16 if conversion is None else conversion.dtype


class GradScaler:
    """Scales a loss so that float16 gradients do not vanish, and skips the steps whose gradients overflowed.

    On the CPU bfloat16 has float32's range, so nothing needs to be scaled: ``GradScaler("cuda")`` (the default, as in PyTorch)
    is disabled with a warning and passes everything through. ``GradScaler("cpu")`` scales.

    Args:
        device: "cuda" or "cpu". init_scale: the first factor. growth_factor, backoff_factor: by how much the factor changes
        after growth_interval steps without, or one step with, an infinite or NaN gradient. enabled: False passes through.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and _device(device).type == "cuda":
            warnings.warn("GradScaler is enabled, but CUDA is not available. Disabling.", stacklevel=2)
            enabled = False
        if enabled and growth_factor <= 1.0:
            raise ValueError(f"The growth factor must be > 1.0, got {growth_factor}.")
        if enabled and not 0.0 < backoff_factor < 1.0:
            raise ValueError(f"The backoff factor must be between 0 and 1, got {backoff_factor}.")
        self._enabled = enabled
        self._scale = float(init_scale)
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._found: dict[int, bool] = {}  # optimizers whose gradients were unscaled since the last update: overflowed?

    def is_enabled(self) -> bool:
        """Does it scale?"""
        return self._enabled

    def get_scale(self) -> float:
        """The factor; 1.0 when disabled."""
        return self._scale if self._enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """A tensor, or a list or tuple of them, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            scaled = [self.scale(x) for x in outputs]
            return tuple(scaled) if isinstance(outputs, tuple) else scaled
        raise ValueError(f"outputs must be a Tensor or an iterable of Tensors, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of an optimizer by the factor, so that they can be clipped.

        Raises RuntimeError when it was called for this optimizer already since the last update().
        """
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        overflowed = False
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.detach().mul_(1.0 / self._scale)
                    overflowed = overflowed or not bool(p.grad.isfinite().all())
        self._found[id(optimizer)] = overflowed

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(), unless a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | None = None) -> None:
        """Adapts the factor after the steps of an iteration, or sets it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(self._found.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._found.clear()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps; empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what state_dict() gave.

        Raises RuntimeError for the state of a disabled scaler.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled GradScaler.")
        self._scale = state_dict["scale"]
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval, self._growth_tracker = state_dict["growth_interval"], state_dict["_growth_tracker"]
