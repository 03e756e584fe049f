"""The trainer: run folders, checkpoints, resuming bit for bit, interruption, output without a terminal."""

import importlib.util
import io
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.course.trainer import Check, RecipeError, smooth, standardise, train
from tilegrad.course.trainer import recipe as recipes
from tilegrad.course.trainer.output import Output, seconds_text, table
from tilegrad.course.trainer.plot import curve
from tilegrad.course.trainer.run_folder import RunFolder

# Five batches an epoch, shuffled; dropout and self.rng use the random states while it trains. STOP_AT raises a signal
# during that update, PAUSE makes every update take that long.
TINY = """
import os, signal, time
from dataclasses import dataclass
import numpy as np
import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe
from tilegrad.utils.data import DataLoader, TensorDataset

class Tiny(Recipe):
    name, title, rows, kind = "tiny", "A tiny recipe", "X00", "regression"
    best = ("dev loss", "min")
    remember = ("walk", "offset")
    smoke = preset(epochs=3)

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(4, "passes")
        lr: float = option(0.05, "step size")
        band: float = option(1e9, "the loss must end below this")

    options: Options

    def setup(self):
        x = self.rng.normal(size=(38, 3)).astype(np.float32)
        self.x, self.y = tg.from_numpy(x), tg.from_numpy(x @ np.ones((3, 1), np.float32))
        self.model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.Linear(8, 1))
        self.optimizer = optim.Adam(self.model.parameters(), lr=self.options.lr)
        self.loader = DataLoader(TensorDataset(self.x, self.y), batch_size=8, shuffle=True)
        self.walk, self.offset, self.updates = 0.0, tg.zeros(1), 0

    def three_steps(self):
        return "a", "b", "c"

    def loss(self, batch):
        x, y = batch
        return ((self.model(x) - y + 0.01 * self.walk) ** 2).mean()

    def optimize(self, batch):
        self.updates += 1
        self.walk += float(self.rng.normal())
        self.offset += 1
        time.sleep(float(os.environ.get("PAUSE", 0)))
        if self.updates == int(os.environ.get("STOP_AT", 0)):
            signal.raise_signal(signal.SIGINT)
        return super().optimize(batch)

    def evaluate(self):
        return {"dev loss": float(((self.model(self.x) - self.y) ** 2).mean().item())}

    def checks(self, metrics):
        return [Check.at_most("dev loss", metrics["dev loss"], self.options.band, "X00")]
"""


@pytest.fixture
def tiny(tmp_path):
    file = tmp_path / "tiny.py"
    file.write_text(TINY)
    return str(file)


@pytest.fixture
def run(tiny, tmp_path):
    """Train the tiny recipe quietly; returns the trainer's result."""

    def go(**keywords):
        resuming = "resume" in keywords
        keywords = {"plots": False, "out": str(tmp_path / "runs"), "checkpoint_seconds": 0.0, **keywords}
        return train(None if resuming else tiny, output=Output(io.StringIO()), **keywords)

    return go


def command(*arguments, **keywords):
    """`tilegrad ...` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tilegrad", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords
    )


def contents(folder):
    """What must be equal between two runs of the same seed."""
    return folder.checkpoint_file.read_bytes(), folder.metrics_file.read_bytes()


# --- one run ----------------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_complete_folder(run):
    result = run(plots=True)
    folder = result.folder
    names = {path.name.split(".1")[0].split(".vm")[0] for path in folder.path.iterdir()}
    assert {"config.json", "metrics.jsonl", "checkpoint.safetensors", "summary.json", "curves.png"} <= names
    assert (folder.path / "curves.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads(folder.summary_file.read_text())
    assert summary["status"] == "completed" and summary["passed"] and result.exit_code == 0
    assert summary["updates"] == 4 * 5 and summary["samples"] == 4 * 38 and summary["epochs"] == 4
    assert summary["seed"] == 0 and summary["versions"]["tilegrad"] == tg.__version__ and summary["seconds"] >= 0
    assert summary["checks"][0]["band"] == "<= 1e+09"
    rows = [json.loads(line) for line in folder.metrics_file.read_text().splitlines()]
    assert sum("loss" in row for row in rows) == 20 and sum("dev loss" in row for row in rows) == 4


def test_events_can_be_read_back(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run(plots=True)
    events = EventAccumulator(str(result.folder.path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 21))
    logged = [row["loss"] for row in result.recipe.history if "loss" in row]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(logged, rel=1e-6)


def test_a_missed_band_is_exit_code_1(run):
    result = run(set={"band": "-1"})
    assert result.exit_code == 1 and not result.checks[0].passed
    assert json.loads(result.folder.summary_file.read_text())["passed"] is False


def test_same_seed_same_bytes(run):
    first, second, other = run(seed=3), run(seed=3), run(seed=4)
    assert contents(first.folder) == contents(second.folder)
    assert contents(first.folder) != contents(other.folder)
    assert [p.name for p in (first.folder.path, second.folder.path)] == ["001", "002"]


def test_best_epoch_is_what_is_judged(run):
    result = run(epochs=8, set={"lr": "0.3"})
    seen = [row["dev loss"] for row in result.recipe.history if "dev loss" in row]
    assert result.metrics["dev loss"] == min(seen)


def test_smoke_uses_its_options_and_checks(run):
    result = run(smoke=True, set={"lr": "0.02", "band": "-1"})
    assert result.exit_code == 0 and result.recipe.epochs == 3
    assert {check.name for check in result.checks} == {"every metric is finite", "fall of the loss"}


@pytest.mark.parametrize("lr, text", [("1e30", "diverged: the loss is "), ("1e4", "diverged: the loss grew from ")])
def test_divergence_stops_the_run(run, tiny, tmp_path, lr, text):
    stream = io.StringIO()
    result = train(tiny, out=str(tmp_path), set={"lr": lr}, plots=False, output=Output(stream))
    assert (result.status, result.exit_code) == ("diverged", 1)
    assert text in stream.getvalue() and "after update" in stream.getvalue()
    assert json.loads(result.folder.summary_file.read_text())["status"] == "diverged"


# --- stopping and going on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [1, 3, 5, 12, 20])
def test_interrupt_and_resume_is_bit_exact(run, monkeypatch, stop_at):
    whole = run()
    monkeypatch.setenv("STOP_AT", str(stop_at))
    stopped = run()
    assert (stopped.status, stopped.exit_code) == ("interrupted", 130)
    assert json.loads(stopped.folder.summary_file.read_text())["updates"] == stop_at
    monkeypatch.delenv("STOP_AT")
    resumed = run(resume=str(stopped.folder.path))
    assert resumed.exit_code == 0
    assert contents(resumed.folder) == contents(whole.folder)
    assert resumed.metrics == whole.metrics


def test_resume_can_train_for_longer(run):
    whole, short = run(epochs=4), run(epochs=2)
    longer = run(resume=str(short.folder.path), epochs=4)
    assert contents(longer.folder) == contents(whole.folder)


def test_resuming_a_complete_run_judges_it_again(run):
    whole = run()
    before = contents(whole.folder)
    again = run(resume=str(whole.folder.path))
    assert again.metrics == whole.metrics and contents(again.folder) == before


def test_ctrl_c_in_a_real_process(run, tiny, tmp_path):
    whole = run()
    process = command("train", tiny, "--no-plots", "--out", str(tmp_path / "b"), env={**os.environ, "PAUSE": "0.05"})
    folder = RunFolder(tmp_path / "b" / "tiny" / "001")
    wait_for(lambda: folder.checkpoint_file.exists(), process)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert f"tilegrad train --resume {folder.path}" in out.decode()
    resumed = run(resume=str(folder.path))
    assert contents(resumed.folder) == contents(whole.folder)


def test_sigkill_leaves_a_usable_checkpoint(run, tiny, tmp_path):
    whole = run()
    call = f"train({tiny!r}, out={str(tmp_path / 'b')!r}, plots=False, checkpoint_seconds=0)"
    code = f"from tilegrad.course.trainer import train; {call}"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PAUSE": "0.01"}, stdout=subprocess.DEVNULL)
    folder = RunFolder(tmp_path / "b" / "tiny" / "001")
    wait_for(lambda: folder.metrics_file.exists() and folder.metrics_file.read_bytes().count(b"\n") > 6, process)
    process.kill()
    process.wait(timeout=20)
    assert tg.io.load(folder.checkpoint_file)["name"] == "tiny"
    assert not folder.summary_file.exists()
    resumed = run(resume=str(folder.path))
    assert contents(resumed.folder) == contents(whole.folder)


def wait_for(condition, process, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def test_what_cannot_be_resumed_says_why(run, tmp_path):
    done = run()
    folder = done.folder
    with pytest.raises(RecipeError, match=r"no run folder .*nowhere"):
        run(resume=str(tmp_path / "nowhere"))
    with pytest.raises(RecipeError, match=r"is not a run folder: it has no config.json"):
        run(resume=str(tmp_path))
    with pytest.raises(RecipeError, match=r"keeps its lr, seed; only --epochs can change"):
        run(resume=str(folder.path), set={"lr": "1"}, seed=9)
    with pytest.raises(RecipeError, match=r"is a run of .*tiny.py', not of 'mlp'"):
        train("mlp", resume=str(folder.path), plots=False)
    good = folder.checkpoint_file.read_bytes()
    folder.checkpoint_file.write_bytes(good[: len(good) // 2])
    with pytest.raises(RecipeError, match=r"checkpoint.safetensors.* truncated"):
        run(resume=str(folder.path))
    folder.checkpoint_file.write_bytes(good)
    folder.metrics_file.write_text("")
    with pytest.raises(RecipeError, match=r"metrics.jsonl has 0 rows, the checkpoint was written after 24"):
        run(resume=str(folder.path))
    folder.config_file.write_text("{")
    with pytest.raises(RecipeError, match=r"config.json cannot be read"):
        run(resume=str(folder.path))


# --- output -----------------------------------------------------------------------------------------------------------


def test_plain_lines_without_a_terminal_and_without_utf8(tiny, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PAUSE": "0.12"}
    process = command("train", tiny, "--no-plots", "--out", str(tmp_path), env=environment)
    out, err = process.communicate(timeout=30)
    text = out.decode("ascii")  # raises if anything else was written
    assert process.returncode == 0, err
    assert "\x1b" not in text and "*" in text and "ETA" in text and "samples/s" in text and "band met" in text
    assert text.splitlines()[0].startswith("cpu, ISA ")


def test_closed_stdout_does_not_stop_the_training(tiny, tmp_path):
    line = f"{sys.executable} -m tilegrad train {tiny} --no-plots --out {tmp_path} >&-"
    assert subprocess.run(line, shell=True, check=False).returncode == 0
    assert json.loads((tmp_path / "tiny" / "001" / "summary.json").read_text())["passed"]


def test_a_reader_that_goes_away_does_not_stop_the_training(tiny, tmp_path):
    process = command("train", tiny, "--no-plots", "--out", str(tmp_path))
    process.stdout.close()
    assert process.wait(timeout=30) == 0, process.stderr.read()


def test_a_terminal_gets_a_bar(tiny, tmp_path):
    import pty

    leader, follower = pty.openpty()
    arguments = [sys.executable, "-m", "tilegrad", "train", tiny, "--no-plots", "--out", str(tmp_path)]
    process = subprocess.Popen(
        arguments, stdout=follower, stderr=follower, env={**os.environ, "TERM": "xterm", "PAUSE": "0.02"}
    )
    os.close(follower)
    seen = b""
    while chunk := read_or_nothing(leader):
        seen += chunk
    os.close(leader)
    assert process.wait(timeout=30) == 0
    assert b"\x1b[" in seen and b"epoch" in seen and b"band met" in seen


def read_or_nothing(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


def test_a_missing_extra_is_named_before_training(run, tiny, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else real(name, *a))
    with pytest.raises(
        RecipeError, match=r"needs matplotlib, not installed here. Install: pip install 'tilegrad\[course\]'.*--no-plots"
    ):
        run(plots=True)
    assert not (tmp_path / "runs").exists()
    assert run(plots=False).exit_code == 0


# --- the parts --------------------------------------------------------------------------------------------------------


def test_options_are_typed_and_checked():
    read = recipes.read_value
    assert read("k", int, "1e3") == 1000 and read("k", float, "2e-3") == 0.002 and read("k", bool, "no") is False
    assert read("k", tuple[int, ...], "128,64") == (128, 64) and read("k", tuple[int, ...], [3]) == (3,)
    assert read("k", float | None, "none") is None and read("k", int | None, "4") == 4
    for kind, text, message in [
        (int, "1.5", "k='1.5' is not a int"),
        (float, "x", "k='x' is not a float"),
        (bool, "maybe", "k='maybe' is not a bool"),
        (recipes.Literal["gd", "sgd"], "sdg", r"k='sdg' is not one of gd, sgd \(did you mean 'sgd'\?\)"),
    ]:
        with pytest.raises(RecipeError, match=message):
            read("k", kind, text)


def test_unknown_option_names_the_nearest(run):
    with pytest.raises(RecipeError, match=r"unknown option 'bandd' \(did you mean 'band'\?\); options: epochs, lr, band"):
        run(set={"bandd": "1"})
    with pytest.raises(RecipeError, match="epochs=0: at least one is needed"):
        run(epochs=0)
    with pytest.raises(RecipeError, match="has no --full version"):
        run(full=True)
    with pytest.raises(RecipeError, match="device 'warp' cannot be used"):
        run(device="warp")
    with pytest.raises(RecipeError, match="seed=-1: 0 or more is needed"):
        run(seed=-1)
    with pytest.raises(RecipeError, match=r"cannot make a run folder in .*Not a directory"):
        run(out=__file__)


def test_checks_can_fail_and_nan_never_passes():
    nan = math.nan
    checks = [Check.at_least("", nan, 0), Check.at_most("", nan, 0), Check.within("", nan, 0, 1), Check.equal("", nan, nan)]
    assert not any(check.passed for check in checks)
    assert Check.within("", 2.0005, 2, 1e-3).passed and not Check.within("", 2.002, 2, 1e-3).passed
    assert Check.at_least("", 1, 1).passed and not Check.at_most("", 1.01, 1).passed


def test_curve_has_its_ends_where_they_belong():
    lines = curve([0, 1, 2], [0, 1, 2], width=3, height=3, braille=False)
    assert [line[12:] for line in lines[:3]] == ["  *", " *", "*"]
    assert lines[0].split("|")[0].strip() == "2" and lines[2].split("|")[0].strip() == "0"
    assert curve([0], [1]) == [] and curve([0, 1], [math.nan, math.inf]) == []
    assert "(log scale)" in curve([0, 1], [1, 1000], title="loss")[0]
    assert "\u28ff" >= max(max(line) for line in curve(range(500), np.sin(np.arange(500)))) >= "\u2800"


def test_smooth_is_the_lectures_formula():
    noisy = np.random.default_rng(0).normal(size=50).tolist()
    smoothed = smooth(noisy, 0.3)
    assert smoothed[0] == noisy[0] and smoothed[1] == pytest.approx(0.3 * noisy[1] + 0.7 * noisy[0])
    assert np.var(np.diff(smoothed)) < np.var(np.diff(noisy))


def test_standardise_uses_the_columns_of_the_other_table():
    train_x, test_x = tg.tensor([[0.0, 1.0], [2.0, 5.0]]), tg.tensor([[1.0, 7.0]])
    assert standardise(train_x, train_x).tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    assert standardise(test_x, train_x).tolist() == [[0.0, 2.0]]


def test_small_texts():
    assert table(("a", "bb"), [("xx", 1)], right=(1,)) == ["a   bb", "--  --", "xx   1"]
    assert [seconds_text(s) for s in (0.44, 12, 125, 3725)] == ["0.4 s", "12 s", "2:05", "1:02:05"]
