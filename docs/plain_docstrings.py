"""Docstrings of tilegrad are plain text for `help()`: what reStructuredText would read as markup in them is escaped here."""

import re

CODE = re.compile(r"(``.+?``|`.+?`|:\w+:`.+?`)")
FIELD = re.compile(r"\s*:[^:`]+:(?!`)|")  # ":param x:", whose name napoleon has escaped
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")


def escape(line: str) -> str:
    parts = CODE.split(line)  # odd ones are code
    return "".join(part if i % 2 else MARKUP.sub(r"\\\g<0>", part) for i, part in enumerate(parts))


def escape_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    literal = None  # indentation of the line that introduced a literal block
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if literal is None:
            if line.rstrip().endswith("::"):
                literal = indent
            else:
                field = FIELD.match(line).end()
                lines[i] = line[:field] + escape(line[field:])


def setup(app) -> None:
    app.connect("autodoc-process-docstring", escape_docstring, priority=900)  # after napoleon
