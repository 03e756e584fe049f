"""What a recipe is: a model with unknowns, a loss, an optimisation, and checks of what the lecture claims.

A recipe is one file in ``tilegrad/course``. It subclasses :class:`Recipe`, builds its data, model and optimiser in
``setup``, says what the ``loss`` of a batch is, and states in ``checks`` what must come out. Everything else - epochs,
progress, checkpoints, curves, resuming, exit codes - is the trainer's work and looks the same for all of them.

    class Mlp(Recipe):
        name, title, rows, kind = "mlp", "Handwritten digits with a multi-layer perceptron", "E09 E22", "classification"

        @dataclass
        class Options(Options):
            lr: float = option(2e-3, "step size of Adam")

        options: Options

        def setup(self): ...              # self.loader, self.model, self.optimizer
        def loss(self, batch): ...        # a scalar tensor
        def evaluate(self): ...           # {"test accuracy": 0.97}
        def checks(self, metrics): ...    # [Check.at_least("test accuracy", metrics["test accuracy"], 0.96)]
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np


class RecipeError(ValueError):
    """A recipe, option or run folder that cannot be used as asked; the text is meant for the person at the keyboard."""


def nearest(word: str, known: Iterable[str]) -> str:
    """``" (did you mean 'mlp'?)"`` or an empty string: the known word closest to a mistyped one."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


# --- options ----------------------------------------------------------------------------------------------------------


def option(default: Any, help: str) -> Any:
    """A hyper-parameter of a recipe: its default and one line saying what it is (row A17)."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass
class Options:
    """Hyper-parameters: what we choose, as opposed to what is learned. A recipe adds its own to this one."""

    epochs: int | None = option(10, "passes over the training data")


AnyOptions = Options  # the base class under a name that recipes do not hide by their own Options


def preset(**values: Any) -> Mapping[str, Any]:
    """Options of --smoke or --full, as a recipe states them."""
    return values


def option_help(cls: type[Options]) -> list[tuple[str, str, str, str]]:
    """(key, type, default, help) of every hyper-parameter, for ``tilegrad list NAME`` and ``--help``."""
    hints = get_type_hints(cls)
    return [(f.name, _type_name(hints[f.name]), _show(f.default), f.metadata.get("help", "")) for f in dataclasses.fields(cls)]


def override(options: Options, changes: Mapping[str, Any]) -> Options:
    """A copy of ``options`` with ``changes`` applied; text values are read as the option's type. Unknown keys raise."""
    hints = get_type_hints(type(options))
    for key in changes:
        if key not in hints:
            raise RecipeError(f"unknown option {key!r}{nearest(key, hints)}; options: {', '.join(hints)}")
    return dataclasses.replace(options, **{key: read_value(key, hints[key], value) for key, value in changes.items()})


def read_value(key: str, kind: Any, value: Any) -> Any:
    """Turn what was typed after ``--set key=`` (or read from config.json) into a value of type ``kind``."""
    text = str(value).strip()
    try:
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                return value
            raise RecipeError(
                f"{key}={text!r} is not one of {', '.join(map(str, get_args(kind)))}{nearest(text, map(str, get_args(kind)))}"
            )
        if get_origin(kind) in (Union, types.UnionType):  # Optional[T], T | None
            inner = next(part for part in get_args(kind) if part is not type(None))
            return None if value is None or text.lower() == "none" else read_value(key, inner, value)
        if get_origin(kind) is tuple:
            parts = list(value) if isinstance(value, (list, tuple)) else [p for p in text.split(",") if p.strip()]
            return tuple(read_value(key, get_args(kind)[0], part) for part in parts)
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}[
                text.lower()
            ]
        if kind is int:
            number = float(text) if "e" in text.lower() else int(text)
            if number != int(number):
                raise ValueError
            return int(number)
        if kind is float:
            return float(text)
        return text
    except RecipeError:
        raise
    except (ValueError, KeyError, OverflowError):
        raise RecipeError(f"{key}={text!r} is not a {_type_name(kind)}") from None


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"{_type_name(get_args(kind)[0])},..."
    return getattr(kind, "__name__", str(kind)).replace("NoneType", "none")


def _show(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


# --- checks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One claim of the lecture, measured. ``band`` says in words what ``value`` had to be; NaN never passes."""

    name: str
    value: float | bool
    band: str
    passed: bool
    rows: str = ""

    @classmethod
    def at_least(cls, name: str, value: float, low: float, rows: str = "") -> Check:
        """Holds if value >= low."""
        return cls(name, float(value), f">= {low:g}", bool(value >= low), rows)

    @classmethod
    def at_most(cls, name: str, value: float, high: float, rows: str = "") -> Check:
        """Holds if value <= high."""
        return cls(name, float(value), f"<= {high:g}", bool(value <= high), rows)

    @classmethod
    def within(cls, name: str, value: float, target: float, distance: float, rows: str = "") -> Check:
        """Holds if value is at most distance away from target."""
        return cls(name, float(value), f"{target:g} +- {distance:g}", bool(abs(value - target) <= distance), rows)

    @classmethod
    def equal(cls, name: str, value: float, target: float, rows: str = "") -> Check:
        """Holds if value is exactly target."""
        return cls(name, float(value), f"exactly {target:g}", bool(value == target), rows)

    @classmethod
    def true(cls, name: str, passed: bool, band: str, rows: str = "") -> Check:
        """A claim that is a yes or a no."""
        return cls(name, bool(passed), band, bool(passed), rows)


# --- the recipe -------------------------------------------------------------------------------------------------------


class Recipe:
    """One lesson that trains. Subclass it; see the head of this file.

    Every attribute with ``state_dict``/``load_state_dict`` (modules, optimisers, schedulers) is checkpointed, and every
    attribute named in ``remember`` (tensors, NumPy arrays, numbers, lists); that is all a recipe does to be resumable.
    Random choices come from tilegrad's generator or from ``self.rng`` - both are seeded and checkpointed.
    """

    name = ""  # what is typed after `tilegrad train`
    title = ""  # one line
    rows = ""  # rows of the course table it covers
    kind = ""  # regression, classification, optimisation, generation, ...
    data = ""  # which data, in words
    band = ""  # the expected result, in words, for `tilegrad list`
    seconds = 5  # about how long the default takes on 2 cores
    needs: tuple[str, ...] = ()  # modules beyond the core dependencies
    smoke: Mapping[str, Any] = preset(epochs=2)  # options of --smoke
    full: Mapping[str, Any] = preset()  # options of --full; empty: there is no longer version
    best: tuple[str, Literal["min", "max"]] | None = None  # keep the model of the epoch where this metric was best (row A19)
    remember: tuple[str, ...] = ()  # plain attributes that belong in the checkpoint
    divergence = 1e6  # stop when the loss exceeds this many times (1 + the first loss), row B07
    next_commands: tuple[str, ...] = ()  # what to try afterwards

    Options: type[AnyOptions] = Options  # a recipe with hyper-parameters of its own nests a dataclass of this name
    options: AnyOptions

    def __init__(self, options: AnyOptions | None = None, seed: int = 0) -> None:
        self.options = options if options is not None else self.Options()
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.history: list[dict[str, float]] = []  # the rows of metrics.jsonl

    @property
    def epochs(self) -> int:
        """How many epochs to train; a recipe whose ``epochs`` may be none works it out here."""
        assert self.options.epochs is not None
        return self.options.epochs

    # Step 1: a function with unknowns (and the data it is to fit).
    def setup(self) -> None:
        """Make the data, ``self.model`` and ``self.optimizer``. Called once, after seeding."""
        raise NotImplementedError

    # Step 2: a loss.
    def loss(self, batch: Any) -> Any:
        """How bad the unknowns are on one batch: a scalar tensor."""
        raise NotImplementedError

    # Step 3: optimisation.
    def optimize(self, batch: Any) -> Any:
        """One update. Returns the loss, or a dict whose "loss" is the loss and whose other entries are logged too."""
        loss = self.loss(batch)
        self.optimizer.zero_grad()  # type: ignore[attr-defined]
        loss.backward()
        self.optimizer.step()  # type: ignore[attr-defined]
        return loss

    def three_steps(self) -> tuple[str, str, str]:
        """The lecture's three steps (row B02) for this recipe: model, loss, optimisation, one line each."""
        raise NotImplementedError

    def batches(self, epoch: int) -> Iterable[Any]:
        """The batches of one epoch, in an order that depends on the random state only."""
        return self.loader  # type: ignore[attr-defined]

    def begin_epoch(self, epoch: int) -> None:
        """Called before the batches of an epoch (a schedule, a new task, a new start)."""

    def evaluate(self) -> dict[str, float]:
        """Metrics shown and logged after every epoch."""
        return {}

    def sample(self) -> list[str]:
        """Lines shown, and kept in samples.txt, after every epoch: what the model says by now. Random draws are its own."""
        return []

    def finish(self) -> dict[str, float]:
        """Metrics of the finished model, after the best epoch (if ``best`` is set) was loaded."""
        return self.evaluate()

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        """What must hold at the end; ``self.history`` has every logged row."""
        raise NotImplementedError

    def smoke_checks(self, metrics: dict[str, float]) -> list[Check]:
        """What must hold after a two-second run: numbers are finite and the loss falls."""
        losses = [row["loss"] for row in self.history if "loss" in row]
        third = max(1, len(losses) // 3)
        fall = float(np.mean(losses[:third]) - np.mean(losses[-third:])) if len(losses) > 1 else math.nan
        return [
            Check.true("every metric is finite", all(math.isfinite(v) for v in metrics.values()), "finite"),
            Check(name="fall of the loss", value=fall, band="> 0", passed=fall > 0),
        ]

    def remarks(self) -> list[str]:
        """Lines shown before the checks: a table, a generated text."""
        return []

    def figures(self, folder: Any) -> None:
        """Extra pictures for the run folder (matplotlib is there when this is called)."""

    # --- the checkpoint -----------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Everything that has to come back for the run to go on as if nothing had happened."""
        state = {name: value.state_dict() for name, value in self._stateful().items()}
        return {"objects": state, "remember": {name: getattr(self, name) for name in self.remember}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave. Raises RecipeError if it is that of another recipe."""
        objects = self._stateful()
        missing = sorted(set(objects) ^ set(state["objects"]))
        if missing:
            raise RecipeError(f"the checkpoint does not fit this recipe: {', '.join(missing)} is only on one side")
        for name, value in objects.items():
            value.load_state_dict(state["objects"][name])
        for name in self.remember:
            _bring_back(self, name, state["remember"][name])

    def modules(self) -> dict[str, Any]:
        """The models of this recipe by attribute name (what is saved as "best", moved to a device, shown in the table)."""
        return {name: value for name, value in self._stateful().items() if hasattr(value, "named_parameters")}

    def _stateful(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in vars(self).items()
            if hasattr(value, "state_dict") and hasattr(value, "load_state_dict")
        }


def _bring_back(recipe: Recipe, name: str, saved: Any) -> None:
    """Put a remembered value back; a tensor keeps its identity, because optimisers hold on to it."""
    current = getattr(recipe, name, None)
    if hasattr(current, "copy_") and hasattr(saved, "detach"):
        current.data.copy_(saved)  # type: ignore[union-attr]
    else:
        setattr(recipe, name, saved)
