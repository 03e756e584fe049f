"""What an image is: a PIL image, or a tensor (..., C, H, W). Conversion between them and arrays."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Any

import numpy as np

import tilegrad as tg

from ..tensor import Tensor


class InterpolationMode(Enum):
    """How pixels between pixels are found; the values are accepted as strings too."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


def mode_of(interpolation: Any) -> str:
    """The name of an interpolation. Raises ValueError for an unknown one."""
    try:
        return InterpolationMode(interpolation).value
    except ValueError:
        names = ", ".join(m.value for m in InterpolationMode)
        raise ValueError(f"interpolation must be one of {names}, got {interpolation!r}") from None


def pil_filter(interpolation: Any) -> Any:
    """Pillow's name of an interpolation."""
    from PIL import Image

    return getattr(Image.Resampling, mode_of(interpolation).upper())


def is_pil(image: Any) -> bool:
    """Is this a PIL image? Pillow is not imported for the question."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def check_image(image: Any, name: str) -> None:
    """Raises TypeError unless the image is a PIL image or a tensor of at least 2 dims."""
    if isinstance(image, Tensor):
        if image.ndim < 2:
            raise TypeError(f"{name}: a tensor image has at least 2 dims (..., H, W), got shape {tuple(image.shape)}")
    elif not is_pil(image):
        raise TypeError(f"{name}: img should be a PIL image or a Tensor, got {type(image).__name__}; use ToTensor first")


def get_dimensions(image: Any) -> list[int]:
    """[channels, height, width]."""
    check_image(image, "get_dimensions")
    if isinstance(image, Tensor):
        return [1 if image.ndim == 2 else image.shape[-3], image.shape[-2], image.shape[-1]]
    return [len(image.getbands()), image.height, image.width]


def size_of(image: Any) -> tuple[int, int]:
    """(height, width)."""
    _, height, width = get_dimensions(image)
    return height, width


def get_image_size(image: Any) -> list[int]:
    """[width, height]."""
    height, width = size_of(image)
    return [width, height]


def get_image_num_channels(image: Any) -> int:
    """How many channels the image has."""
    return get_dimensions(image)[0]


_WIDE_MODES = {"I": np.int32, "F": np.float32, "I;16": np.int32}


def _pixels(pic: Any, name: str) -> np.ndarray:
    """The pixels as (H, W, C)."""
    if is_pil(pic):
        wide = _WIDE_MODES.get(pic.mode)
        array = np.array(pic, dtype=np.uint16).astype(wide) if pic.mode == "I;16" else np.array(pic, dtype=wide)
        if pic.mode == "1":
            array = array.astype(np.uint8) * 255
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"{name}: pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic
    else:
        raise TypeError(f"{name}: pic should be a PIL image or ndarray. Got {type(pic).__name__}")
    return array[:, :, None] if array.ndim == 2 else array


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or an array (H, W) or (H, W, C) as a tensor (C, H, W); uint8 0..255 becomes float32 0..1.

    Other types keep their values. Raises TypeError for another kind of image, ValueError for an array of other dims.
    """
    array = np.ascontiguousarray(_pixels(pic, "to_tensor").transpose(2, 0, 1))
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    tensor = tg.from_numpy(array)
    return tensor.float() / 255 if array.dtype == np.uint8 else tensor


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor (C, H, W) of its own dtype, values unchanged. Raises TypeError for anything else."""
    if not is_pil(pic):
        raise TypeError(f"pil_to_tensor: pic should be a PIL image. Got {type(pic).__name__}")
    return tg.from_numpy(np.ascontiguousarray(_pixels(pic, "pil_to_tensor").transpose(2, 0, 1)))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image.

    Float tensors are taken as 0..1 and become bytes. `mode` is Pillow's, by default from the channels (1: L, I or F,
    2: LA, 3: RGB, 4: RGBA).

    Raises TypeError for another kind of image or a dtype without a mode, ValueError for other dims or an unfit mode.
    """
    from PIL import Image

    if isinstance(pic, Tensor):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        t = pic.detach() if pic.ndim == 3 else pic.detach().unsqueeze(0)
        if t.dtype.is_floating_point and mode != "F":
            t = (t.float() * 255).clamp(0, 255).to(tg.uint8)
        array = t.numpy().transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic if pic.ndim == 3 else pic[:, :, None]
    else:
        raise TypeError(f"to_pil_image: pic should be Tensor or ndarray. Got {type(pic).__name__}.")
    channels = array.shape[2]
    if channels > 4 or channels == 0:
        raise ValueError(f"to_pil_image: pic should have 1 to 4 channels. Got {channels} channels.")
    if channels == 1:
        array = array[:, :, 0]
        named = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}.get(array.dtype.name)
        fitting: tuple[str, ...] = (named,) if named else ()
    else:
        fitting = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}[channels]
        fitting = fitting if array.dtype == np.uint8 else ()
    if not fitting:
        raise TypeError(f"to_pil_image: input type {array.dtype} with {channels} channels is not supported")
    if mode is not None and mode not in fitting:
        raise ValueError(
            f"to_pil_image: incorrect mode ({mode}) for {channels} channels of {array.dtype}; use {' or '.join(fitting)}"
        )
    if channels in (1, 3, 4) and mode in (None, "L", "I;16", "I", "F", "RGB", "RGBA"):
        return Image.fromarray(np.ascontiguousarray(array))
    bands = [Image.fromarray(np.ascontiguousarray(array[:, :, c])) for c in range(channels)]
    return Image.merge(mode or "LA", bands)


def convert_image_dtype(image: Tensor, dtype: Any = None) -> Tensor:
    """The image in another dtype, scaled to its range: floats are 0..1, integers 0..max. Default float32.

    Raises RuntimeError for float32 -> int32/int64 and float64 -> int64, which cannot hold the values.
    """
    dtype = tg.float32 if dtype is None else dtype
    if image.dtype is dtype:
        return image
    if image.dtype.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        if (image.dtype is tg.float32 and dtype in (tg.int32, tg.int64)) or dtype is tg.int64:
            raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely.")
        return (image * (tg.iinfo(dtype).max + 1.0 - 1e-3)).to(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / tg.iinfo(image.dtype).max
    largest, wanted = tg.iinfo(image.dtype).max, tg.iinfo(dtype).max
    if largest > wanted:
        return tg.floor_divide(image, (largest + 1) // (wanted + 1)).to(dtype)
    return image.to(dtype) * ((wanted + 1) // (largest + 1))
