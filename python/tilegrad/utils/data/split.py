"""Splitting data: random_split (PyTorch's), a stratified split and K folds.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.random_split
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import tilegrad as tg

from .dataset import Dataset, Subset


def random_split(dataset: Dataset, lengths: Sequence[int | float], generator: Any = None) -> list[Subset]:
    """Non-overlapping random Subsets of the given lengths, or of fractions that sum to 1.

    Fractions are rounded down and the items left over go one each to the first splits.

    Raises ValueError when a fraction is outside [0, 1] or the lengths do not sum to len(dataset). Warns about empty
    splits.
    """
    size = len(dataset)  # type: ignore[arg-type]
    total = sum(lengths)
    if math.isclose(total, 1) and total <= 1 + 1e-9 and any(isinstance(n, float) for n in lengths):
        for i, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1, got {fraction}")
        counts = [math.floor(size * fraction) for fraction in lengths]
        for i in range(size - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = list(lengths)  # type: ignore[arg-type]
        if total != size:
            raise ValueError(
                f"Sum of input lengths does not equal the length of the input dataset! The lengths {counts} sum to {total}, "
                f"the dataset has {size} items"
            )
    for i, count in enumerate(counts):
        if count == 0:
            warnings.warn(f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=2)
    order = tg.randperm(size, generator=generator).tolist()
    ends = np.cumsum(counts).tolist()
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def stratified_split(targets: Any, test_fraction: float = 0.2, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Indexes (train, test) such that every class gives round(test_fraction * its size) items to the test part.

    For each class in sorted order its positions are permuted by one `numpy.random.default_rng(seed)`, and the first
    ones are the test items. Both results are sorted, so the split depends only on the targets and the seed. Not in
    PyTorch.

    Raises ValueError when test_fraction is not between 0 and 1.
    """
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction must be between 0 and 1, got {test_fraction}")
    labels = np.asarray(targets)
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        positions = rng.permutation(np.flatnonzero(labels == label))
        chosen[positions[: round(test_fraction * len(positions))]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


class KFold:
    """n_splits folds: iterate over (train indexes, validation indexes); every item is in exactly one validation part.

    The first size % n_splits folds have one item more. shuffle permutes the items with `seed` first. Not in PyTorch;
    named after scikit-learn's class,
    https://scikit-learn.org/stable/modules/generated/sklearn.model_selection.KFold.html

    Raises ValueError when n_splits is less than 2 or more than the number of items.
    """

    def __init__(self, n_splits: int = 5, shuffle: bool = False, seed: int = 0) -> None:
        if n_splits < 2:
            raise ValueError(f"KFold: n_splits must be at least 2, got {n_splits}")
        self.n_splits, self.shuffle, self.seed = n_splits, shuffle, seed

    def split(self, data: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(train, validation) index arrays for a dataset, a sequence or a number of items."""
        size = data if isinstance(data, int) else len(data)
        if self.n_splits > size:
            raise ValueError(f"KFold: cannot have n_splits={self.n_splits} greater than the number of items, {size}")
        order = np.random.default_rng(self.seed).permutation(size) if self.shuffle else np.arange(size)
        for fold in np.array_split(order, self.n_splits):
            held_out = np.zeros(size, dtype=bool)
            held_out[fold] = True
            yield np.flatnonzero(~held_out), np.flatnonzero(held_out)
