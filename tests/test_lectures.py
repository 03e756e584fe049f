"""Programs in the style of courses, written for PyTorch, run unchanged: tests/lectures/*.py through tilegrad.as_torch."""

import os
import pathlib
import subprocess
import sys

import pytest

import tilegrad

PACKAGE = pathlib.Path(tilegrad.__file__).parents[1]
LECTURES = sorted((pathlib.Path(__file__).parent / "lectures").glob("*.py"))


def test_there_are_lectures():
    assert len(LECTURES) >= 14 and all("import torch" in path.read_text() for path in LECTURES)


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_lecture(path, tmp_path):
    """Each program asserts what it should reach at its end."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tilegrad.as_torch", str(path)],
        env={**os.environ, "TILEGRAD_NUM_THREADS": "1", "TMPDIR": str(tmp_path), "PYTHONPATH": str(PACKAGE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr[-4000:]}"
