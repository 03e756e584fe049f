"""DatasetFolder and ImageFolder: files in one folder per class (torchvision's classes).

Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..utils.data.dataset import Dataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class DatasetFolder(Dataset[tuple]):
    """Files under root/CLASS/.../FILE: item i is (transform(loader(path)), target_transform(label)).

    Args:
        root: the folder of the class folders; classes are their names, sorted.
        loader: reads a file.
        extensions: which files count, without regard to case; or is_valid_file, a function of the path. Exactly one.
        transform, target_transform: functions of what the loader gives, and of the label (an int).
        allow_empty: accept a class folder without a file.

    Attributes: classes, class_to_idx, samples (pairs of path and label), targets.

    Raises:
        FileNotFoundError: there are no class folders, or a class without a valid file.
        ValueError: both or none of extensions and is_valid_file.
    """

    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any],
        extensions: str | Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        if (extensions is None) == (is_valid_file is None):
            raise ValueError("Both extensions and is_valid_file cannot be None or not None at the same time")
        self.root, self.loader = os.path.expanduser(str(root)), loader
        self.extensions = (extensions,) if isinstance(extensions, str) else extensions
        self.transform, self.target_transform = transform, target_transform
        self._is_valid = is_valid_file or self._has_extension
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(allow_empty)
        self.targets = [label for _, label in self.samples]

    def _has_extension(self, path: str) -> bool:
        return path.lower().endswith(tuple(e.lower() for e in self.extensions or ()))

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """(class names sorted, their labels). Override it to name classes in another way."""
        if not os.path.isdir(directory):
            raise FileNotFoundError(f"{directory} is not a folder")
        classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        if not classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
        return classes, {name: i for i, name in enumerate(classes)}

    def make_dataset(self, allow_empty: bool = False) -> list[tuple[str, int]]:
        """Pairs of path and label, classes in order and paths sorted."""
        samples: list[tuple[str, int]] = []
        empty = []
        for name in sorted(self.class_to_idx):
            before = len(samples)
            for folder, _, names in sorted(os.walk(os.path.join(self.root, name), followlinks=True)):
                paths = (os.path.join(folder, file) for file in sorted(names))
                samples += [(path, self.class_to_idx[name]) for path in paths if self._is_valid(path)]
            if len(samples) == before:
                empty.append(name)
        if empty and not allow_empty:
            hint = f" Supported extensions are: {', '.join(self.extensions)}" if self.extensions else ""
            raise FileNotFoundError(f"Found no valid file for the classes {', '.join(empty)}.{hint}")
        return samples

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample = self.loader(path)
        return (
            sample if self.transform is None else self.transform(sample),
            target if self.target_transform is None else self.target_transform(target),
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} files, {len(self.classes)} classes, from {self.root})"


def default_loader(path: str) -> Any:
    """The file as an RGB PIL image.

    Raises ImportError naming the extra when Pillow is missing, ValueError naming a file that is no image or damaged.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install 'tilegrad[course]'") from None
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: cannot be read as an image: {error}") from None


class ImageFolder(DatasetFolder):
    """Images under root/CLASS/: item i is (RGB PIL image, label). ``imgs`` is another name of ``samples``.

    Args:
        root, transform, target_transform, is_valid_file, allow_empty: as DatasetFolder.
        loader: reads a file; by default Pillow does, and a damaged file raises ValueError with its path.

    Raises: as DatasetFolder.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples
