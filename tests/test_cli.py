"""The command line: what it prints, what it refuses and how, and that asking for help costs nothing."""

import json
import subprocess
import sys

import pytest

from tilegrad.cli import COMMANDS, main
from tilegrad.cli import verify as verify_command
from tilegrad.course import recipe_names


def refused(capsys, *arguments):
    """Exit code 2, nothing on stdout, one line on stderr, which is returned."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tilegrad: ") and err.count("\n") == 1
    return err


def test_help_names_every_command(capsys):
    for arguments in ((), ("--help",), ("-h",), ("help",)):
        assert main(arguments) == 0
        text = capsys.readouterr().out
        assert all(command in text for command in COMMANDS) and len(text.splitlines()) < 24


def test_help_imports_nothing_heavy():
    code = """
import sys, tilegrad
before = set(sys.modules)
from tilegrad.cli import main
main(["--help"])
print(sorted(name for name in set(sys.modules) - before if not name.startswith("tilegrad.cli")))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys, command):
    with pytest.raises(SystemExit) as exit:
        if main([command, "--help"]) == 0:  # train shows the recipe's options too and returns
            raise SystemExit(0)
    assert exit.value.code == 0
    assert f"usage: tilegrad {command}" in capsys.readouterr().out


def test_version(capsys):
    import tilegrad

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tilegrad {tilegrad.__version__}\n"


@pytest.mark.parametrize(
    "arguments, text",
    [
        ("trian mlp", "unknown command 'trian' (did you mean 'train'?); commands: list, train, verify, doctor, bench, explain"),
        ("train mpl", "unknown recipe 'mpl' (did you mean 'mlp'?); see `tilegrad list`"),
        ("train nothing.py", "no recipe file "),
        ("train", "which recipe? try: tilegrad train mlp, or tilegrad list"),
        ("train mlp --epoch 3", "unknown argument '--epoch' (did you mean '--epochs'?); see tilegrad train --help"),
        ("train linreg --methd gd", "unknown argument '--methd' (did you mean '--method'?)"),
        ("train linreg --method sdg", "method='sdg' is not one of gd, sgd, grid (did you mean 'sgd'?)"),
        ("train linreg --method", "--method needs a value (gd|sgd|grid)"),
        ("train linreg extra", "unknown argument 'extra'"),
        (
            "train mlp --set hiden=3",
            "unknown option 'hiden' (did you mean 'hidden'?); options: epochs, lr, batch, mnist, hidden, split",
        ),
        ("train mlp --set lr", "--set lr: expected KEY=VALUE"),
        ("train mlp --set lr=fast", "lr='fast' is not a float"),
        ("train mlp --seed x", "argument --seed: invalid int value: 'x'; see tilegrad train --help"),
        ("train mlp --smoke --full", "argument --full: not allowed with argument --smoke"),
        ("train mlp --device cuda", "device 'cuda' cannot be used: "),
        ("train --resume nowhere", "no run folder 'nowhere'"),
        ("list mlpp", "unknown recipe 'mlpp' (did you mean 'mlp'?)"),
        ("list --jsn", "unknown argument '--jsn' (did you mean '--json'?)"),
        ("doctor now", "unknown argument 'now'"),
        ("bench sofmax", "no case 'sofmax' (did you mean 'softmax'?); `tilegrad bench --list` shows them"),
        ("bench --vs tourch", "--vs: unknown peer 'tourch' (did you mean 'torch'?); peers: numpy, torch, torch-tuned, "),
        ("bench --threads two", "--threads two: expected numbers like 1,2"),
        ("bench --threads 0", "--threads 0: at least 1"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(capsys, arguments, text):
    import tilegrad as tg

    if "cuda" in arguments and tg.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert text in refused(capsys, *arguments.split())


def test_list_shows_every_recipe(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in recipe_names())
    assert main(["list", "--json"]) == 0
    assert [recipe["name"] for recipe in json.loads(capsys.readouterr().out)] == recipe_names()
    assert main(["list", "mlp"]) == 0
    text = capsys.readouterr().out
    assert "hidden" in text and "128,64" in text and "mlp.py" in text


def test_train_help_shows_the_recipes_options(capsys):
    assert main(["train", "linreg", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--no-plots" in text and "gd|sgd|grid" in text


def test_train_takes_a_recipes_options_as_flags(capsys, tmp_path):
    arguments = ["train", "linreg", "--method=grid", "--surface", "--lr", "0.1", "--no-plots", "--out", str(tmp_path)]
    assert main(arguments) == 0
    options = json.loads((tmp_path / "linreg" / "001" / "config.json").read_text())["options"]
    assert options == {"epochs": None, "method": "grid", "lr": 0.1, "surface": True}
    assert "next: tilegrad train" in capsys.readouterr().out


def test_doctor(capsys):
    code = main(["doctor", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert code == 0 and facts["ok"]
    assert facts["verdict"].startswith("OK: cpu, ISA ")
    assert facts["cuda"]["available"] or facts["cuda"]["reason"]
    assert sum(row["selected"] for row in facts["cpu"]["isa"]) == 1 and facts["threads"]["chosen"] >= 1
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == facts["verdict"] and any("SELECTED" in line for line in lines)


def test_doctor_says_what_is_broken(capsys, monkeypatch):
    from tilegrad.cli import doctor

    def broken(tg):
        raise AssertionError("softmax is off by one")

    monkeypatch.setattr(doctor, "self_test", broken)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.startswith("BROKEN: self-test failed: AssertionError: softmax is off by one; cpu, ISA")


# --- verify -----------------------------------------------------------------------------------------------------------


class FakeSpec:
    """An op spec whose comparisons come out as told."""

    def __init__(self, name, outcomes):
        self.name, self.outcomes, self.dtypes = name, outcomes, ("float32",)

    def samples_for(self, dtype, rng):
        return self.outcomes

    def compare(self, sample, dtype, device):
        if isinstance(sample, Exception):
            raise sample
        return sample


def test_verify_shows_errors_and_fails_on_any(capsys, monkeypatch):
    specs = [FakeSpec("good", [0.0, 0.25]), FakeSpec("off", [0.1, AssertionError("off(...): 1.0, expected 2.0")])]
    monkeypatch.setattr(verify_command, "chosen_specs", lambda names: specs[: 1 if names else 2])
    assert main(["verify", "--op", "good"]) == 0
    text = capsys.readouterr().out
    assert "0.25" in text and "1 ops, 2 samples" in text and "all agree with NumPy" in text
    assert main(["verify"]) == 1
    text = capsys.readouterr().out
    assert "FAILED off(...): 1.0, expected 2.0" in text and "1 FAILED" in text
    assert main(["verify", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"] and [v["error"] for v in report["verdicts"]] == [0.25, None]


def test_a_crash_is_a_failure_too(capsys, monkeypatch):
    monkeypatch.setattr(verify_command, "chosen_specs", lambda names: [FakeSpec("gone", [RuntimeError("no kernel")])])
    assert main(["verify"]) == 1
    assert "gone" in capsys.readouterr().out


def test_verify_of_a_real_op(capsys):
    pytest.importorskip("tilegrad.testing.specs")
    assert main(["verify", "--op", "softmax"]) == 0
    assert "all agree with NumPy" in capsys.readouterr().out
    assert "did you mean 'softmax'" in refused(capsys, "verify", "--op", "sofmax")
