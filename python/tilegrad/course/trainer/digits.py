"""The images of the digit recipes: the bundled ones of 8 x 8 pixels, or the official MNIST files when their folder is given."""

from __future__ import annotations

from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import datasets

from .recipe import RecipeError

MNIST_HELP = "folder with the official MNIST files; empty: the digits that come with tilegrad"


def digits(mnist: str = "", split: int = 1, flatten: bool = False, enlarge: int = 1) -> tuple[Any, Any]:
    """(train, test), each with `data` in 0..1, (N, 1, H, W) or flat (N, H * W), and `targets`.

    enlarge: each pixel of the bundled digits is shown so many times so many.
    Raises RecipeError when the MNIST files are not there or damaged.
    """
    parts = _mnist(mnist) if mnist else datasets.Digits(scale=True).split(split)
    for part in parts:
        if enlarge > 1 and not mnist:
            part.data = tg.tensor(np.kron(part.data.numpy(), np.ones((1, 1, enlarge, enlarge), dtype=np.float32)))
        if flatten:
            part.data = part.data.flatten(1)
    train, test = parts
    return train, test


def _mnist(folder: str) -> list[Any]:
    try:
        parts = [datasets.MNIST(folder, train=train) for train in (True, False)]
    except (RuntimeError, OSError, ValueError) as error:
        raise RecipeError(str(error)) from None
    names = [str(i) for i in range(10)]
    return [datasets.ArrayDataset(part.data[:, None].float() / 255, part.targets, names) for part in parts]
