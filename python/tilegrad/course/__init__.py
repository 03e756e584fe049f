"""The course: one file per recipe, found by its name. ``tilegrad list`` shows them, ``tilegrad train NAME`` runs one.

The recipe ``softmax-reg`` is the one Recipe class in ``softmax_reg.py``; to add a lesson, add a file. A path that ends in
``.py`` names a recipe of your own.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from .trainer.recipe import Recipe, RecipeError, nearest


def recipe_names() -> list[str]:
    """Names of all recipes, without importing them."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def load_recipe(name: str) -> type[Recipe]:
    """The recipe called ``name``, or the one in the file ``name`` if that ends in ``.py``."""
    if name.endswith(".py"):
        return _recipe_in(_import_file(Path(name)))
    if name not in recipe_names():
        raise RecipeError(f"unknown recipe {name!r}{nearest(name, recipe_names())}; see `tilegrad list`")
    return _recipe_in(importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise RecipeError(f"no recipe file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(f"recipe_file_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _recipe_in(module: ModuleType) -> type[Recipe]:
    found = [
        v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Recipe) and v.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise RecipeError(f"{module.__file__} must define one Recipe class, it defines {len(found)}")
    return found[0]
