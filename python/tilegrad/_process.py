"""Switches of the process: threads and memory."""

from __future__ import annotations

from . import _core


class MissingKernelError(NotImplementedError):
    """An op has no kernel for this device or dtype, and no composite to stand in for it."""


_core.set_callback("missing_kernel", MissingKernelError)
_composites: set[str] = set()


def composites_used() -> list[str]:
    """Ops whose slower composite stood in for a missing kernel in this process; shown by ``tilegrad doctor``."""
    return sorted(_composites)


def _on_composite(op) -> None:
    if op.name not in _composites:
        import warnings

        _composites.add(op.name)
        warnings.warn(f"{op.name}: no kernel on this device; its slower composite runs instead", RuntimeWarning, stacklevel=2)


_core.set_callback("on_composite", _on_composite)


def get_num_threads() -> int:
    """How many threads kernels use."""
    return _core.get_num_threads()


def set_num_threads(threads: int) -> None:
    """Sets how many threads kernels use. Results do not depend on it, bit for bit.

    Raises:
        ValueError: less than 1. Warns in a forked child, which stays on one thread.
    """
    _core.set_num_threads(threads)


def get_conv_algorithm() -> str:
    """Which algorithms convolutions may choose from: "auto", "precise" or "direct"."""
    return _core.get_conv_algorithm()


def set_conv_algorithm(algorithm: str) -> None:
    """Sets which algorithms convolutions may choose from.

    "auto" (the default) takes the fastest one for the shape; "precise" leaves out Winograd's F(4x4, 3x3), whose rounding
    errors are several times those of a plain sum; "direct" only ever sums the products themselves.

    Raises:
        ValueError: another name.
    """
    _core.set_conv_algorithm(algorithm)


def memory_stats() -> dict[str, int]:
    """live_bytes, peak_bytes, cached_bytes, allocations, reused and limit_bytes of the CPU pool."""
    return _core.memory_stats()


def reset_peak_memory_stats() -> None:
    """Starts peak_bytes anew from what is live."""
    _core.reset_peak_memory()


def empty_cache() -> None:
    """Gives cached memory back to the system."""
    _core.trim_memory()


def set_memory_limit(limit: int) -> None:
    """Bytes of tensors beyond which an allocation raises MemoryError; 0 removes the limit."""
    if limit < 0:
        raise ValueError(f"set_memory_limit: expected a number of bytes >= 0, got {limit}")
    _core.set_memory_limit(limit)
