"""What a training run says to the person watching: the first lines, and the last ones."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import tilegrad as tg

from .output import Output, seconds_text, table
from .pictures import column
from .plot import curve
from .progress import show_metrics
from .recipe import Check, Recipe
from .run_folder import RunFolder

if TYPE_CHECKING:
    from .loop import Loop
    from .train import Result


def header(output: Output, recipe: Recipe, device: str) -> None:
    """Where it runs, the three steps of the lecture (row B02), and the model's layers with their parameters."""
    threads = tg.get_num_threads()
    machine = f"{device}, ISA {tg._core.isa_name()}, {threads} thread{'s' * (threads != 1)}"
    output.say(f"{machine}, tilegrad {tg.__version__}, seed {recipe.seed}")
    output.say(f"{recipe.name}: {recipe.title}  [{recipe.rows}]")
    for number, (step, text) in enumerate(zip(("model", "loss", "optimisation"), recipe.three_steps(), strict=True), 1):
        output.say(f"  {number}. {step:<13}{text}")
    rows, total = layer_rows(recipe)
    if rows:
        for line in table(("layer", "type", "parameters", "shapes"), [*rows, ("total", "", f"{total:,}", "")], right=(2,)):
            output.say("  " + line)


def layer_rows(recipe: Recipe) -> tuple[list[tuple[str, str, str, str]], int]:
    """One row per layer that owns parameters or has no layers inside; and the number of parameters in all."""
    rows, total = [], 0
    for name, model in recipe.modules().items():
        if not any(True for _ in model.parameters()):  # a loss module
            continue
        for path, layer in model.named_modules():
            own = [p for key, p in layer.named_parameters() if "." not in key]
            if own or not any(True for _ in layer.children()):
                count = sum(p.numel() for p in own)
                total += count
                shapes = " ".join("x".join(map(str, p.shape)) for p in own)
                rows.append((f"{name}.{path}" if path else name, type(layer).__name__, f"{count:,}" if count else "-", shapes))
    return rows, total


def ending(output: Output, result: Result, loop: Loop, seconds: float, problem: str, smoke: bool) -> None:
    """The curve, the metrics, every check with its band, and what to try next."""
    recipe = result.recipe
    updates, losses = column(recipe.history, "loss")
    for line in curve(updates, losses, title="loss over updates", braille=output.can_write("\u28ff")):
        output.say(line)
    rate = loop.samples / seconds if seconds else 0.0
    best = f", best epoch {loop.best['epoch']}" if loop.best else ""
    output.say(f"{loop.updates} updates in {loop.epoch} epochs, {seconds_text(seconds)}, {rate:,.0f} samples/s{best}")
    if result.metrics:
        output.say(show_metrics(result.metrics))
    if problem:
        output.say(problem)
        output.say("a smaller step size usually cures it; see the options: tilegrad list " + recipe.name)
    else:
        for line in recipe.remarks():
            output.say("  " + line)
        output.say(
            "a smoke run is too short for the lesson's bands; what must hold already:" if smoke else "what the lecture claims:"
        )
        for line in table(("check", "value", "expected", "row", ""), [check_row(check) for check in result.checks], right=(1,)):
            output.say("  " + line)
    verdict = "stopped" if problem else "band met" if result.exit_code == 0 else "band NOT met"
    output.say(f"{verdict}; saved {result.folder.path}")
    for command in recipe.next_commands:
        output.say(f"next: {command}")


def check_row(check: Check) -> tuple[str, str, str, str, str]:
    """The cells of one check; a yes-or-no claim shows yes or no."""
    value = ("no", "yes")[check.value] if isinstance(check.value, bool) else f"{check.value:.5g}"
    return check.name, value, check.band, check.rows, "ok" if check.passed else "FAILED"


def interrupted(output: Output, folder: RunFolder) -> None:
    """How to go on with a run that was stopped."""
    output.say(f"interrupted; the checkpoint is saved. Go on with:\n  tilegrad train --resume {shlex.quote(str(folder.path))}")
