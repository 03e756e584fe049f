"""The bundled tables as the recipes use them: scaled, split with a frozen seed, as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import datasets

from .measures import stratified_split

Pair = tuple[Any, Any]  # (inputs, targets)


def digits(split: int = 1) -> tuple[Pair, Pair]:
    """((x, y), (test x, test y)): 64 grey values in [0, 1] per image, labels 0-9; 1438 images to train, 359 to test."""
    table = datasets.Digits()
    x, y = np.asarray(table.data, dtype=np.float32).reshape(-1, 64) / 16, np.asarray(table.targets).astype(np.int64)
    train, test = stratified_split(y, split)
    return (tg.from_numpy(x[train]), tg.from_numpy(y[train])), (tg.from_numpy(x[test]), tg.from_numpy(y[test]))


def diabetes(split: int = 1) -> tuple[Pair, Pair]:
    """((x, y), (test x, test y)): 10 standardised features (mean 0, deviation 1 on the training part), a disease score."""
    table = datasets.Diabetes()
    x, y = np.asarray(table.data, dtype=np.float64), np.asarray(table.targets, dtype=np.float32).reshape(-1, 1)
    shuffled = np.random.default_rng(split).permutation(len(x))
    test, train = shuffled[: len(x) // 5], shuffled[len(x) // 5 :]
    x = ((x - x[train].mean(0)) / x[train].std(0)).astype(np.float32)
    return (tg.from_numpy(x[train]), tg.from_numpy(y[train])), (tg.from_numpy(x[test]), tg.from_numpy(y[test]))


def iris() -> Pair:
    """(x, y): 150 flowers, 4 standardised features, 3 species."""
    table = datasets.Iris()
    x = np.asarray(table.data, dtype=np.float64)
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    return tg.from_numpy(x), tg.from_numpy(np.asarray(table.targets).astype(np.int64))
