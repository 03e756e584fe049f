"""CUDA, as PyTorch's ``torch.cuda`` looks on a machine without a GPU: this build has no CUDA kernels."""

from __future__ import annotations

from typing import Any

from . import _typed


def is_available() -> bool:
    """Can tensors live on a GPU?"""
    return False


def is_initialized() -> bool:
    """Has a GPU been used?"""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Does the GPU compute in bfloat16?"""
    return False


def unavailable_reason() -> str:
    """Why `is_available` is False."""
    return "this build of tilegrad has no CUDA kernels; use the CPU"


def device_count() -> int:
    """How many GPUs there are."""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds the current GPU: nothing to do."""


def manual_seed_all(seed: int) -> None:
    """Seeds every GPU: nothing to do."""


def seed_all() -> None:
    """Seeds every GPU by chance: nothing to do."""


def synchronize(device: Any = None) -> None:
    """Waits for the GPU: nothing to do."""


def empty_cache() -> None:
    """Frees cached GPU memory: nothing to do."""


def ipc_collect() -> None:
    """Frees GPU memory shared between processes: nothing to do."""


def memory_allocated(device: Any = None) -> int:
    """Bytes in use on the GPU."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes in use on the GPU so far."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes held on the GPU."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes held on the GPU so far."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts counting `max_memory_allocated` again: nothing to do."""


def get_rng_state_all() -> list[Any]:
    """The states of the GPUs' random number generators: there are none."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Restores what get_rng_state_all() gave: nothing to do."""


def _absent(name: str, doc: str) -> Any:
    def missing(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"cuda.{name}: {unavailable_reason()}")

    missing.__name__, missing.__doc__ = name, f"{doc} Raises RuntimeError: there is no GPU."
    return missing


current_device = _absent("current_device", "The number of the current GPU.")
set_device = _absent("set_device", "Makes a GPU the current one.")
get_device_name = _absent("get_device_name", "The name of a GPU.")
get_device_properties = _absent("get_device_properties", "Name and sizes of a GPU.")
get_device_capability = _absent("get_device_capability", "The version of a GPU's instructions.")
get_rng_state = _absent("get_rng_state", "The state of a GPU's random number generator.")
set_rng_state = _absent("set_rng_state", "Restores what get_rng_state() gave.")
mem_get_info = _absent("mem_get_info", "Free and all bytes of a GPU.")
Stream = _absent("Stream", "A queue of work of a GPU.")
Event = _absent("Event", "A mark in a queue of work, for timing.")


def __getattr__(name: str) -> Any:
    """FloatTensor and the like: they exist, and cannot be called. And ``amp``, PyTorch's old place of it."""
    if name == "amp":
        from . import _cuda_amp

        return _cuda_amp
    if name.endswith("Tensor"):
        found = _typed.constructor(name, on_gpu=True)
        if found is not None:
            return found
    raise AttributeError(f"module 'tilegrad.cuda' has no attribute '{name}'")
