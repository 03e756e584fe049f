"""``tilegrad list``: all recipes on one screen; ``tilegrad list NAME``: one recipe with its options."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence

from tilegrad.course import load_recipe, recipe_names
from tilegrad.course.trainer.output import Output, table
from tilegrad.course.trainer.recipe import RecipeError, option_help

from .parser import Parser, UsageError, complain


def main(arguments: Sequence[str]) -> int:
    parser = Parser("list", description="The recipes, or one recipe with its options.")
    parser.add_argument("name", nargs="?", help="a recipe")
    parser.add_argument("--json", action="store_true", help="for programs")
    try:
        args = parser.read(arguments)
        names = [args.name] if args.name else recipe_names()
        recipes = [load_recipe(name) for name in names]
    except (UsageError, RecipeError) as error:
        return complain(str(error))
    if args.json:
        keys = ("name", "title", "rows", "kind", "data", "band", "seconds")
        print(json.dumps([{key: getattr(recipe, key) for key in keys} for recipe in recipes], indent=2))
        return 0
    output = Output(sys.stdout)
    if args.name:
        for line in describe(args.name):
            output.say(line)
        return 0
    rows = [(recipe.name, recipe.title, recipe.data, recipe.band, f"{recipe.seconds} s") for recipe in recipes]
    for line in table(("recipe", "what", "data", "expected", "about"), rows, right=(4,)):
        output.say(line)
    output.say("\ntilegrad train NAME runs one; tilegrad list NAME shows its options")
    return 0


def describe(name: str) -> list[str]:
    """The head of the recipe's file, its facts and its options."""
    recipe = load_recipe(name)
    text = inspect.getdoc(sys.modules[recipe.__module__]) or recipe.title
    facts = [
        ("rows", recipe.rows),
        ("kind", recipe.kind),
        ("data", recipe.data),
        ("expected", recipe.band),
        ("time", f"about {recipe.seconds} s"),
    ]
    lines = [*text.splitlines(), "", *(f"{key:<9} {value}" for key, value in facts)]
    lines += ["", "options (--set KEY=VALUE or --KEY VALUE):"]
    lines += ["  " + line for line in table(("key", "type", "default", "what"), option_help(recipe.Options))]
    return [*lines, "", f"file: {sys.modules[recipe.__module__].__file__}"]
