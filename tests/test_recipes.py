"""Every recipe works in --smoke, the lessons meet their bands, and their checks can fail."""

import inspect
import io
import sys

import numpy as np
import pytest

from tilegrad.course import load_recipe, recipe_names
from tilegrad.course.critical_points import kind_of_point
from tilegrad.course.trainer import train
from tilegrad.course.trainer.output import Output
from tilegrad.course.trainer.recipe import RecipeError, option_help


@pytest.fixture
def run(tmp_path):
    def go(name, **keywords):
        stream = io.StringIO()
        result = train(name, out=str(tmp_path), output=Output(stream), **{"plots": False, **keywords})
        result.text = stream.getvalue()
        return result

    return go


@pytest.mark.parametrize("name", recipe_names())
def test_smoke(run, name):
    result = run(name, smoke=True)
    assert result.exit_code == 0, result.text
    for step in ("1. model", "2. loss", "3. optimisation"):
        assert step in result.text


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_describes_itself(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert all((recipe.title, recipe.rows, recipe.kind, recipe.data, recipe.band, recipe.__module__))
    assert all(help for _, _, _, help in option_help(recipe.Options))
    assert len(inspect.getsource(sys.modules[recipe.__module__]).splitlines()) < 400


@pytest.mark.parametrize(
    "name, options",
    [
        ("linreg", {}),
        ("linreg", {"method": "sgd"}),
        ("linreg", {"method": "grid"}),
        ("softmax-reg", {}),
        ("mlp", {}),
        ("critical-points", {}),
        ("autoencoder", {}),
        ("autoencoder", {"denoise": "yes"}),
        ("self-attention", {}),
        ("lenet", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()) or "default",
)
def test_the_band_is_met(run, name, options):
    result = run(name, set=options)
    assert result.exit_code == 0, result.text
    assert result.checks and all(check.passed for check in result.checks)


@pytest.mark.parametrize(
    "name, options, check",
    [
        ("linreg", {"epochs": 2, "lr": 1e-4}, "diabetes: R2 on the test patients"),
        ("softmax-reg", {"epochs": 1, "lr": 1e-5}, "test accuracy"),
        ("mlp", {"epochs": 1, "lr": 1e-5}, "test accuracy"),
        ("critical-points", {"epochs": 3, "alpha": 0}, "loss after a step along u and descent"),
    ],
)
def test_the_check_fails_when_the_lesson_does(run, name, options, check):
    result = run(name, set=options)
    assert result.exit_code == 1 and "band NOT met" in result.text
    assert [c.passed for c in result.checks if c.name == check] == [False]


def write_mnist(folder):
    """Files in the official format with 300 and 100 images: class c has its pixels inked in columns 2 c and 2 c + 1."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 300), ("t10k", 100)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[:, 2 * label : 2 * label + 2] = rng.integers(128, 256, (28, 2))
        head = np.array([2051, count, 28, 28], dtype=">i4").tobytes(), np.array([2049, count], dtype=">i4").tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head[0] + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(head[1] + labels.tobytes())


@pytest.mark.parametrize("name", ["softmax-reg", "mlp", "lenet"])
def test_digits_can_be_the_official_mnist_files(run, tmp_path, name):
    write_mnist(tmp_path)
    result = run(name, set={"mnist": str(tmp_path), "epochs": 4, "batch": 16})
    assert result.metrics["test accuracy"] > 0.9, result.text
    assert "784" in result.text or name == "lenet"


def test_missing_mnist_files_are_named(run, tmp_path):
    with pytest.raises(RecipeError, match=r"train-images-idx3-ubyte"):
        run("lenet", set={"mnist": str(tmp_path / "nowhere")})


def test_a_too_large_step_diverges(run):
    result = run("linreg", set={"lr": "11"})
    assert (result.status, result.exit_code) == ("diverged", 1) and "diverged: the loss grew from" in result.text


def test_linreg_draws_its_surface(run):
    result = run("linreg", set={"surface": "yes"}, epochs=40, plots=True)
    assert (result.folder.path / "surface.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "diagonal, kind",
    [
        ((1, 2), "local minimum"),
        ((-1, -2), "local maximum"),
        ((-1, 2), "saddle"),
        ((0, 2), "flat point the Hessian cannot judge"),
    ],
)
def test_points_are_named_by_the_signs_of_the_eigenvalues(diagonal, kind):
    assert kind_of_point(np.diag(np.array(diagonal, dtype=float))) == kind
