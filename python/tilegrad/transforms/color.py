"""Functions that change values: normalize, grey, brightness, contrast, saturation, hue, inversion, erasing."""

from __future__ import annotations

from typing import Any

import numpy as np

import tilegrad as tg

from ..tensor import Tensor
from .images import check_image, get_dimensions, is_pil


def normalize(tensor: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(tensor - mean) / std per channel of a float tensor (..., C, H, W).

    Raises TypeError for anything but a float tensor, ValueError for fewer than 3 dims, a std of 0 or wrong channels.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"normalize: img should be Tensor Image. Got {type(tensor).__name__}; use ToTensor first")
    if not tensor.dtype.is_floating_point:
        raise TypeError(f"normalize: Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(f"normalize: Expected tensor to be a tensor image of size (..., C, H, W). Got {tuple(tensor.shape)}")
    mean, std = (tg.as_tensor(v, dtype=tensor.dtype).reshape(-1, 1, 1) for v in (mean, std))
    if bool((std == 0).any()):
        raise ValueError(f"normalize: std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
    channels = tensor.shape[-3]
    for name, v in (("mean", mean), ("std", std)):
        if v.shape[0] not in (1, channels):
            raise ValueError(f"normalize: {name} has {v.shape[0]} values for {channels} channels")
    if inplace:
        return tensor.sub_(mean).div_(std)
    return (tensor - mean) / std


def _limit(image: Tensor) -> float:
    return 1.0 if image.dtype.is_floating_point else float(tg.iinfo(image.dtype).max)


def _blend(image: Tensor, other: Any, factor: float) -> Tensor:
    """factor * image + (1 - factor) * other, kept in range, in the image's dtype."""
    mixed = image.to(tg.float32) if not image.dtype.is_floating_point else image
    mixed = tg.clamp(mixed * factor + other * (1.0 - factor), 0, _limit(image))
    return mixed.to(image.dtype)


def _check_color(image: Any, name: str) -> None:
    check_image(image, name)
    channels = get_dimensions(image)[0]
    if isinstance(image, Tensor) and channels not in (1, 3):
        raise TypeError(f"{name}: Input image tensor permitted channel values are 1 or 3, but found {channels}")


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name}: the factor ({factor}) is not non-negative.")


def _enhanced(image: Any, kind: str, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(image).enhance(factor)


def _luma(image: Tensor) -> Tensor:
    """0.2989 R + 0.587 G + 0.114 B, (..., 1, H, W); integers are cut, as in torchvision."""
    x = image.float() if not image.dtype.is_floating_point else image
    r, g, b = x[..., 0:1, :, :], x[..., 1:2, :, :], x[..., 2:3, :, :]
    y = r * 0.2989 + g * 0.587 + b * 0.114
    return y if image.dtype.is_floating_point else tg.floor(y)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The image in grey, with 1 or 3 equal channels. Raises ValueError for another number of channels."""
    _check_color(img, "rgb_to_grayscale")
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels should be either 1 or 3, got {num_output_channels}")
    if is_pil(img):
        grey = img.convert("L")
        if num_output_channels == 1:
            return grey
        from PIL import Image

        return Image.merge("RGB", [grey] * 3)
    grey = img if get_dimensions(img)[0] == 1 else _luma(img).to(img.dtype)
    return grey if num_output_channels == 1 else grey.expand(*tuple(grey.shape)[:-3], 3, *tuple(grey.shape)[-2:])


to_grayscale = rgb_to_grayscale


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """The image times a factor: 0 black, 1 unchanged, 2 twice as bright. Raises ValueError for a negative factor."""
    _check_color(img, "adjust_brightness")
    _check_factor("adjust_brightness", brightness_factor)
    return _enhanced(img, "Brightness", brightness_factor) if is_pil(img) else _blend(img, 0.0, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Mixed with its mean grey: 0 all grey, 1 unchanged. Raises ValueError for a negative factor."""
    _check_color(img, "adjust_contrast")
    _check_factor("adjust_contrast", contrast_factor)
    if is_pil(img):
        return _enhanced(img, "Contrast", contrast_factor)
    grey = img if get_dimensions(img)[0] == 1 else _luma(img)
    grey = grey.float() if not grey.dtype.is_floating_point else grey
    return _blend(img, grey.mean((-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Mixed with its grey version: 0 grey, 1 unchanged. Raises ValueError for a negative factor."""
    _check_color(img, "adjust_saturation")
    _check_factor("adjust_saturation", saturation_factor)
    if is_pil(img):
        return _enhanced(img, "Color", saturation_factor)
    return img if get_dimensions(img)[0] == 1 else _blend(img, _luma(img), saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Hues turned by hue_factor of the circle, in [-0.5, 0.5]. Raises ValueError for another factor."""
    _check_color(img, "adjust_hue")
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if is_pil(img):
        if img.mode in ("L", "1", "I", "F"):
            return img
        from PIL import Image

        h, s, v = img.convert("HSV").split()
        shifted = (np.asarray(h, dtype=np.int16) + int(hue_factor * 255)).astype(np.uint8)
        return Image.merge("HSV", (Image.fromarray(shifted), s, v)).convert(img.mode)
    if get_dimensions(img)[0] == 1:
        return img
    exact = img.dtype.is_floating_point
    x = img if exact else img.float() / _limit(img)
    turned = _turned(x, hue_factor)
    return turned if exact else tg.clamp(tg.round(turned * _limit(img)), 0, _limit(img)).to(img.dtype)


def _turned(rgb: Tensor, turn: float) -> Tensor:
    """RGB -> HSV, hue + turn, -> RGB; (..., 3, H, W) in [0, 1]."""
    r, g, b = rgb[..., 0, :, :], rgb[..., 1, :, :], rgb[..., 2, :, :]
    top, low = rgb.amax(-3), rgb.amin(-3)
    spread = top - low
    flat = spread == 0
    safe = tg.where(flat, 1.0, spread)
    hue = tg.where(top == r, (g - b) / safe, tg.where(top == g, (b - r) / safe + 2.0, (r - g) / safe + 4.0))
    hue = tg.where(flat, 0.0, hue) / 6.0 + turn
    hue = (hue - tg.floor(hue)) * 6.0
    # channel n of HSV -> RGB: v - spread * clamp(min(k, 4 - k), 0, 1), k = (n + hue) mod 6
    channels = []
    for n in (5.0, 3.0, 1.0):
        k = hue + n
        k = k - tg.floor(k / 6.0) * 6.0
        channels.append(top - spread * tg.clamp(tg.minimum(k, 4.0 - k), 0, 1))
    return tg.stack(channels, -3)


def invert(img: Any) -> Any:
    """The negative of the image."""
    _check_color(img, "invert")
    if is_pil(img):
        from PIL import ImageOps

        return ImageOps.invert(img)
    return (_limit(img) if img.dtype.is_floating_point else int(_limit(img))) - img


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """The tensor image with the window of size (h, w) at (i, j) set to v. Raises TypeError for anything but a tensor."""
    if not isinstance(img, Tensor):
        raise TypeError(f"erase: img should be Tensor Image. Got {type(img).__name__}; use ToTensor first")
    out = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out
