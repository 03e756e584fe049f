"""The run for other eyes: curves.png (matplotlib) and TensorBoard events (tensorboard). Both come with tilegrad[course]."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

from .recipe import Recipe, RecipeError

PACKAGES = {"sklearn": "scikit-learn", "PIL": "pillow"}  # modules whose package has another name


def require(modules: tuple[str, ...], why: str, otherwise: str = "") -> None:
    """Raise, naming the pip command, when one of ``modules`` is not installed; imports nothing."""
    missing = [PACKAGES.get(m, m) for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        text = f"{why} needs {' and '.join(missing)}, not installed here. Install: pip install 'tilegrad[course]'"
        raise RecipeError(f"{text} (or: pip install {' '.join(missing)}){otherwise}")


class EventFile:
    """Scalars for TensorBoard, written while training; or nothing at all when pictures are switched off."""

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event = Event
        self._writer = EventFileWriter(str(folder))
        if resumed_at is not None:  # tells TensorBoard to forget what an earlier session logged after the checkpoint
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=resumed_at + 1, session_log=start))

    def add(self, row: dict[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=v) for name, v in row.items() if name not in ("epoch", "update")]
        self._writer.add_event(self._event(wall_time=time.time(), step=int(row["update"]), summary=Summary(value=scalars)))

    def close(self) -> None:
        self._writer.close()


def new_figure(width: float = 6.0, height: float = 4.0) -> tuple[Any, Any]:
    """(figure, axes) without pyplot: no window, no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def save_images(images: Any, file: Path, columns: int = 8, scale: int = 6) -> None:
    """A grid of images (N, H, W) or (N, H, W, 3) with values in 0..1 as one PNG; each pixel becomes scale x scale."""
    import numpy as np
    from matplotlib.image import imsave

    images = np.clip(np.asarray(images, dtype=np.float64), 0, 1)
    images = images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=3)
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    grid = np.ones((rows, height + 1, columns, width + 1, 3))  # a white line below and right of each
    for i in range(count):
        grid[i // columns, :height, i % columns, :width] = images[i]
    grid = grid.reshape(rows * (height + 1), columns * (width + 1), 3)
    imsave(file, grid.repeat(scale, axis=0).repeat(scale, axis=1))


def draw_curves(recipe: Recipe, file: Path) -> None:
    """curves.png: the loss over updates, and every other metric over updates beside it."""
    names = list(dict.fromkeys(key for row in recipe.history for key in row if key not in ("epoch", "update", "loss")))
    figure, axes = new_figure(10 if names else 6, 4)
    if names:
        figure.clear()
        axes, right = figure.subplots(1, 2)
        for name in names:
            right.plot(*column(recipe.history, name), marker=".", label=name)
        right.set_xlabel("update")
        right.legend()
        right.grid(alpha=0.3)
    x, loss = column(recipe.history, "loss")
    axes.plot(x, loss)
    if loss and min(loss) > 0 and max(loss) / min(loss) > 50:
        axes.set_yscale("log")
    axes.set(xlabel="update", ylabel="loss", title=recipe.title)
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120, metadata={"Software": None})


def column(history: list[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    """(updates, values) of one metric in the logged rows."""
    rows = [row for row in history if name in row]
    return [row["update"] for row in rows], [row[name] for row in rows]
