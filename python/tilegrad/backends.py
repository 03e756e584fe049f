"""PyTorch's switches of backends, for code that sets them: ``tilegrad.backends.cudnn.deterministic = True``.

Every kernel of tilegrad is deterministic already and there is nothing to tune at run time, so the switches keep what is
written to them and change nothing.
"""

from __future__ import annotations


class _Backend:
    """Switches that are kept and change nothing."""

    def __init__(self, name: str, available: bool = False) -> None:
        self._name = name
        self._available = available
        self.enabled = available
        self.deterministic = True
        self.benchmark = False
        self.allow_tf32 = False

    def is_available(self) -> bool:
        """Does this build have the backend?"""
        return self._available

    def __repr__(self) -> str:
        return f"tilegrad.backends.{self._name}"


cudnn = _Backend("cudnn")
mps = _Backend("mps")
cpu = _Backend("cpu", available=True)
