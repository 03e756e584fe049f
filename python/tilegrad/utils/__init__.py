"""tilegrad.utils: the data pipeline (`utils.data`), `utils.tensorboard` and `utils.checkpoint`, loaded when first used."""

from __future__ import annotations

from typing import Any

_SUBMODULES = ("checkpoint", "data", "tensorboard")


def __getattr__(name: str) -> Any:
    import importlib

    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
