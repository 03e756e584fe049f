"""ImageDataset: images in memory, as the readers of MNIST and CIFAR make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tilegrad as tg

from ..utils.data.dataset import Dataset


def to_pil(image: np.ndarray) -> Any:
    """A PIL image of uint8 (H, W) or (H, W, 3). Raises ImportError naming the extra when Pillow is missing."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            "items of this dataset are PIL images and Pillow is missing: pip install 'tilegrad[course]', "
            "or use the arrays in .data and .targets"
        ) from None
    return Image.fromarray(image)


class ImageDataset(Dataset[tuple]):
    """Item i is (transform(image), target_transform(label)), the image a PIL image and the label an int.

    Attributes:
        data: uint8 images (N, H, W) or (N, H, W, 3).
        targets: labels 0..len(classes)-1.
        classes, class_to_idx: names of the classes, and the label of a name.
    """

    data: Any
    targets: Any
    classes: Sequence[str] = ()

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.root = Path(root).expanduser()
        self.transform, self.target_transform = transform, target_transform

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of a class name."""
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.targets)

    def _image(self, index: int) -> np.ndarray:
        image = self.data[index]
        return image if isinstance(image, np.ndarray) else image.numpy()

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = to_pil(self._image(index)), int(self.targets[index])
        return (
            image if self.transform is None else self.transform(image),
            target if self.target_transform is None else self.target_transform(target),
        )

    def get_batch(self, indices: Sequence[int]) -> list[Any] | None:
        """[images (B, C, H, W), labels (B)] in one step, when the transform works on a batch of bytes; else None."""
        on_batch = getattr(self.transform, "on_batch", None)
        changed = type(self).__getitem__ is not ImageDataset.__getitem__
        if on_batch is None or changed or self.target_transform is not None or not len(indices):
            return None
        at = [int(i) for i in indices]
        images = np.stack([self._image(i) for i in at])
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)  # (B, C, H, W)
        batch = on_batch(tg.from_numpy(np.ascontiguousarray(images)))
        return None if batch is None else [batch, tg.tensor([int(self.targets[i]) for i in at])]

    def __repr__(self) -> str:
        shape = tuple(self._image(0).shape) if len(self) else ()
        return f"{type(self).__name__}({len(self)} images of shape {shape}, {len(self.classes)} classes, from {self.root})"
