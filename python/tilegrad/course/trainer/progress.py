"""Live progress: a bar with rich in a terminal, a plain line every few seconds anywhere else."""

from __future__ import annotations

import math
import time
from typing import Any

from .output import Output, seconds_text


def show_metrics(metrics: dict[str, float]) -> str:
    """``loss 0.123  test accuracy 0.9722``: four digits of each."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


class Progress:
    """What the trainer reports to. ``update`` is called after every update; it decides itself when to show something."""

    def __init__(self, output: Output, total: int | None, epochs: int, done: int = 0, every: float = 2.0) -> None:
        self.output, self.total, self.epochs, self.every = output, total, epochs, every
        self.started = self.shown = time.perf_counter()
        self.first, self.samples = done, 0
        self._bar: Any = None
        self._task: Any = None
        if output.is_terminal:
            self._start_bar(done)

    def update(self, updates: int, epoch: int, samples: int, loss: float, metrics: dict[str, float]) -> None:
        """One update more; ``metrics`` are those of the last evaluation, ``samples`` the size of the batch."""
        self.samples += samples
        now = time.perf_counter()
        if now - self.shown < (0.1 if self._bar else self.every):
            return
        self.shown = now
        rate = self.samples / max(now - self.started, 1e-9)
        where, text = f"epoch {epoch + 1}/{self.epochs}", f"{show_metrics({'loss': loss, **metrics})}  {rate:,.0f} samples/s"
        if self._bar:
            self._bar.update(self._task, completed=updates, text=f"{where}  {text}")
        else:
            self.output.say(f"  {where}  update {updates}{self._of_total(updates, now)}  {text}")

    def say(self, lines: list[str]) -> None:
        """Lines that stay: a generated text, say."""
        for line in lines:
            if self._bar:
                self._bar.console.print(line, markup=False, highlight=False)
            else:
                self.output.say(f"  | {line}")

    def close(self, updates: int) -> None:
        """Stop the bar where it is; the caller prints what comes after."""
        if self._bar:
            self._bar.update(self._task, completed=updates, text="")
            self._bar.stop()
            self._bar = None

    def _of_total(self, updates: int, now: float) -> str:
        if not self.total:
            return ""
        per_update = (now - self.started) / max(updates - self.first, 1)
        return f"/{self.total}  ETA {seconds_text(math.ceil(per_update * (self.total - updates)))}"

    def _start_bar(self, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        text = TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=False))  # a second line if narrow
        bar = BarColumn(10, table_column=Column(min_width=10))
        remaining = TimeRemainingColumn(compact=True, table_column=Column(min_width=5))
        columns = (bar, TextColumn("{task.percentage:>3.0f}%"), TextColumn("ETA"), remaining, text)
        self._bar = RichProgress(*columns, console=Console(file=self.output.stream), refresh_per_second=8)
        self._task = self._bar.add_task("", total=self.total, completed=done, text="")
        self._bar.start()
