"""Every benchmark case, one family a file. `CASES` is what `tilegrad bench` and the peer comparison walk."""

from __future__ import annotations

import importlib

from .case import Case

FAMILIES = (
    "op_cost",
    "matmul",
    "pool",
    "spatial",
    "conv",
    "rows",
    "norm",
    "loss",
    "optimizer",
    "attention",
    "elementwise",
    "reduce",
    "movement",
    "order",
    "steps",
    "rnn",
)

CASES: list[Case] = [case for family in FAMILIES for case in importlib.import_module(f"{__name__}.{family}").CASES]
