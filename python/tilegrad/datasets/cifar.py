"""CIFAR-10 and CIFAR-100 from the official files: the archive, the unpacked Python version, or the binary version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from . import files
from .images import ImageDataset


class CIFAR10(ImageDataset):
    """Colour photographs of 32 x 32 pixels, 50000 for training and 10000 for tests, 10 classes.

    Args:
        root: holds cifar-10-python.tar.gz, or the folder cifar-10-batches-py of it, or cifar-10-batches-bin of the binary
            version.
        train: the training part, or the test part.
        transform, target_transform: functions of the image (a PIL image) and of the label (an int).
        download: fetch the archive when nothing is there. Without a network the error names the file, address and folder.
        checksum: compare files that have the official number of images with the official MD5 sums.

    ``data`` is a uint8 array (N, 32, 32, 3), ``targets`` a list of ints, as in torchvision. The pickles of the Python version
    are read by an unpickler that makes arrays and plain values only.

    Raises:
        RuntimeError: nothing is there. ValueError: a file is damaged; the message names it and says how.

    Source: Krizhevsky 2009.
    """

    classes: tuple[str, ...] = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    base_folder = "cifar-10-batches-py"
    binary_folder = "cifar-10-batches-bin"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    train_list: ClassVar[dict[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    }
    test_list: ClassVar[dict[str, str]] = {"test_batch": "40351d587109b95175f43aff81a1287e"}
    meta = "batches.meta"
    _label_key, _names_key = "labels", "label_names"
    _label_bytes, _class_count, _official_rows = 1, 10, 10000

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        super().__init__(root, transform, target_transform)
        self.train, self._checksum = train, checksum
        source = (self.filename, self.tgz_md5, [self.url])
        if download and not self._is_there():
            files.download(type(self).__name__, [source], self.root)
        if not self._is_there():
            raise files.missing(type(self).__name__, [source], self.root)
        parts = self._python() if self._has_python() else self._binary()
        self.data = np.concatenate([images for images, _ in parts])
        self.targets = [int(label) for _, labels in parts for label in labels]

    # --- what is there
    def _names(self) -> list[str]:
        return list(self.train_list if self.train else self.test_list)

    def _binary_name(self, name: str) -> str:
        return f"{name}.bin"

    def _has_python(self) -> bool:
        folders = [self.root / self.base_folder, self.root]
        return (self.root / self.filename).is_file() or any((f / n).is_file() for f in folders for n in self._names())

    def _has_binary(self) -> bool:
        return any(
            (self.root / folder / self._binary_name(name)).is_file()
            for folder in (self.binary_folder, ".")
            for name in self._names()
        )

    def _is_there(self) -> bool:
        return self._has_python() or self._has_binary()

    # --- the Python version
    def _python(self) -> list[tuple[np.ndarray, list[int]]]:
        listed = self.train_list if self.train else self.test_list
        archive = self.root / self.filename
        folder = next((f for f in (self.root / self.base_folder, self.root) if (f / next(iter(listed))).is_file()), None)
        if folder is None and archive.is_file():
            contents = files.tar_members(archive, [*listed, self.meta])
            paths = {name: archive / name for name in [*listed, self.meta]}
        else:
            folder = folder or self.root / self.base_folder
            paths = {name: folder / name for name in [*listed, self.meta]}
            contents = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
        parts = []
        for name, md5 in listed.items():
            if name not in contents:
                raise ValueError(f"{paths[name]}: missing, while other files of {type(self).__name__} are there")
            images, labels = self._entry(files.unpickle_arrays(contents[name], paths[name]), paths[name])
            if self._checksum:
                files.check_sum(paths[name], contents[name], md5, len(images) == self._official_rows)
            parts.append((images, labels))
        if self.meta in contents:
            names = files.unpickle_arrays(contents[self.meta], paths[self.meta]).get(self._names_key)
            if isinstance(names, list) and names:
                self.classes = tuple(str(name) for name in names)
        return parts

    def _entry(self, entry: dict[str, Any], path: Path) -> tuple[np.ndarray, list[int]]:
        data, labels = entry.get("data"), entry.get(self._label_key)
        if not isinstance(data, np.ndarray) or labels is None:
            raise ValueError(f"{path}: no 'data' or no '{self._label_key}' in it; it has {sorted(map(str, entry))}")
        if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
            raise ValueError(f"{path}: data is {data.dtype} of shape {data.shape}, expected uint8 of shape (N, 3072)")
        if len(labels) != len(data):
            raise ValueError(f"{path}: {len(data)} images, but {len(labels)} labels")
        return self._checked(data, [int(v) for v in labels], path)

    # --- the binary version: rows of label bytes and 3072 pixels
    def _binary(self) -> list[tuple[np.ndarray, list[int]]]:
        parts = []
        for name in self._names():
            candidates = [self.root / f / self._binary_name(name) for f in (self.binary_folder, ".")]
            path = next((p for p in candidates if p.is_file()), None)
            if path is None:
                raise ValueError(f"{candidates[0]}: missing, while other files of {type(self).__name__} are there")
            raw, row = path.read_bytes(), self._label_bytes + 3072
            if not raw or len(raw) % row:
                raise ValueError(f"{path}: {len(raw)} bytes are not a whole number of rows of {row}; download it again")
            rows = np.frombuffer(raw, np.uint8).reshape(-1, row)
            labels = [int(v) for v in rows[:, self._label_bytes - 1]]
            parts.append(self._checked(rows[:, self._label_bytes :], labels, path))
        return parts

    def _checked(self, data: np.ndarray, labels: list[int], path: Path) -> tuple[np.ndarray, list[int]]:
        if labels and not 0 <= min(labels) <= max(labels) < len(
            CIFAR100.classes if self._label_bytes == 2 else CIFAR10.classes
        ):
            raise ValueError(f"{path}: labels from {min(labels)} to {max(labels)}; is it another data set?")
        return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), labels  # (N, 32, 32, 3)


class CIFAR100(CIFAR10):
    """As CIFAR10 with 100 classes (the fine labels): cifar-100-python.tar.gz, cifar-100-python or cifar-100-binary."""

    classes = tuple(f"class {i}" for i in range(100))  # the names come from the file "meta"
    base_folder = "cifar-100-python"
    binary_folder = "cifar-100-binary"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    train_list: ClassVar[dict[str, str]] = {"train": "16019d7e3df5f24257cddd939b257f8d"}
    test_list: ClassVar[dict[str, str]] = {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
    meta = "meta"
    _label_key, _names_key = "fine_labels", "fine_label_names"
    _label_bytes, _class_count, _official_rows = 2, 100, 50000
