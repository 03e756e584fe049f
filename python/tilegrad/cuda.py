"""CUDA, as PyTorch's ``torch.cuda`` looks on a machine without a GPU: this build has no CUDA kernels."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Can tensors live on a GPU?"""
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


def synchronize(device: Any = None) -> None:
    """Waits for the GPU: nothing to do."""


def empty_cache() -> None:
    """Frees cached GPU memory: nothing to do."""


def current_device() -> int:
    """Raises RuntimeError: there is no GPU to number."""
    raise RuntimeError(f"cuda.current_device: {unavailable_reason()}")


def get_device_name(device: Any = None) -> str:
    """Raises RuntimeError: there is no GPU to name."""
    raise RuntimeError(f"cuda.get_device_name: {unavailable_reason()}")
