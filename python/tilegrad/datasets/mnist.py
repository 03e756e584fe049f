"""MNIST and the data sets in its format: FashionMNIST, KMNIST, EMNIST. Official files, .gz or unpacked, under root/NAME/raw."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import tilegrad as tg

from . import files
from .files import Source
from .images import ImageDataset


class MNIST(ImageDataset):
    """Handwritten digits, 60000 for training and 10000 for tests, 28 x 28 grey pixels, 10 classes.

    Args:
        root: the official files (train-images-idx3-ubyte, ..., also as .gz) lie in root/MNIST/raw, root/MNIST or root.
        train: the training part, or the test part.
        transform, target_transform: functions of the image (a PIL image) and of the label (an int).
        download: fetch files that are missing. Without a network the error names the files, their addresses and the folder.
        checksum: compare .gz files that have the official number of images with the official MD5 sums.

    ``data`` is a uint8 tensor (N, 28, 28), ``targets`` int64 (N).

    Raises:
        RuntimeError: the files are not there. ValueError: a file is damaged or not in the IDX format, or images and labels
            do not fit each other; the message names it.

    Source: LeCun, Bottou, Bengio & Haffner 1998.
    """

    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    classes = (
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    )  # fmt: skip
    _sizes = (60000, 10000)

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
        if download and not all(self._found(name) for name, _, _ in self._sources()):
            files.download(type(self).__name__, self._sources(), self.raw_folder)
        images, labels = (self._read(kind) for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        if len(images) != len(labels):
            raise ValueError(f"{self._path('images-idx3-ubyte')}: {len(images)} images, but there are {len(labels)} labels")
        if len(labels) and int(labels.max()) >= len(self.classes):
            raise ValueError(
                f"{self._path('labels-idx1-ubyte')}: a label is {labels.max()}, but {type(self).__name__} has "
                f"{len(self.classes)} classes; is it another data set?"
            )
        self.data, self.targets = tg.tensor(self._upright(images)), tg.tensor(labels).long()

    @property
    def raw_folder(self) -> Path:
        """Where the files belong: root/NAME/raw."""
        return self.root / type(self).__name__ / "raw"

    def _prefix(self) -> str:
        return "train-" if self.train else "t10k-"

    def _sources(self) -> list[Source]:
        return [(name, md5, [mirror + name for mirror in self.mirrors]) for name, md5 in self.md5.items()]

    def _found(self, name: str) -> Path | None:
        stem = name.removesuffix(".gz")
        for folder in (self.raw_folder, self.raw_folder.parent, self.root):
            for path in (folder / stem, folder / f"{stem}.gz"):
                if path.is_file():
                    return path
        return None

    def _path(self, kind: str) -> Path:
        path = self._found(self._prefix() + kind)
        if path is None:
            raise files.missing(type(self).__name__, self._sources(), self.raw_folder)
        return path

    def _read(self, kind: str) -> Any:
        path = self._path(kind)
        array = files.read_idx(path, 3 if kind.startswith("images") else 1)
        if array.dtype.name != "uint8":
            raise ValueError(f"{path}: elements of type {array.dtype.name}, expected uint8")
        if self._checksum and path.suffix == ".gz":
            official = len(array) == self._sizes[0 if self.train else 1]
            files.check_sum(path, path.read_bytes(), self.md5.get(path.name, ""), official)
        return array

    def _upright(self, images: Any) -> Any:
        return images


class FashionMNIST(MNIST):
    """Photographs of clothes in the format of MNIST: 60000 + 10000 images of 28 x 28, 10 classes. Arguments as MNIST.

    Source: Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
    """

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class KMNIST(MNIST):
    """Cursive Japanese characters in the format of MNIST: 60000 + 10000 images, 10 classes. Arguments as MNIST.

    Source: Clanuwat et al. 2018, arXiv:1812.01718.
    """

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    }
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


# Letters whose capital looks like the small one are one class in the splits bymerge and balanced.
_MERGED = set("cijklmopsuvwxyz")
_ALL = sorted(string.digits + string.ascii_letters)


class EMNIST(MNIST):
    """Handwritten letters and digits in the format of MNIST.

    Args:
        split: 'byclass' (62 classes), 'bymerge' or 'balanced' (47), 'letters' (26, labels 1..26), 'digits' or 'mnist' (10).
        The others as MNIST. The files emnist-SPLIT-train-images-idx3-ubyte.gz, ... of the official gzip.zip lie in
            root/EMNIST/raw; there is no download. The files hold the images transposed; ``data`` is upright.

    Raises ValueError for another split, and as MNIST.

    Source: Cohen, Afshar, Tapson & van Schaik 2017, arXiv:1702.05373.
    """

    mirrors = ()
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"

    def __init__(self, root: str | Path, split: str, **options: Any) -> None:
        if split not in self.splits:
            raise ValueError(f"EMNIST: split must be one of {', '.join(self.splits)}, got {split!r}")
        self.split = split
        names = {
            "byclass": _ALL,
            "bymerge": [c for c in _ALL if c not in _MERGED],
            "balanced": [c for c in _ALL if c not in _MERGED],
            "letters": ["N/A", *string.ascii_lowercase],
        }
        self.classes = tuple(names.get(split, string.digits))
        super().__init__(root, **options)

    def _prefix(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}-"

    def _sources(self) -> list[Source]:
        kinds = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
        return [(self._prefix() + kind, "", [f"in {self.url}"]) for kind in kinds]

    def _upright(self, images: Any) -> Any:
        return images.transpose(0, 2, 1).copy()
