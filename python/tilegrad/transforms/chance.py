"""Transforms by chance. They draw from tilegrad's default generator, so `tilegrad.manual_seed` repeats them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tilegrad as tg

from ..tensor import Tensor
from . import functional as F
from .fixed import _Shown


def _uniform(low: float, high: float) -> float:
    return float(tg.empty(1, dtype=tg.float64).uniform_(low, high).item())


def _integer(low: int, high: int) -> int:
    """low <= result < high."""
    return int(tg.randint(low, high, (1,)).item())


def _happens(p: float) -> bool:
    return _uniform(0.0, 1.0) < p


def _probability(p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"a probability is between 0 and 1, got p={p}")
    return p


def _around(name: str, value: Any, center: float) -> tuple[float, float]:
    """(low, high) from a number (center - value, center + value) or a pair."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative, got {value}")
        return center - value, center + value
    low, high = value
    if low > high:
        raise ValueError(f"{name} should be (low, high) with low <= high, got {value!r}")
    return float(low), float(high)


class RandomHorizontalFlip(_Shown):
    """Exchanges left and right with probability p."""

    _options = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = _probability(p)

    def forward(self, img: Any) -> Any:
        return F.hflip(img) if _happens(self.p) else img


class RandomVerticalFlip(_Shown):
    """Turns upside down with probability p."""

    _options = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = _probability(p)

    def forward(self, img: Any) -> Any:
        return F.vflip(img) if _happens(self.p) else img


class RandomGrayscale(_Shown):
    """Grey with probability p; the number of channels stays."""

    _options = ("p",)

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = _probability(p)

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, F.get_dimensions(img)[0]) if _happens(self.p) else img


class RandomCrop(_Shown):
    """A window of a size (int or (h, w)) at a random place.

    Args:
        padding: border added first; pad_if_needed: enlarge images that are too small; fill, padding_mode: as Pad.

    Raises ValueError when the image is smaller than the window.
    """

    _options = ("size", "padding")

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0, padding_mode: str = "constant"
    ) -> None:
        super().__init__()
        self.size = (int(size), int(size)) if isinstance(size, int) else tuple(size)
        if len(self.size) != 2 or min(self.size) <= 0:
            raise ValueError(f"RandomCrop: size should be a positive int or (h, w), got {size!r}")
        self.padding, self.pad_if_needed, self.fill, self.padding_mode = padding, pad_if_needed, fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a random window. Raises ValueError when the image is too small."""
        _, height, width = F.get_dimensions(img)
        h, w = output_size
        if height < h or width < w:
            raise ValueError(f"Required crop size {(h, w)} is larger than input image size {(height, width)}")
        return _integer(0, height - h + 1), _integer(0, width - w + 1), h, w

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))


class RandomResizedCrop(_Shown):
    """A window of random area and shape, resized to `size`.

    Args:
        scale: range of the window's share of the area. ratio: range of width / height (drawn on a logarithmic scale).
    """

    _options = ("size", "scale", "ratio", "interpolation")

    def __init__(
        self,
        size: Any,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale, self.ratio = _around("scale", scale, 0), _around("ratio", ratio, 0)
        self.interpolation, self.antialias = interpolation, antialias

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any) -> tuple[int, int, int, int]:
        """(top, left, height, width): ten tries, then the middle of the image within the ratio."""
        _, height, width = F.get_dimensions(img)
        for _ in range(10):
            area = height * width * _uniform(scale[0], scale[1])
            shape = math.exp(_uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return _integer(0, height - h + 1), _integer(0, width - w + 1), h, w
        h, w = height, width
        if width / height < ratio[0]:
            h = round(width / ratio[0])
        elif width / height > ratio[1]:
            w = round(height * ratio[1])
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        window = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *window, self.size, self.interpolation, self.antialias is not False)


class RandomRotation(_Shown):
    """A rotation by an angle from (-degrees, degrees) or a given range; the rest as functional.rotate."""

    _options = ("degrees", "interpolation", "expand", "fill")

    def __init__(
        self, degrees: Any, interpolation: Any = "nearest", expand: bool = False, center: Any = None, fill: Any = 0
    ) -> None:
        super().__init__()
        self.degrees = _around("degrees", degrees, 0)
        self.interpolation, self.expand, self.center, self.fill = interpolation, expand, center, fill

    def forward(self, img: Any) -> Any:
        return F.rotate(img, _uniform(*self.degrees), self.interpolation, self.expand, self.center, self.fill)


class RandomAffine(_Shown):
    """A random rotation, translation, scaling and shear.

    Args:
        degrees: as RandomRotation. translate: largest shares (a, b) of width and height to move by. scale: range of the
            factor. shear: degrees along x: a number or a pair; four numbers give the ranges along x and y.

    Raises ValueError for translate outside of [0, 1] or scale <= 0.
    """

    _options = ("degrees", "translate", "scale", "shear")

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = "nearest",
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        if translate is not None and not all(0.0 <= t <= 1.0 for t in translate):
            raise ValueError(f"translation values should be between 0 and 1, got {translate!r}")
        if scale is not None and not all(s > 0 for s in scale):
            raise ValueError(f"scale values should be positive, got {scale!r}")
        self.degrees, self.translate, self.scale = _around("degrees", degrees, 0), translate, scale
        if shear is not None and not isinstance(shear, (int, float)) and len(shear) not in (2, 4):
            raise ValueError(f"shear should be a number or 2 or 4 values, got {shear!r}")
        self.shear = shear
        self.interpolation, self.fill, self.center = interpolation, fill, center

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        angle, translate, scale, shear = _uniform(*self.degrees), (0, 0), 1.0, (0.0, 0.0)
        if self.translate is not None:
            largest = (self.translate[0] * width, self.translate[1] * height)
            translate = (round(_uniform(-largest[0], largest[0])), round(_uniform(-largest[1], largest[1])))
        if self.scale is not None:
            scale = _uniform(*self.scale)
        if self.shear is not None:
            along_x = self.shear if isinstance(self.shear, (int, float)) else self.shear[:2]
            along_y = (0.0, 0.0) if isinstance(self.shear, (int, float)) or len(self.shear) == 2 else self.shear[2:]
            shear = (_uniform(*_around("shear", along_x, 0)), _uniform(*along_y))
        return F.affine(img, angle, translate, scale, shear, self.interpolation, self.fill, self.center)


class ColorJitter(_Shown):
    """Random brightness, contrast, saturation and hue, in a random order.

    Args:
        brightness, contrast, saturation: a number v for factors from [max(0, 1 - v), 1 + v], or a range (low, high) >= 0.
        hue: a number v <= 0.5 for [-v, v], or a range within [-0.5, 0.5].

    Raises ValueError for ranges outside of these.
    """

    _options = ("brightness", "contrast", "saturation", "hue")

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        super().__init__()
        self.brightness = self._range("brightness", brightness, 1.0, 0.0, math.inf)
        self.contrast = self._range("contrast", contrast, 1.0, 0.0, math.inf)
        self.saturation = self._range("saturation", saturation, 1.0, 0.0, math.inf)
        self.hue = self._range("hue", hue, 0.0, -0.5, 0.5)

    @staticmethod
    def _range(name: str, value: Any, center: float, least: float, most: float) -> tuple[float, float] | None:
        low, high = _around(name, value, center)
        if isinstance(value, (int, float)) and center:
            low = max(low, 0.0)
        if low < least or high > most:
            raise ValueError(f"{name} values should be between {least} and {most}, but got {(low, high)}.")
        return None if low == high == center else (low, high)

    def forward(self, img: Any) -> Any:
        steps = [
            (F.adjust_brightness, self.brightness),
            (F.adjust_contrast, self.contrast),
            (F.adjust_saturation, self.saturation),
            (F.adjust_hue, self.hue),
        ]
        for i in tg.randperm(4).tolist():
            function, span = steps[i]
            if span is not None:
                img = function(img, _uniform(*span))
        return img


class RandomErasing(_Shown):
    """With probability p, sets a random window of a tensor image to a value (Zhong et al. 2017, arXiv:1708.04896).

    Args:
        scale: range of the window's share of the area. ratio: range of height / width.
        value: a number, a sequence of one per channel, or 'random' for normal noise.
    """

    _options = ("p", "scale", "ratio", "value")

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(value, str) and value != "random":
            raise ValueError(f"If value is str, it should be 'random', got {value!r}")
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError(f"Scale should be between 0 and 1, got {scale!r}")
        self.p, self.scale, self.ratio = _probability(p), _around("scale", scale, 0), _around("ratio", ratio, 0)
        self.value, self.inplace = value, inplace

    def forward(self, img: Tensor) -> Tensor:
        if not _happens(self.p):
            return img
        channels, height, width = F.get_dimensions(img)
        for _ in range(10):
            area = height * width * _uniform(*self.scale)
            shape = math.exp(_uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if not (0 < h < height and 0 < w < width):
                continue
            if self.value == "random":
                value: Any = tg.randn(channels, h, w, dtype=img.dtype)
            elif isinstance(self.value, (int, float)):
                value = self.value
            else:
                value = tg.tensor(list(self.value), dtype=img.dtype).reshape(-1, 1, 1)
                if value.shape[0] not in (1, channels):
                    raise ValueError(f"value has {value.shape[0]} entries for {channels} channels; give one number or one each")
            return F.erase(img, _integer(0, height - h + 1), _integer(0, width - w + 1), h, w, value, self.inplace)
        return img


class RandomApply(_Shown):
    """A list of transforms, all of them with probability p or none."""

    _options = ("p", "transforms")

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = list(transforms), _probability(p)

    def forward(self, img: Any) -> Any:
        if _happens(self.p):
            for transform in self.transforms:
                img = transform(img)
        return img


class RandomChoice(_Shown):
    """One of the transforms, with the given weights p (equal by default). Raises ValueError for other numbers of weights."""

    _options = ("transforms", "p")

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None) -> None:
        super().__init__()
        self.transforms = list(transforms)
        if p is not None and len(p) != len(self.transforms):
            raise ValueError(f"RandomChoice: {len(self.transforms)} transforms but {len(p)} weights")
        self.p = p

    def forward(self, img: Any) -> Any:
        weights = self.p or [1.0] * len(self.transforms)
        at = _uniform(0.0, float(sum(weights)))
        for transform, weight in zip(self.transforms, weights, strict=True):
            at -= weight
            if at < 0:
                return transform(img)
        return self.transforms[-1](img)


class RandomOrder(_Shown):
    """All of the transforms, in a random order."""

    _options = ("transforms",)

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        super().__init__()
        self.transforms = list(transforms)

    def forward(self, img: Any) -> Any:
        for i in tg.randperm(len(self.transforms)).tolist():
            img = self.transforms[i](img)
        return img
