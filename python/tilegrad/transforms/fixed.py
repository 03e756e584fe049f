"""Transforms without chance: conversion, normalisation, resizing, and their composition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..nn import Module
from ..tensor import Tensor
from . import functional as F


class Compose:
    """Transforms one after the other: ``Compose([a, b])(x)`` is ``b(a(x))``."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def on_batch(self, images: Tensor) -> Tensor | None:
        """A batch of bytes (B, C, H, W) through all transforms at once, or None when one of them needs single images."""
        steps = [getattr(t, "on_batch", None) for t in self.transforms]
        if not steps or None in steps or not isinstance(self.transforms[0], (ToTensor, PILToTensor)):
            return None
        for step in steps:
            images = step(images)  # type: ignore[misc]
            if images is None:
                return None
        return images

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {t}" for t in self.transforms), ")"])


class ToTensor:
    """A PIL image or an array (H, W[, C]) to a tensor (C, H, W); bytes 0..255 become float32 0..1."""

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def on_batch(self, images: Tensor) -> Tensor:
        """The same for bytes (B, C, H, W)."""
        return images.float() / 255

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """A PIL image to a tensor (C, H, W) of its own dtype."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def on_batch(self, images: Tensor) -> Tensor:
        """Bytes (B, C, H, W) as they are."""
        return images

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W[, C]) to a PIL image; see functional.to_pil_image."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"ToPILImage({f'mode={self.mode}' if self.mode else ''})"


class Lambda:
    """Any function as a transform. Raises TypeError for something that cannot be called."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class _Shown(Module):
    """A module that shows its options."""

    _options: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in self._options)})"


class Normalize(_Shown):
    """(x - mean) / std per channel, of float tensors (..., C, H, W); see functional.normalize."""

    _options = ("mean", "std")

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def on_batch(self, images: Tensor) -> Tensor:
        """The same for a batch."""
        return self.forward(images)


class ConvertImageDtype(_Shown):
    """The tensor image in another dtype, scaled to its range."""

    _options = ("dtype",)

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)

    def on_batch(self, images: Tensor) -> Tensor:
        """The same for a batch."""
        return self.forward(images)


class Resize(_Shown):
    """Resize to (h, w), or the shorter edge to an int; see functional.resize."""

    _options = ("size", "interpolation", "max_size", "antialias")

    def __init__(
        self, size: Any, interpolation: Any = "bilinear", max_size: int | None = None, antialias: bool | None = True
    ) -> None:
        super().__init__()
        self.size, self.interpolation, self.max_size, self.antialias = size, interpolation, max_size, antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias is not False)


class CenterCrop(_Shown):
    """The middle part of a size; smaller images are padded with 0."""

    _options = ("size",)

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = size

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)


class FiveCrop(_Shown):
    """Four corners and the middle, a tuple of five images."""

    _options = ("size",)

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = size

    def forward(self, img: Any) -> Any:
        return F.five_crop(img, self.size)


class Pad(_Shown):
    """A border around the image; see functional.pad."""

    _options = ("padding", "fill", "padding_mode")

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)


class Grayscale(_Shown):
    """The image in grey, 1 or 3 channels."""

    _options = ("num_output_channels",)

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)
