"""The training loop of every recipe: epochs of updates, evaluation, logging, and checkpoints that resume bit-exactly.

How resuming can be exact in the middle of an epoch: a checkpoint holds the random states at the *start* of the epoch
and *now*. The resumed run sets the first, starts the epoch again (which draws the same order of batches), skips the
batches already used, then loads the models and sets the second.
"""

from __future__ import annotations

import math
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

import tilegrad as tg

from .progress import Progress
from .recipe import Recipe, RecipeError
from .run_folder import RunFolder

FORMAT = 1  # of the checkpoint


class Interrupted(Exception):
    """Ctrl-C or SIGTERM arrived; the checkpoint is written."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class Diverged(Exception):
    """The loss left the finite numbers, or grew far beyond where it began (row B07)."""


def seed_everything(seed: int) -> None:
    """Seed tilegrad, NumPy's and Python's generators."""
    tg.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state(recipe: Recipe) -> dict[str, Any]:
    """The state of every generator a recipe may draw from, as tensors and JSON values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, gauss_next = random.getstate()
    return {
        "tilegrad": tg.get_rng_state(),
        "recipe": recipe.rng.bit_generator.state,
        "numpy": [kind, np.asarray(keys).tolist(), int(position), int(has_gauss), float(gauss)],
        "python": [version, list(internal), gauss_next],
    }


def set_random_state(recipe: Recipe, state: dict[str, Any]) -> None:
    tg.set_rng_state(state["tilegrad"])
    recipe.rng.bit_generator.state = state["recipe"]
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))


class Loop:
    """One run of one recipe in one folder. ``fit`` returns when the last epoch is done, or raises Interrupted/Diverged."""

    def __init__(self, recipe: Recipe, folder: RunFolder, *, device: str, log_every: int, checkpoint_seconds: float) -> None:
        self.recipe, self.folder, self.device, self.log_every = recipe, folder, device, log_every
        self.events: Any = None  # an EventFile, when pictures are wanted
        self.checkpoint_seconds = checkpoint_seconds
        self.epoch = self.batch = self.updates = self.samples = 0  # position: complete epochs, batches of this one, ...
        self.first_loss: float | None = None
        self.window = [0.0, 0]  # sum and count of the losses since the last logged row
        self.metrics: dict[str, float] = {}  # of the last evaluation
        self.best: dict[str, Any] | None = None  # {"value", "epoch", "models"}
        self.epoch_random: dict[str, Any] = {}
        self._resume: dict[str, Any] | None = None
        self._signal = 0
        self._saved = -math.inf  # when the last checkpoint was written

    # --- training -----------------------------------------------------------------------------------------------------

    def fit(self, progress: Progress) -> None:
        """Train until ``epochs`` epochs are complete."""
        recipe = self.recipe
        with self._catch_signals():
            if not self._resume:
                self.epoch_random = random_state(recipe)
                self.recipe.history = self.folder.open_metrics(0)
                self.save()
            while self.epoch < recipe.epochs:
                stream = self._start_epoch()
                for batch in stream:
                    self._update(batch, progress)
                    if self._signal:
                        self.save()
                        raise Interrupted(self._signal)
                    self._save_sometimes()
                self._end_epoch(progress)

    def _start_epoch(self) -> Iterator[Any]:
        """The batches of the epoch still to be used; after a resume, in the state the checkpoint describes."""
        recipe, resume = self.recipe, self._resume
        self._resume = None
        if resume:
            set_random_state(recipe, self.epoch_random)
        else:
            self.epoch_random = random_state(recipe)
        self._set_training(True)
        if resume and not self.batch:  # the checkpoint stands between two epochs: nothing to replay
            recipe.load_state_dict(resume["recipe"])
        recipe.begin_epoch(self.epoch)
        stream = iter(recipe.batches(self.epoch))
        if resume and self.batch:
            for _ in islice(stream, self.batch):
                pass
            recipe.load_state_dict(resume["recipe"])
            set_random_state(recipe, resume["random"])
        return stream

    def _update(self, batch: Any, progress: Progress) -> None:
        result = self.recipe.optimize(to_device(batch, self.device))
        logged = {name: number(value) for name, value in (result if isinstance(result, dict) else {"loss": result}).items()}
        loss = logged["loss"]
        self.updates += 1
        self.batch += 1
        size = batch_size(batch)
        self.samples += size
        self._check_finite(loss)
        self.window = [self.window[0] + loss, self.window[1] + 1]
        if self.updates % self.log_every == 0:
            self._log({**logged, "loss": self.window[0] / self.window[1]})
            self.window = [0.0, 0]
        progress.update(self.updates, self.epoch, size, loss, self.metrics)

    def _check_finite(self, loss: float) -> None:
        if self.first_loss is None:
            self.first_loss = loss
        where = f"after update {self.updates} (epoch {self.epoch + 1})"
        if not math.isfinite(loss):
            raise Diverged(f"diverged: the loss is {loss} {where}")
        if abs(loss) > self.recipe.divergence * (1 + abs(self.first_loss)):
            raise Diverged(f"diverged: the loss grew from {self.first_loss:.4g} to {loss:.4g} {where}")

    def _end_epoch(self, progress: Progress) -> None:
        recipe = self.recipe
        self._set_training(False)
        self.metrics = {name: number(value) for name, value in recipe.evaluate().items()}
        self.epoch, self.batch = self.epoch + 1, 0
        if self.metrics:
            self._log(self.metrics)
        before = random_state(recipe)  # showing samples must not change the training
        lines = recipe.sample()
        set_random_state(recipe, before)
        if lines:
            progress.say(lines)
            self.folder.append_samples(self.epoch, lines)
        if recipe.best:
            name, direction = recipe.best
            value = self.metrics[name]
            if self.best is None or (value < self.best["value"] if direction == "min" else value > self.best["value"]):
                models = {key: model.state_dict() for key, model in recipe.modules().items()}
                self.best = {"value": value, "epoch": self.epoch, "models": copy_tree(models)}
        self.epoch_random = random_state(recipe)
        if self._signal:
            self.save()
            raise Interrupted(self._signal)
        self._save_sometimes(last=self.epoch >= recipe.epochs)

    def finish(self) -> dict[str, float]:
        """The final metrics, measured on the best epoch's model where the recipe keeps one."""
        if self._resume:  # a complete run was opened again
            set_random_state(self.recipe, self.epoch_random)
            self.recipe.load_state_dict(self._resume["recipe"])
        if self.best:
            for key, model in self.recipe.modules().items():
                model.load_state_dict(self.best["models"][key])
        self._set_training(False)
        return {name: number(value) for name, value in self.recipe.finish().items()}

    def _log(self, row: dict[str, float]) -> None:
        row = {"update": self.updates, "epoch": self.epoch, **row}
        self.recipe.history.append(row)
        self.folder.append_metrics(row)
        if self.events:
            self.events.add(row)

    def _set_training(self, training: bool) -> None:
        for model in self.recipe.modules().values():
            model.train(training)

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _save_sometimes(self, last: bool = False) -> None:
        """Checkpoint when the last one is old enough: a short epoch should not spend its time on the disk."""
        if last or time.perf_counter() - self._saved > self.checkpoint_seconds:
            self.save()

    def save(self) -> None:
        """Replace the checkpoint atomically; what it counts on (the metrics rows) reaches the disk before it."""
        self.folder.sync_metrics()
        state = {
            "format": FORMAT,
            "name": self.recipe.name,
            "position": [self.epoch, self.batch, self.updates, self.samples],
            "rows": len(self.recipe.history),
            "window": self.window,
            "first_loss": self.first_loss,
            "metrics": self.metrics,
            "best": self.best,
            "epoch_random": self.epoch_random,
            "random": random_state(self.recipe),
            "recipe": self.recipe.state_dict(),
        }
        tg.io.save(state, self.folder.checkpoint_file)
        self._saved = time.perf_counter()

    def load(self) -> None:
        """Read the checkpoint of the folder; the models themselves are loaded when the next epoch starts."""
        try:
            state = tg.io.load(self.folder.checkpoint_file)
        except (ValueError, OSError) as error:
            raise RecipeError(str(error)) from None
        if not isinstance(state, dict) or state.get("format") != FORMAT or state.get("name") != self.recipe.name:
            raise RecipeError(f"{self.folder.checkpoint_file} is not a checkpoint of {self.recipe.name!r} in format {FORMAT}")
        self.epoch, self.batch, self.updates, self.samples = state["position"]
        self.window, self.first_loss, self.metrics = list(state["window"]), state["first_loss"], state["metrics"]
        self.best, self.epoch_random = state["best"], state["epoch_random"]
        self.recipe.history = self.folder.open_metrics(state["rows"])
        self._resume = state

    @contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM) lets the current update finish; the second stops at once."""

        def remember(number: int, frame: Any) -> None:
            self._signal = number
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

        try:
            before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: signals are somebody else's business
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


# --- batches and trees ------------------------------------------------------------------------------------------------


def number(value: Any) -> float:
    """A Python float from a number or a tensor with one element."""
    return float(value.item() if hasattr(value, "item") else value)


def batch_size(batch: Any) -> int:
    """How many samples a batch holds: the length of its first array, 1 for anything without a length."""
    if isinstance(batch, dict):
        batch = next(iter(batch.values()))
    if isinstance(batch, (tuple, list)) and batch and hasattr(batch[0], "shape"):
        batch = batch[0]
    shape = getattr(batch, "shape", None)
    return int(shape[0]) if shape else 1


def to_device(batch: Any, device: str) -> Any:
    """The batch with its tensors on ``device``; the CPU's tensors are used as they are."""
    if device == "cpu":
        return batch
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(part, device) for part in batch)
    return batch.to(device) if isinstance(batch, tg.Tensor) else batch


def copy_tree(tree: Any) -> Any:
    """A deep copy of nested dicts of tensors, so that the next update does not change it."""
    if isinstance(tree, dict):
        return {key: copy_tree(value) for key, value in tree.items()}
    return tree.detach().clone() if isinstance(tree, tg.Tensor) else tree
