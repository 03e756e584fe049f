"""The command line: ``tilegrad list | train | verify | doctor | bench | explain``. One command a file, imported when asked for.

Exit codes: 0 fine, 1 a check or band failed, 2 asked for something that does not exist, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "list": "the recipes: what they teach, on which data, what to expect",
    "train": "train a recipe, watch it, and judge the result",
    "verify": "every kernel against its NumPy reference on this machine",
    "doctor": "is everything here, and which CPU, threads, GPU are used",
    "bench": "how fast the kernels are, beside the machine's peak and other libraries",
    "explain": "which kernels a call runs, and how near they come to this machine's limits",
}

USAGE = "usage: tilegrad COMMAND [options]     (tilegrad COMMAND --help for the options)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(
            "\n".join(
                [USAGE, "", *(f"  {name:<8}{text}" for name, text in COMMANDS.items()), "", "start with: tilegrad train mlp"]
            )
        )
        return 0
    if arguments[0] in ("-V", "--version"):
        import tilegrad

        print(f"tilegrad {tilegrad.__version__}")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        from .parser import complain, nearest

        return complain(f"unknown command {command!r}{nearest(command, COMMANDS)}; commands: {', '.join(COMMANDS)}")
    module = "listing" if command == "list" else command  # a submodule called `list` would hide the builtin here
    return int(importlib.import_module(f"{__name__}.{module}").main(rest))
