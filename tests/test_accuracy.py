"""Every stated error is kept, and none is stated far too large; docs/numerics.md shows the same table."""

import pathlib
import subprocess
import sys

import pytest

import tilegrad as tg
from test_isa import ISAS, supported
from tilegrad.testing import accuracy, accuracy_kernels

ROOT = pathlib.Path(__file__).resolve().parent.parent
HALF_UNIT = 2.0**-24  # of float32: what one rounding may cost
SLACK = 4


@pytest.mark.parametrize("function", accuracy.FUNCTIONS, ids=lambda f: f.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_in_the_last_place(function, dtype):
    bound = function.bound(dtype)
    if bound is None:
        pytest.skip("C's library computes it, or there is no yardstick")
    if dtype == "float64" and not accuracy.EXTENDED:
        pytest.skip("NumPy has no extended precision here")
    error, where = accuracy.error_in_units(function, dtype)
    assert error <= bound, f"{function.name}{where}: {error:.2f} units, stated are {bound}"
    assert bound <= max(SLACK * error, 0.5), f"{function.name}: {error:.2f} units, stated are {bound}"


@pytest.mark.parametrize("kernel", accuracy_kernels.KERNELS, ids=lambda k: k.name)
def test_relative_errors(kernel):
    for stated, error in zip((kernel.forward, kernel.backward), accuracy_kernels.errors(kernel), strict=True):
        assert error <= (stated or 0.0), f"{error:.2g}, stated is {stated}"
        assert (stated or 0.0) <= SLACK * max(error, HALF_UNIT if stated else 0.0), f"only {error:.2g}, stated is {stated}"


CHECK = """
    import sys
    import tilegrad as tg
    from tilegrad.testing import accuracy, accuracy_kernels
    bad = []
    for f in accuracy.FUNCTIONS:
        for dtype in ("float32", "float64")[: 1 + accuracy.EXTENDED]:
            if f.bound(dtype) is not None and not accuracy.error_in_units(f, dtype)[0] <= f.bound(dtype):
                bad.append((f.name, dtype, accuracy.error_in_units(f, dtype), f.bound(dtype)))
    for k in accuracy_kernels.KERNELS:
        forward, backward = accuracy_kernels.errors(k)
        if forward > k.forward or backward > (k.backward or 0.0):
            bad.append((k.name, forward, backward))
    sys.exit(str(bad) if bad else 0)
"""


@pytest.mark.parametrize("isa", [i for i in ISAS if i != tg._core.isa_name()])
def test_the_bounds_hold_for(isa, run_python):
    if not supported(isa):
        pytest.skip(f"{isa} is not compiled in or not supported by this processor")
    run_python(CHECK, timeout=300, TILEGRAD_ISA=isa)


def test_every_elementwise_kernel_states_its_error():
    header = ROOT / "csrc" / "kernels" / "op_list.h"
    if not header.exists():
        pytest.skip("runs in a source checkout")
    from test_thread_rows import op_list

    rows = {row for kind in ("UNARY", "BINARY", "TERNARY") for row in op_list(kind)}
    stated = {f.name for f in accuracy.FUNCTIONS} | set(accuracy.EXACT)
    assert rows == stated


def test_the_page_shows_the_bounds():
    if not (ROOT / "docs").is_dir():
        pytest.skip("runs in a source checkout")
    subprocess.run([sys.executable, ROOT / "tools" / "make_accuracy_table.py", "--check"], check=True)


def test_a_wrong_kernel_is_found(monkeypatch):
    exp = next(f for f in accuracy.FUNCTIONS if f.name == "exp")
    monkeypatch.setattr(tg._core, "exp", lambda x, right=tg._core.exp: right(x) * (1 + 3e-7))
    assert accuracy.error_in_units(exp, "float32")[0] > exp.float32
