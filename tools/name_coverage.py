#!/usr/bin/env python3
"""Which of PyTorch's names does tilegrad have?  tools/name_coverage.py [--missing]

Reads tests/data/names.txt: the names that course code uses, in three tiers, counted over public teaching repositories.
"""

from __future__ import annotations

import argparse
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tilegrad as tg
import tilegrad.utils.data

LIST = Path(__file__).parents[1] / "tests" / "data" / "names.txt"


def read(path: Path = LIST) -> dict[int, list[tuple[str, str]]]:
    """(group, name) pairs by tier; a line that starts with blanks continues the group above it."""
    tiers: dict[int, list[tuple[str, str]]] = {}
    tier, group = 0, ""
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        heading = re.fullmatch(r"\[tier (\d)\]", line)
        if heading:
            tier = int(heading[1])
            continue
        if not line.startswith(" "):
            group, _, line = line.partition(": ")
        tiers.setdefault(tier, []).extend((group, name) for name in line.split())
    return tiers


def _owners(group: str) -> list[Any]:
    """The objects where a group's names are looked for; all of them must have the name."""
    module = tg.nn.Linear(1, 1)
    optimizer = tg.optim.SGD(module.parameters(), lr=0.1)
    return {
        "Tensor/Module": [tg.zeros(1, 1), module],
        "Tensor": [tg.zeros(1, 1)],
        "Module": [module],
        "torch": [tg],
        "nn": [tg.nn],
        "F": [tg.nn.functional],
        "init": [tg.nn.init],
        "nn.utils": [tg.nn.utils],
        "optim": [tg.optim],
        "lr_scheduler": [tg.optim.lr_scheduler],
        "Optimizer": [optimizer, tg.optim.lr_scheduler.StepLR(optimizer, 1)],
        "data": [tg.utils.data],
        "distributions": [tg.distributions],
    }[group]


def exists(group: str, name: str) -> bool:
    """Does tilegrad have this name? An optimizer's names may be those of its scheduler (get_last_lr)."""

    def found(owner: Any) -> bool:
        try:
            functools.reduce(getattr, name.split("."), owner)
        except AttributeError:
            return False
        return True

    owners = _owners(group)
    return any(map(found, owners)) if group == "Optimizer" else all(map(found, owners))


def missing(tier: int) -> Iterator[str]:
    """The names of a tier that tilegrad lacks."""
    for group, name in read()[tier]:
        if not exists(group, name):
            yield f"{group}.{name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missing", action="store_true", help="list the missing names")
    options = parser.parse_args()
    for tier, names in read().items():
        lacks = list(missing(tier))
        print(f"tier {tier}: {len(names) - len(lacks)} of {len(names)} names")
        if options.missing:
            for name in lacks:
                print(f"  {name}")


if __name__ == "__main__":
    main()
