"""Random numbers: one Philox stream per Generator, equal on every device and for any number of threads.

A Generator is a seed and a position. Drawing n numbers moves the position by n, so what a draw gives depends on the seed
and on how much was drawn before, and on nothing else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _core, dtypes

if TYPE_CHECKING:
    from .tensor import Tensor

_SIGN = 1 << 63
_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """The 64-bit pattern as the signed number the native side takes."""
    value &= _MASK
    return value - (1 << 64) if value & _SIGN else value


class Generator:
    """A stream of random numbers (PyTorch: torch.Generator)."""

    def __init__(self, device: object = None) -> None:
        from .device import require_cpu

        require_cpu(device)
        self._seed = 67280421310721  # PyTorch's default seed
        self._position = 0

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of `seed`."""
        self._seed = int(seed)
        self._position = 0
        return self

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def seed(self) -> int:
        """Starts the stream of a seed from the operating system, and returns it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def get_state(self) -> Tensor:
        """Seed and position as a uint8 tensor of 16 bytes."""
        from .dtypes import uint8
        from .ops.creation import tensor

        raw = (self._seed & _MASK).to_bytes(8, "little") + self._position.to_bytes(8, "little")
        return tensor(list(raw), dtype=uint8)

    def set_state(self, state: Tensor) -> None:
        """Goes back to a state of `get_state`."""
        if not isinstance(state, _core.TensorBase):
            raise TypeError(f"set_state: expected a state of get_state, a uint8 tensor, got {type(state).__name__}")
        if state.dtype is not dtypes.uint8 or state.shape != (16,):
            raise RuntimeError(f"set_state: expected a uint8 tensor of 16 bytes, got {state.dtype} of shape {state.shape}")
        raw = bytes(state.tolist())
        self._seed = int.from_bytes(raw[:8], "little")
        self._position = int.from_bytes(raw[8:], "little")

    def reserve(self, count: int) -> tuple[int, int]:
        """(seed, position) for `count` numbers; the stream moves on."""
        position = self._position
        self._position = (position + count) & _MASK
        return _signed(self._seed), _signed(position)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator and returns it."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def seed() -> int:
    """Seeds the default generator from the operating system."""
    return default_generator.seed()


def get_rng_state() -> Tensor:
    """The default generator's state."""
    return default_generator.get_state()


def set_rng_state(state: Tensor) -> None:
    """Puts the default generator back into a state."""
    default_generator.set_state(state)


def fill_uniform(x: Tensor, low: float, high: float, generator: Generator | None) -> Tensor:
    """Writes uniform numbers in [low, high) over x, from the generator (None: the default one); returns x."""
    _core.uniform_(x, low, high, *(generator or default_generator).reserve(x.numel()))
    return x


def fill_normal(x: Tensor, mean: float, std: float, generator: Generator | None) -> Tensor:
    """Writes normal numbers over x; returns x."""
    _core.normal_(x, mean, std, *(generator or default_generator).reserve(x.numel()))
    return x


def fill_integers(x: Tensor, low: int, high: int, generator: Generator | None) -> Tensor:
    """Writes integers in [low, high) over x, as values of its dtype; returns x."""
    _core.randint_(x, low, high, *(generator or default_generator).reserve(x.numel()))
    return x
