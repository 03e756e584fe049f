"""The folder of one run: ``runs/<recipe>/<NNN>`` with everything needed to look at it, repeat it or go on with it.

config.json             recipe, options, seed, device: enough to start the same run again
metrics.jsonl           one row per logged update and per evaluation; no clock in it, so `diff` compares two runs
samples.txt             what a generating model said after each epoch
checkpoint.safetensors  model, optimiser, random states and position, replaced atomically
summary.json            metrics, checks, seconds, seed, versions: written when the run ends
curves.png, events.out.tfevents.*   pictures for people and for TensorBoard
"""

from __future__ import annotations

import json
import os
import tempfile
from math import isfinite, nan
from pathlib import Path
from typing import Any

from .recipe import RecipeError


class RunFolder:
    """Paths and files of one run. ``create`` makes a new one, the constructor opens one that exists."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.checkpoint_file = self.path / "checkpoint.safetensors"
        self.summary_file = self.path / "summary.json"
        self._metrics: Any = None

    @classmethod
    def create(cls, out: str | Path, name: str) -> RunFolder:
        """``out/name/001``, or the next free number; two runs started at once get two folders."""
        parent = Path(out) / name
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"cannot make a run folder in {str(out)!r}: {error}") from None
        number = max((int(p.name) for p in parent.iterdir() if p.name.isdigit()), default=0) + 1
        while True:
            try:
                (parent / f"{number:03d}").mkdir()
                return cls(parent / f"{number:03d}")
            except FileExistsError:
                number += 1

    @classmethod
    def existing(cls, path: str | Path) -> RunFolder:
        """The folder of an earlier run, or an error saying what is wrong with it."""
        folder = cls(path)
        if not folder.path.is_dir():
            raise RecipeError(f"no run folder {str(path)!r}")
        if not folder.config_file.is_file():
            raise RecipeError(f"{str(path)!r} is not a run folder: it has no config.json")
        return folder

    # --- small JSON files ---------------------------------------------------------------------------------------------

    def write_json(self, file: Path, value: Any) -> None:
        """Write ``value`` so that a reader sees the old file or the new one, never half of one."""
        handle, temporary = tempfile.mkstemp(dir=self.path, prefix=file.name, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(value, stream, indent=2)
                stream.write("\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def read_json(self, file: Path) -> dict[str, Any]:
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RecipeError(f"{file} is missing") from None
        except (ValueError, OSError) as error:
            raise RecipeError(f"{file} cannot be read: {error}") from None
        if not isinstance(value, dict):
            raise RecipeError(f"{file} is not a JSON object")
        return value

    # --- metrics ------------------------------------------------------------------------------------------------------

    def open_metrics(self, keep_rows: int) -> list[dict[str, float]]:
        """Open metrics.jsonl for appending after its first ``keep_rows`` rows (the rest is newer than the checkpoint)."""
        lines = []
        if keep_rows:
            try:
                lines = self.metrics_file.read_text(encoding="utf-8").splitlines()[:keep_rows]
                history = [{key: nan if value is None else value for key, value in json.loads(line).items()} for line in lines]
            except (OSError, ValueError) as error:
                raise RecipeError(f"{self.metrics_file} cannot be read: {error}") from None
            if len(lines) < keep_rows:
                raise RecipeError(f"{self.metrics_file} has {len(lines)} rows, the checkpoint was written after {keep_rows}")
        else:
            history = []
        self._metrics = open(self.metrics_file, "r+" if keep_rows else "w", encoding="utf-8")  # noqa: SIM115
        self._metrics.truncate(sum(len(line.encode()) + 1 for line in lines))
        self._metrics.seek(0, os.SEEK_END)
        return history

    def append_metrics(self, row: dict[str, float]) -> None:
        """Add one row; a number JSON cannot hold (nan, inf) is written as null."""
        self._metrics.write(json.dumps({key: value if isfinite(value) else None for key, value in row.items()}) + "\n")

    def append_samples(self, epoch: int, lines: list[str]) -> None:
        """Add what the model said after ``epoch`` epochs to samples.txt."""
        with open(self.path / "samples.txt", "a", encoding="utf-8") as stream:
            stream.write(f"--- epoch {epoch}\n" + "".join(line + "\n" for line in lines))

    def sync_metrics(self) -> None:
        """Put the rows on disk before the checkpoint that counts on them."""
        self._metrics.flush()
        os.fsync(self._metrics.fileno())

    def close(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
