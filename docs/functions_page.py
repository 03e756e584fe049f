"""Writes generated/functions.md, the reference of the functions in `tilegrad`, from the functions themselves.

Ops are objects, not Python functions, so autodoc does not see what they are; their parameters and texts are all there.
"""

import importlib
import inspect
import pkgutil
from pathlib import Path

from plain_docstrings import escape

import tilegrad as tg
import tilegrad.ops
from tilegrad._core import Op


def public_functions(module) -> dict[str, object]:
    """What `tilegrad` takes from a module of tilegrad.ops, in the order of its source."""
    return {
        name: value
        for name, value in vars(module).items()
        if getattr(tg, name, None) is value
        and (isinstance(value, Op) or (inspect.isfunction(value) and value.__module__ == module.__name__))
    }


def entry(name: str, function) -> list[str]:
    lines = ["```{eval-rst}", f".. py:function:: tilegrad.{name}{signature(function)}", ""]
    lines += [f"   {escape(line)}".rstrip() for line in (inspect.getdoc(function) or "").splitlines()]
    return [*lines, "```", ""]


def signature(function) -> str:
    if not isinstance(function, Op):
        return str(inspect.signature(function)).partition(" ->")[0]
    pairs = zip(function.params, function.defaults, strict=True)
    return f"({', '.join(name if default is ... else f'{name}={default!r}' for name, default in pairs)})"


def write(app) -> None:
    lines = ["# Functions", "", "All of these are also methods of [Tensor](../api/tensor.md) where that makes sense.", ""]
    seen = set()
    for info in pkgutil.iter_modules(tilegrad.ops.__path__, "tilegrad.ops."):
        module = importlib.import_module(info.name)
        functions = {name: f for name, f in public_functions(module).items() if name not in seen}
        seen |= set(functions)
        if functions:
            title = info.name.rpartition(".")[2].capitalize()
            lines += [f"## {title}", "", inspect.cleandoc(module.__doc__ or ""), ""]
        for name, function in functions.items():
            lines += entry(name, function)
    page = Path(app.srcdir) / "generated" / "functions.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text("\n".join(lines) + "\n")


def setup(app) -> None:
    app.connect("builder-inited", write)
