"""Writes generated/functions.md, the reference of the functions in `tilegrad`, from the functions themselves.

Ops are objects, not Python functions, so autodoc does not see what they are; their parameters and texts are all there.
"""

import importlib
import inspect
import pkgutil
from pathlib import Path

import tilegrad as tg
import tilegrad.ops


def section(module) -> list[str]:
    """The public functions a module of tilegrad.ops defines, in the order of its source."""
    functions = {name: value for name, value in vars(module).items() if getattr(tg, name, None) is value and callable(value)}
    functions = {name: value for name, value in functions.items() if not name.startswith("_") and not inspect.isclass(value)}
    own = {name: value for name, value in functions.items() if getattr(value, "__module__", module.__name__) == module.__name__}
    if not own:
        return []
    title = module.__name__.rpartition(".")[2]
    lines = [f"## {title}", "", inspect.cleandoc(module.__doc__ or ""), ""]
    for name, function in own.items():
        text = inspect.getdoc(function) or ""
        lines += ["```{eval-rst}", f".. py:function:: tilegrad.{name}{signature(function)}", ""]
        lines += [f"   {line}".rstrip() for line in text.splitlines()]
        lines += ["```", ""]
    return lines


def signature(function) -> str:
    try:
        return str(inspect.signature(function)).partition(" ->")[0]
    except (TypeError, ValueError):
        return "(...)"


def write(app) -> None:
    lines = ["# Functions", "", "All of these are also methods of [Tensor](../api/tensor.md) where that makes sense.", ""]
    for info in pkgutil.iter_modules(tilegrad.ops.__path__, "tilegrad.ops."):
        lines += section(importlib.import_module(info.name))
    page = Path(app.srcdir) / "generated" / "functions.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text("\n".join(lines) + "\n")


def setup(app) -> None:
    app.connect("builder-inited", write)
