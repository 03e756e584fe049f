#!/usr/bin/env python3
"""Writes docs/recipes/NAME.md of every recipe from its docstring and a run of it: checks, times, pictures, samples.

tools/make_recipe_pages.py               train each recipe with its defaults (minutes), then write its page
tools/make_recipe_pages.py lenet vae     only these
tools/make_recipe_pages.py --text        no training: only the text of the pages is made new, results stay
tools/make_recipe_pages.py --check       change nothing; fail when a page's text is not its recipe's
"""

from __future__ import annotations

import argparse
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tilegrad.course import load_recipe, recipe_names
from tilegrad.course.trainer.output import seconds_text
from tilegrad.course.trainer.recipe import option_help

PAGES = Path(__file__).resolve().parent.parent / "docs/recipes"
RESULT = "## A run"  # everything from here on comes from a run


def text_of(name: str) -> str:
    """The part of a page that the recipe's file determines."""
    recipe = load_recipe(name)
    module = sys.modules[recipe.__module__]
    head, _, body = (inspect.getdoc(module) or recipe.title).partition("\n")
    facts = [("rows of the course", recipe.rows), ("kind", recipe.kind), ("data", recipe.data), ("expected", recipe.band)]
    lines = [f"# {name}", "", head, body, "", "```console", f"$ tilegrad train {name}"]
    lines += [f"$ {command}" for command in recipe.next_commands if command.startswith(f"tilegrad train {name} ")]
    lines += ["```", "", "| | |", "|---|---|", *(f"| {key} | {cell(value)} |" for key, value in facts), ""]
    lines += ["| option | type | default | what |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {cell(kind)} | {cell(default)} | {cell(help)} |"
        for key, kind, default, help in option_help(recipe.Options)
    ]
    source = Path(module.__file__ or "").name
    return "\n".join([*lines, "", f"Source: `tilegrad/course/{source}`.", "", ""])


def cell(text: str) -> str:
    return str(text).replace("|", r"\|")


def train(name: str, out: Path) -> Path:
    """A finished run with the default options; its folder."""
    subprocess.run([sys.executable, "-m", "tilegrad", "train", name, "--out", str(out)], check=True)
    (folder,) = (out / name).iterdir()
    return folder


def result_of(name: str, folder: Path) -> str:
    """The part of a page that a run determines; its pictures are copied beside the page."""
    summary = json.loads((folder / "summary.json").read_text())
    lines = [RESULT, "", "| check | measured | expected | row | |", "|---|---|---|---|---|"]
    for check in summary["checks"]:
        value = ("no", "yes")[check["value"]] if isinstance(check["value"], bool) else f"{check['value']:.5g}"
        verdict = "ok" if check["passed"] else "**not met**"
        lines.append(f"| {cell(check['name'])} | {value} | {cell(check['band'])} | {check['rows']} | {verdict} |")
    lines += ["", f"Seed {summary['seed']}, {summary['updates']} updates in {seconds_text(summary['seconds'])} with "
              f"{summary['threads']} threads ({summary['isa']}).", ""]  # fmt: skip
    for picture in sorted(folder.glob("*.png"), key=lambda file: (file.name != "curves.png", file.name)):
        shutil.copy(picture, PAGES / f"{name}-{picture.name}")
        lines += [f"![{picture.stem} of {name}]({name}-{picture.name})", ""]
    samples = folder / "samples.txt"
    if samples.is_file():
        last = samples.read_text(encoding="utf-8").split("--- epoch ")[-1]
        lines += ["What the model says at the end:", "", "```text", *last.splitlines()[1:], "```", ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=recipe_names())
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    PAGES.mkdir(exist_ok=True)
    stale = []
    for name in args.names:
        page = PAGES / f"{name}.md"
        old = page.read_text(encoding="utf-8") if page.is_file() else ""
        text, result = text_of(name), old[old.find(RESULT) :] if RESULT in old else ""
        if args.check:
            stale += [name] if old != text + result or not result else []
            continue
        if not args.text:
            with tempfile.TemporaryDirectory() as folder:
                result = result_of(name, train(name, Path(folder)))
        page.write_text(text + result, encoding="utf-8")
    if stale:
        print(f"pages that are missing or not their recipe's: {', '.join(stale)}; run tools/make_recipe_pages.py --text")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
