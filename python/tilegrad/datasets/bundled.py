"""The bundled datasets: each reads one small .npz file of this package into tensors.

    train, test = tg.datasets.Digits(scale=True).split(seed=1)
    for x, y in DataLoader(train, batch_size=64, shuffle=True): ...

`split(seed=1)` is the course's frozen split: classes are kept in proportion, 20 % of the items are for the test.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import tilegrad as tg

from ..tensor import Tensor
from ..utils.data.dataset import Dataset
from ..utils.data.split import stratified_split

D = TypeVar("D", bound="ArrayDataset")


class ArrayDataset(Dataset[tuple]):
    """A dataset that lies in memory: item i is (transform(data[i]), target_transform(targets[i])).

    Attributes:
        data: Tensor (N, ...), float32.
        targets: Tensor (N), int64 class numbers or float32 values.
        classes: names of the classes; empty for regression.
        feature_names: names of the columns of data; empty for images.

    A class target is a Python int, as in torchvision; a regression target is a 0-d tensor.
    """

    def __init__(
        self,
        data: Tensor,
        targets: Tensor,
        classes: Sequence[str] = (),
        feature_names: Sequence[str] = (),
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if data.ndim == 0 or targets.ndim == 0 or data.shape[0] != targets.shape[0]:
            raise ValueError(
                f"data (N, ...) and targets (N, ...) need the same N, got {tuple(data.shape)} and {tuple(targets.shape)}"
            )
        self.data, self.targets = data, targets
        self.classes, self.feature_names = list(classes), list(feature_names)
        self.transform, self.target_transform = transform, target_transform

    def __len__(self) -> int:
        return self.data.shape[0]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        x, y = self.data[index], self.targets[index]
        target = y if y.dtype.is_floating_point else int(y)
        return (
            x if self.transform is None else self.transform(x),
            target if self.target_transform is None else self.target_transform(target),
        )

    def get_batch(self, indices: Sequence[int]) -> list[Tensor] | None:
        """[data[indices], targets[indices]], or None (go item by item) when there are transforms."""
        changed = type(self).__getitem__ is not ArrayDataset.__getitem__
        if changed or self.transform is not None or self.target_transform is not None or not len(indices):
            return None
        at = tg.tensor([int(i) for i in indices], dtype=tg.int64)
        return [self.data[at], self.targets[at]]

    def select(self: D, indices: Any) -> D:
        """A dataset of the same class with only these items, in this order (a copy of their data)."""
        at = tg.tensor(np.asarray(indices, dtype=np.int64))
        part = copy.copy(self)
        part.data, part.targets = self.data[at], self.targets[at]
        return part

    def split(self: D, seed: int = 1, test_fraction: float = 0.2) -> tuple[D, D]:
        """(train, test): the same two datasets for the same seed, on every machine.

        Classification: every class gives round(test_fraction * its size) items to the test (stratified_split).
        Regression: a plain random split. Thresholds in the course are stated for seed 1.

        Raises ValueError when test_fraction is not between 0 and 1.
        """
        groups = np.zeros(len(self)) if self.targets.dtype.is_floating_point else self.targets.numpy()
        train, test = stratified_split(groups, test_fraction, seed)
        return self.select(train), self.select(test)

    def __repr__(self) -> str:
        kind = f"{len(self.classes)} classes" if self.classes else "regression"
        return f"{type(self).__name__}({len(self)} items of shape {tuple(self.data.shape[1:])}, {kind})"


def _read(name: str) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """(data float32, targets, classes, feature names) of one bundled file."""
    path = Path(__file__).parent / "data" / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the installation is damaged; reinstall tilegrad")
    with np.load(path, allow_pickle=False) as file:
        targets = file["targets"]
        targets = targets.astype(np.float32 if targets.dtype.kind == "f" else np.int64)
        return file["data"].astype(np.float32), targets, file["classes"].tolist(), file["feature_names"].tolist()


class _Table(ArrayDataset):
    """A bundled table of numbers."""

    _file: str

    def __init__(
        self, transform: Callable[[Tensor], Any] | None = None, target_transform: Callable[[Any], Any] | None = None
    ) -> None:
        data, targets, classes, names = _read(self._file)
        super().__init__(tg.tensor(data), tg.tensor(targets), classes, names, transform, target_transform)


class Digits(ArrayDataset):
    """1797 hand-written digits of 8 x 8 pixels, 10 classes.

    Pixels are 0..16 (how many of 4 x 4 finer pixels were inked). data is float32 (1797, 1, 8, 8).

    Args:
        scale: divide by 16, so pixels are in [0, 1].
        flatten: data is (1797, size * size) instead.
        size: 8, or a multiple of it: every pixel becomes a square of (size / 8)^2 equal ones. 32 is what LeNet takes.

    Raises ValueError for another size.

    Source: UCI Optical Recognition of Handwritten Digits (test part), Alpaydin & Kaynak 1998.
    """

    def __init__(
        self,
        scale: bool = False,
        flatten: bool = False,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        size: int = 8,
    ) -> None:
        if size < 8 or size % 8:
            raise ValueError(f"Digits: size must be a multiple of 8, got {size}")
        images, targets, classes, names = _read("digits")
        images = images.repeat(size // 8, axis=1).repeat(size // 8, axis=2)
        images = images.reshape(len(images), size * size) if flatten else images[:, None]  # (N, S * S) or (N, 1, S, S)
        if scale:
            images = images / np.float32(16)
        data = tg.tensor(np.ascontiguousarray(images))
        super().__init__(data, tg.tensor(targets), classes, names, transform, target_transform)


class Iris(_Table):
    """150 flowers, 4 lengths in cm, 3 species (50 each). Source: Fisher 1936."""

    _file = "iris"


class Wine(_Table):
    """178 wines, 13 chemical measurements of very different scale, 3 cultivars. Source: Forina et al. 1991."""

    _file = "wine"


class BreastCancer(_Table):
    """569 tumours, 30 measurements of cell nuclei, classes malignant (0) and benign (1).

    Source: Wisconsin Diagnostic Breast Cancer, Wolberg, Street & Mangasarian 1995.
    """

    _file = "breast_cancer"


class Diabetes(ArrayDataset):
    """442 patients, 10 measurements, target: disease progression after a year (25..346, float32).

    Args:
        scaled: centre each column and divide it by std * √442, as scikit-learn does by default; False gives the raw
        numbers.

    Source: Efron, Hastie, Johnstone & Tibshirani 2004.
    """

    def __init__(
        self,
        scaled: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        data, targets, classes, names = _read("diabetes")
        if scaled:
            wide = data.astype(np.float64)
            data = ((wide - wide.mean(0)) / (wide.std(0) * np.sqrt(len(wide)))).astype(np.float32)
        super().__init__(tg.tensor(data), tg.tensor(targets), classes, names, transform, target_transform)
