#!/usr/bin/env python3
"""Writes docs/ops.md, the list of public ops with their dtypes and orders of differentiation, from the specs.

tools/make_ops_table.py           write it
tools/make_ops_table.py --check   fail when the committed list is not what the specs say
"""

from __future__ import annotations

import sys
from pathlib import Path

from tilegrad.testing import specs

PAGE = Path(__file__).resolve().parent.parent / "docs/ops.md"
SHORT = {"float32": "f32", "float64": "f64", "bfloat16": "bf16", "float16": "f16", "int64": "i64", "int32": "i32", "int8": "i8",
         "uint8": "u8", "bool": "bool"}  # fmt: skip
HEAD = """# The ops

Written by `tools/make_ops_table.py` from the specs in `tilegrad/testing/specs`. Every line is tested against NumPy on each
dtype it names, its gradients by finite differences up to the order it names; `tilegrad verify` does the first on your machine.
A gradient of "any" order is one whose rules are ops with rules again; orders up to the stated one are checked.

| op | dtypes | gradient for | orders checked | rows of the kernel table |
|---|---|---|---|---|
"""


def line(spec) -> str:
    dtypes = " ".join(SHORT[d] for d in spec.dtypes)
    order = str(spec.order) if spec.differentiable else "-"
    inputs = ", ".join(map(str, spec.differentiable)) or "-"
    rows = ", ".join(f"`{row}`" for row in spec.rows)
    return f"| `{spec.name}` | {dtypes} | {inputs} | {order} | {rows} |"


def page() -> str:
    return HEAD + "".join(line(spec) + "\n" for spec in sorted(specs.all_specs(), key=lambda s: s.name))


def main() -> int:
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print("docs/ops.md is not what the specs say; run tools/make_ops_table.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
