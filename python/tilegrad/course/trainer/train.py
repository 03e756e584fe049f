"""``tilegrad train`` as a function: make or reopen a run, train it, judge it, and leave its folder complete."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tilegrad as tg

from . import report
from .loop import Diverged, Interrupted, Loop, seed_everything
from .output import Output
from .pictures import EventFile, draw_curves, require
from .progress import Progress
from .recipe import Check, Recipe, RecipeError, override
from .run_folder import RunFolder


@dataclass
class Result:
    """How a run ended. ``exit_code``: 0 band met, 1 not met or diverged, 130 interrupted (143 by SIGTERM)."""

    status: str  # completed, diverged, interrupted
    exit_code: int
    metrics: dict[str, float]
    checks: list[Check]
    folder: RunFolder
    recipe: Recipe


def train(
    name: str | None = None,
    *,
    seed: int | None = None,
    device: str | None = None,
    epochs: int | None = None,
    set: Mapping[str, Any] | None = None,
    out: str = "runs",
    resume: str | None = None,
    smoke: bool = False,
    full: bool = False,
    plots: bool = True,
    output: Output | None = None,
    checkpoint_seconds: float = 2.0,
) -> Result:
    """Train recipe ``name`` and judge it; every argument is the command line's option of the same name.

    ``resume`` names a run folder to go on with. Raises RecipeError, before anything is trained, for what cannot be done.
    """
    output = output or Output()
    folder = None
    changes = dict(set or {}) | ({} if epochs is None else {"epochs": epochs})
    if resume:
        folder = RunFolder.existing(resume)
        config = folder.read_json(folder.config_file)
        recipe = _reopen(config, folder, name, changes, seed, device, smoke or full)
        choose_device(config["device"])
    else:
        if name is None:
            raise RecipeError("which recipe? see `tilegrad list`")
        name = str(Path(name).resolve()) if name.endswith(".py") else name
        recipe = _create(name, changes, 0 if seed is None else seed, smoke, full)
        config = {
            "recipe": name,
            "seed": recipe.seed,
            "device": choose_device(device or "auto"),
            "smoke": smoke,
            "plots": plots,
        }
    plots = plots and config["plots"]
    require(recipe.needs, f"recipe {recipe.name}")
    if plots:
        require(("matplotlib", "tensorboard"), "drawing curves", "; or go on without pictures: --no-plots")
    return _run(recipe, config, folder, out, plots, output, checkpoint_seconds)


def _run(
    recipe: Recipe,
    config: dict[str, Any],
    folder: RunFolder | None,
    out: str,
    plots: bool,
    output: Output,
    checkpoint_seconds: float,
) -> Result:
    seed_everything(recipe.seed)
    recipe.setup()
    for model in recipe.modules().values():
        if config["device"] != "cpu":
            model.to(config["device"])
    report.header(output, recipe, config["device"])
    total = _total_updates(recipe)
    config.setdefault("log_every", max(1, (total or 1000) // 1000))
    config.setdefault("isa", tg._core.isa_name())
    config["options"] = dataclasses.asdict(recipe.options)
    resumed = folder is not None
    if folder is None:
        folder = RunFolder.create(out, recipe.name)
    before = _seconds_before(folder)
    loop = Loop(recipe, folder, device=config["device"], log_every=config["log_every"], checkpoint_seconds=checkpoint_seconds)
    if resumed:
        loop.load()
        isa = tg._core.isa_name()
        if config["isa"] != isa:
            output.say(
                f"note: this run began with ISA {config['isa']}; with {isa} it goes on, but not bit for bit (TILEGRAD_ISA)"
            )
        output.say(f"resuming {folder.path} at update {loop.updates} (epoch {loop.epoch + 1})")
    folder.write_json(folder.config_file, config)
    if plots:
        loop.events = EventFile(folder.path, loop.updates if resumed else None)
    progress = Progress(output, total, recipe.epochs, loop.updates)
    started = time.perf_counter()
    status, exit_code, problem, metrics, checks = "completed", 0, "", {}, []
    try:
        loop.fit(progress)
        progress.close(loop.updates)
        metrics = loop.finish()
        checks = (recipe.smoke_checks if config["smoke"] else recipe.checks)(metrics)
        exit_code = 0 if all(check.passed for check in checks) else 1
    except Diverged as error:
        status, exit_code, problem, metrics = "diverged", 1, str(error), loop.metrics
    except Interrupted as error:
        status, exit_code, metrics = "interrupted", error.exit_code, loop.metrics
    except KeyboardInterrupt:  # the second Ctrl-C: the last checkpoint stands
        progress.close(loop.updates)
        report.interrupted(output, folder)
        raise
    finally:
        progress.close(loop.updates)
        folder.close()
        if loop.events:
            loop.events.close()
    seconds = before + time.perf_counter() - started
    result = Result(status, exit_code, metrics, checks, folder, recipe)
    folder.write_json(folder.summary_file, _summary(result, loop, config, seconds))
    if status == "interrupted":
        report.interrupted(output, folder)
        return result
    if plots:
        _draw(recipe, folder, output)
    report.ending(output, result, loop, seconds, problem, bool(config["smoke"]))
    return result


def _draw(recipe: Recipe, folder: RunFolder, output: Output) -> None:
    """The pictures; a picture that cannot be drawn must not take the result of the training with it."""
    try:
        draw_curves(recipe, folder.path / "curves.png")
        recipe.figures(folder.path)
    except Exception as error:
        output.say(f"the pictures could not be drawn: {type(error).__name__}: {error}")


def choose_device(device: str) -> str:
    """``auto`` is CUDA where it works, else the CPU; a device that cannot be used is an error with its reason."""
    if device == "auto":
        return "cuda" if tg.cuda.is_available() else "cpu"
    if device.split(":")[0] == "cuda" and not tg.cuda.is_available():
        raise RecipeError(f"device {device!r} cannot be used: {tg.cuda.unavailable_reason()}")
    try:
        tg.zeros(1, device=device)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise RecipeError(f"device {device!r} cannot be used: {error}") from None
    return device


def _create(name: str, changes: Mapping[str, Any], seed: int, smoke: bool, full: bool) -> Recipe:
    from tilegrad.course import load_recipe

    kind = load_recipe(name)
    if full and not kind.full:
        raise RecipeError(f"{name} has no --full version yet; its default is the whole lesson")
    options = override(kind.Options(), kind.full if full else kind.smoke if smoke else {})
    options = override(options, changes)
    if seed < 0:
        raise RecipeError(f"seed={seed}: 0 or more is needed")
    recipe = kind(options, seed)
    if recipe.epochs < 1:
        raise RecipeError(f"epochs={recipe.epochs}: at least one is needed")
    return recipe


def _reopen(
    config: dict[str, Any],
    folder: RunFolder,
    name: str | None,
    changes: Mapping[str, Any],
    seed: int | None,
    device: str | None,
    preset: bool,
) -> Recipe:
    """The recipe of an earlier run with its options; only ``epochs`` may be changed, to train for longer."""
    from tilegrad.course import load_recipe

    if name is not None and config["recipe"] not in (name, str(Path(name).resolve())):
        raise RecipeError(f"{folder.path} is a run of {config['recipe']!r}, not of {name!r}")
    refused = [key for key in changes if key != "epochs"]
    refused += [key for key, value in (("seed", seed), ("device", device)) if value not in (None, config[key])]
    refused += ["smoke/full"] if preset else []
    if refused:
        raise RecipeError(f"a resumed run keeps its {', '.join(refused)}; only --epochs can change (see {folder.config_file})")
    if not folder.checkpoint_file.is_file():
        raise RecipeError(f"{folder.path} has no checkpoint yet; start the recipe again: tilegrad train {config['recipe']}")
    kind = load_recipe(config["recipe"])
    return kind(override(override(kind.Options(), config["options"]), changes), config["seed"])


def _total_updates(recipe: Recipe) -> int | None:
    try:
        return len(recipe.batches(0)) * recipe.epochs  # type: ignore[arg-type]
    except TypeError:
        return None


def _seconds_before(folder: RunFolder) -> float:
    """Seconds earlier sessions of this run took, as far as they could still write them down."""
    return float(folder.read_json(folder.summary_file).get("seconds", 0)) if folder.summary_file.is_file() else 0.0


def _summary(result: Result, loop: Loop, config: dict[str, Any], seconds: float) -> dict[str, Any]:
    return {
        "recipe": result.recipe.name,
        "title": result.recipe.title,
        "rows": result.recipe.rows,
        "status": result.status,
        "passed": bool(result.checks) and all(check.passed for check in result.checks),
        "metrics": result.metrics,
        "checks": [dataclasses.asdict(check) for check in result.checks],
        "seed": config["seed"],
        "smoke": config["smoke"],
        "options": config["options"],
        "epochs": loop.epoch,
        "updates": loop.updates,
        "samples": loop.samples,
        "best_epoch": loop.best["epoch"] if loop.best else None,
        "seconds": round(seconds, 3),
        "device": config["device"],
        "isa": tg._core.isa_name(),
        "threads": tg.get_num_threads(),
        "versions": {"tilegrad": tg.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
