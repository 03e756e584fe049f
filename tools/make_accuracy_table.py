#!/usr/bin/env python3
"""Writes the bounds of tilegrad.testing.accuracy into docs/numerics.md; `--check` only says whether they are there."""

import sys
from pathlib import Path

from tilegrad.testing import accuracy, accuracy_kernels

PAGE = Path(__file__).resolve().parent.parent / "docs" / "numerics.md"
TABLES = {"functions": accuracy.as_table, "kernels": accuracy_kernels.as_table}


def with_tables(text: str) -> str:
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = before + begin + table() + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    old = PAGE.read_text()
    new = with_tables(old)
    if "--check" in sys.argv:
        sys.exit(f"{PAGE.name} is out of date: run tools/make_accuracy_table.py" if new != old else 0)
    PAGE.write_text(new)
