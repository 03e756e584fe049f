"""argparse with one difference: what it does not know, it answers with the nearest thing it does know."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from tilegrad.course.trainer.recipe import nearest


def complain(text: str) -> int:
    """Say what is wrong on stderr, on one screen; returns exit code 2."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # stderr may be closed
        print(f"tilegrad: {text}", file=sys.stderr)
    return 2


class UsageError(Exception):
    """Something was asked for that does not exist; the text says what does."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are UsageErrors, and which does not guess abbreviations."""

    def __init__(self, command: str, **keywords: Any) -> None:
        super().__init__(prog=f"tilegrad {command}", allow_abbrev=False, **keywords)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse; an unknown option names its nearest neighbour."""
        known, unknown = self.parse_known_args(arguments)
        self.refuse(unknown)
        return known

    def refuse(self, unknown: Sequence[str], also: Iterable[str] = ()) -> None:
        if unknown:
            word = unknown[0].split("=")[0]
            choices = [*self.flags(), *also] if word.startswith("-") else []
            raise UsageError(f"unknown argument {word!r}{nearest(word, choices)}; see {self.prog} --help")


__all__ = ["Parser", "UsageError", "complain", "nearest"]
