"""The teaching programs in bench/ladder: every rung compiles and gives NumPy's result, at sizes that cut every tile."""

import importlib.util
import pathlib
import re
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "bench" / "ladder"
if not FOLDER.is_dir():
    pytest.skip("runs in a source checkout", allow_module_level=True)
_spec = importlib.util.spec_from_file_location("ladder_run", FOLDER / "run.py")
ladder = sys.modules["ladder_run"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ladder)

SIZES = {
    "matmul": [(1, 1, 1), (7, 5, 3), (25, 97, 530), (96, 96, 16)],
    "conv2d": [(1, 1, 1, 1, 1), (2, 3, 5, 6, 7), (1, 4, 9, 13, 51)],
    "attention": [(1, 1, 1), (2, 5, 3), (2, 200, 17), (1, 130, 64)],
    "lstm": [(1, 1, 1, 1), (3, 5, 4, 7), (4, 17, 9, 40)],
}


@pytest.fixture(scope="module")
def library(request, tmp_path_factory):
    if ladder.compiler() is None:
        pytest.skip("no C++ compiler here")
    return ladder.compile_program(request.param, tmp_path_factory.mktemp("ladder"))


@pytest.mark.parametrize("library", SIZES, indirect=True)
def test_every_rung_gives_the_result(library, request):
    name = request.node.callspec.params["library"]
    family = ladder.FAMILIES[name]
    for sizes in SIZES[name]:
        found = ladder.calls(family, library, dict(zip(family.sizes, sizes, strict=True)))  # raises where a rung is off
        assert len(found) == len(family.rungs)


@pytest.mark.parametrize("name", SIZES)
def test_rungs_and_comments_agree(name):
    """Every exported function is a rung, and its comment begins with the number of the rung."""
    text = (FOLDER / f"{name}.cpp").read_text().split('extern "C" {')[1]
    found = re.findall(r"^// (\d+)\. .*\n(?:// .*\n)*(?:ONE_AT_A_TIME )?void (\w+)\(", text, re.M)
    rungs = [r.function for r in ladder.FAMILIES[name].rungs if r.function != "shipped"]
    assert found == [(str(i), r) for i, r in enumerate(rungs, 1)]


def test_a_wrong_rung_is_found(monkeypatch):
    family = ladder.FAMILIES["matmul"]
    monkeypatch.setattr(ladder, "call", lambda library, rung, inputs, out, sizes: lambda: out.fill(1.0))
    with pytest.raises(AssertionError, match="three_loops"):
        ladder.calls(family, None, {"m": 3, "n": 4, "k": 5})
