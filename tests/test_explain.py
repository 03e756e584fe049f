"""tilegrad explain and the roofline: what they say, what they refuse, and the picture."""

import importlib.util
import json

import pytest

import tilegrad as tg
from tilegrad import _limits
from tilegrad.bench import roofline, timing
from tilegrad.cli import explain, main
from tilegrad.cli.parser import UsageError


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What is measured does not matter here."""
    monkeypatch.setattr(explain, "SECONDS", 0.001)
    monkeypatch.setattr(_limits, "PATIENCE", 1)
    monkeypatch.setattr(_limits, "MILLISECONDS", 0.1)
    monkeypatch.setattr(timing, "PROBE_MILLISECONDS", 0.1)
    monkeypatch.setattr(timing, "MEMORY_MILLISECONDS", 0.1)
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 1e-5)
    monkeypatch.setattr(timing, "_probed_memory", lambda: tg.zeros(1 << 12))


def columns(lines):
    """(op, phase) -> the cells behind them."""
    rows = [line.split() for line in lines[2:-2]]
    return {(cells[0], next(c for c in cells[1:] if c in ("forward", "backward"))): cells for cells in rows}


def test_a_convolution(capsys):
    call = "F.conv2d(t.randn(2, 16, 32, 32), t.randn(16, 16, 3, 3), padding=1)"
    assert main(["explain", call, "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["op", "phase", "runs", "time"] and "threads: 1" in lines[-1]
    (row,) = columns(lines).values()  # making the operands is not part of it
    assert row[:4] == ["conv", "2x16x32x32", "16x16x3x3", "forward"] and row[4] == "1"
    assert f"{2 * 2 * 16 * 32 * 32 * 16 * 9:.4g}" in row
    assert row[-1] == tg._core.conv2d_algorithm((2, 16, 32, 32), (16, 16, 3, 3), padding=1)


def test_gradients_modules_and_threads():
    before = tg.get_num_threads()
    rows = columns(explain.explain("nn.Linear(6, 4)(t.randn(5, 6))", threads=2, backward=True))
    assert {phase for _, phase in rows} == {"forward", "backward"} and tg.get_num_threads() == before
    rows = columns(explain.explain("t.randn(5, 6).requires_grad_() * 2"))
    assert list(rows) == [("mul", "forward")]
    rows = columns(explain.explain("(t.randn(5, 6).exp() + 1).sum()"))
    assert {op for op, _ in rows} == {"exp", "add", "sum"}
    assert ("lstm_backward", "backward") in columns(explain.explain("nn.LSTM(3, 4)(t.randn(2, 1, 3))", backward=True))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("t.randn(3", "not a Python expression: 't.randn(3'"),
        ("x = 3", "not a Python expression"),
        ("t.sofmax(t.randn(3))", "the call raised AttributeError: "),
        ("nope(3)", "the call raised NameError: name 'nope' is not defined"),
        ("t.randn(3) @ t.randn(4)", "the call raised RuntimeError: matmul: "),
        ("t.randn(-3)", "the call raised "),
    ],
)
def test_bad_calls_are_refused_in_one_line(capsys, call, text):
    assert main(["explain", call]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"tilegrad: {text}") and err.count("\n") == 1


def test_bad_options(capsys):
    assert main(["explain"]) == 2
    assert main(["explain", "t.randn(3)", "--threads", "0"]) == 2
    assert "--threads 0: at least 1" in capsys.readouterr().err
    with pytest.raises(UsageError, match="the call raised"):
        explain.explain("1 / 0")


# --- the roofline -----------------------------------------------------------------------------------------------------

LIMITS = {
    "threads": 1, "isa": "avx2", "gflops": {"float32": 100.0, "float64": 50.0, "bfloat16": 0.0, "int8": 0.0},
    "levels": [
        {"name": "L1", "bytes": 1000.0, "gigabytes_per_second": {"read": 200.0, "copy": 100.0}},
        {"name": "memory", "bytes": None, "gigabytes_per_second": {"read": 10.0, "copy": 20.0}},
    ],
}  # fmt: skip


def test_the_roof_over_a_case():
    assert roofline.roof(1e3, 500.0, "float32", LIMITS) == 100.0
    assert roofline.roof(100.0, 500.0, "float32", LIMITS) == pytest.approx(40.0)  # 0.2 FLOP a byte at 200 GB/s
    assert roofline.roof(100.0, 5000.0, "float32", LIMITS) == pytest.approx(0.4)
    assert roofline.roof(1e9, 500.0, "float64", LIMITS) == 50.0
    assert roofline.roof(1e9, 500.0, "bfloat16", LIMITS) == 100.0  # no instruction of its own
    assert roofline.family_of({"op": "layer_norm"}) == "layer norm" and roofline.family_of({"op": "conv2d_x"}) == "conv2d"


def test_the_picture(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    picture, file = tmp_path / "roof.png", tmp_path / "run.json"
    names = ["softmax-64x10", "matmul-64", "add-10"]
    arguments = ["bench", *names, "--vs", "none", "--threads", "1", "--rounds", "1"]
    assert main([*arguments, "--roofline", str(picture), "--json", str(file)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG") and "wrote" in capsys.readouterr().out
    run = json.loads(file.read_text())
    assert run["limits"][0]["threads"] == 1 and run["limits"][0]["gflops"]["float32"] > 0
    again = tmp_path / "again.svg"
    assert main(["bench", "--results", str(file), "--roofline", str(again)]) == 0 and b"<svg" in again.read_bytes()


def test_refusals_of_the_roofline(capsys, tmp_path, monkeypatch):
    def says(text, *arguments):
        assert main(["bench", "add-10", *arguments]) == 2
        assert text in capsys.readouterr().err

    says("expected a name that ends in .png", "--roofline", "roof.txt")
    says("there is no such folder", "--roofline", str(tmp_path / "no" / "roof.png"))
    says("--results goes with --roofline", "--results", "x.json")
    empty = tmp_path / "x.json"
    empty.write_text('{"results": [], "limits": []}')
    says("measured without limits", "--results", str(empty), "--roofline", str(tmp_path / "a.png"))
    empty.write_text("[]")
    says("not a result of the benchmarks", "--results", str(empty), "--roofline", str(tmp_path / "a.png"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    says("needs matplotlib, which is not installed: pip install 'tilegrad[bench]'", "--roofline", "roof.png")
