"""Functions that move pixels: resize, crop, pad, flip, rotate, affine. PIL images go through Pillow, tensors through ops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import tilegrad as tg

from ..tensor import Tensor
from .images import check_image, is_pil, mode_of, pil_filter, size_of


def _pair(size: Any, name: str) -> tuple[int, int]:
    """(h, w) from an int or a sequence of one or two."""
    values = (size,) if isinstance(size, int) else tuple(size)
    if len(values) not in (1, 2) or any(int(v) <= 0 for v in values):
        raise ValueError(f"{name}: size should be a positive int or (h, w), got {size!r}")
    return int(values[0]), int(values[-1])


# --- resize


def output_size(height: int, width: int, size: Any, max_size: int | None = None) -> tuple[int, int]:
    """The size that `resize` gives: an int is the shorter edge, and the other one keeps the ratio (rounded down)."""
    if not isinstance(size, int) and len(size) == 2:
        if max_size is not None:
            raise ValueError("max_size should only be passed if size specifies the length of the smaller edge")
        return _pair(size, "resize")
    short_wanted = _pair(size, "resize")[0]
    short, long = sorted((height, width))
    long_wanted = int(short_wanted * long / short)
    if max_size is not None:
        if max_size <= short_wanted:
            raise ValueError(f"max_size = {max_size} must be strictly greater than the requested size {size}")
        if long_wanted > max_size:
            short_wanted, long_wanted = int(max_size * short_wanted / long_wanted), max_size
    return (short_wanted, long_wanted) if height <= width else (long_wanted, short_wanted)


def resize(img: Any, size: Any, interpolation: Any = "bilinear", max_size: int | None = None, antialias: bool = True) -> Any:
    """The image in another size.

    Args:
        img: PIL image, or tensor (..., H, W).
        size: (h, w), or an int for the shorter edge: the other one becomes int(size * long / short).
        interpolation: 'nearest', 'bilinear' or 'bicubic' (or InterpolationMode).
        max_size: limit of the longer edge, for an int size.
        antialias: weigh all the pixels that a smaller one covers, as Pillow always does; False samples tensors only.

    uint8 tensors are computed in float32 and rounded. Raises ValueError for a bad size or interpolation.
    """
    check_image(img, "resize")
    mode = mode_of(interpolation)
    height, width = size_of(img)
    h, w = output_size(height, width, size, max_size)
    if (h, w) == (height, width):
        return img
    if is_pil(img):
        return img.resize((w, h), pil_filter(mode))
    if mode == "nearest":
        rows, columns = ((np.arange(n) * old // n) for n, old in ((h, height), (w, width)))
        return tg.index_select(tg.index_select(img, -2, tg.tensor(rows)), -1, tg.tensor(columns))
    if mode == "bicubic" and not antialias:
        raise ValueError("resize: bicubic without antialias is not supported for tensors; use antialias=True")
    exact = img.dtype.is_floating_point
    x = img if exact else img.float()
    down = _resampling(height, h, mode, antialias, x.dtype)
    across = _resampling(width, w, mode, antialias, x.dtype)
    y = down @ (x @ across.T)  # (..., h, w)
    return y if exact else tg.clamp(tg.round(y), 0, tg.iinfo(img.dtype).max).to(img.dtype)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic with a = -0.5, as Pillow's."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _resampling(old: int, new: int, mode: str, antialias: bool, dtype: Any) -> Tensor:
    """The matrix (new, old) whose rows weigh the old pixels around each new one."""
    scale = old / new
    spread = max(scale, 1.0) if antialias else 1.0
    centers = (np.arange(new) + 0.5) * scale
    distance = (np.arange(old)[None] + 0.5 - centers[:, None]) / spread
    weights = (_triangle if mode == "bilinear" else _cubic)(distance)
    return tg.tensor(weights / weights.sum(1, keepdims=True), dtype=dtype)


# --- crop, pad, flip


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The window of this size at (top, left); what lies outside of the image is 0."""
    check_image(img, "crop")
    if is_pil(img):
        return img.crop((left, top, left + width, top + height))
    h, w = size_of(img)
    inside = img[..., max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    missing = [max(-left, 0), max(-top, 0), max(left + width - w, 0), max(top + height - h, 0)]
    return pad(inside, missing) if any(missing) else inside


def center_crop(img: Any, size: Any) -> Any:
    """The middle part of the given size; a smaller image is padded with 0 first."""
    check_image(img, "center_crop")
    h, w = _pair(size, "center_crop")
    height, width = size_of(img)
    if w > width or h > height:
        left, top = max(w - width, 0) // 2, max(h - height, 0) // 2
        img = pad(img, [left, top, max(w - width, 0) - left, max(h - height, 0) - top])
        height, width = size_of(img)
    return crop(img, round((height - h) / 2.0), round((width - w) / 2.0), h, w)


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The image with a border.

    Args:
        padding: an int for all sides, (left and right, top and bottom), or (left, top, right, bottom).
        fill: value of the border of 'constant'; for PIL images also a tuple.
        padding_mode: 'constant', 'edge', 'reflect' (without the edge pixel) or 'symmetric' (with it).

    Raises ValueError for another mode, other numbers of sides, negative padding, or a reflection longer than the image.
    """
    check_image(img, "pad")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(f"Padding mode should be either constant, edge, reflect or symmetric, got {padding_mode!r}")
    sides = [padding] * 4 if isinstance(padding, int) else list(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(sides)} element tuple")
    left, top, right, bottom = sides if len(sides) == 4 else [sides[0], sides[-1]] * 2
    if min(left, top, right, bottom) < 0:
        raise ValueError(f"pad: negative padding {padding!r}; use crop to cut the image")
    height, width = size_of(img)
    if padding_mode != "constant":
        rows, columns = (
            _padded(n, before, after, padding_mode) for n, before, after in ((height, top, bottom), (width, left, right))
        )
        if is_pil(img):
            from PIL import Image

            return Image.fromarray(np.asarray(img)[rows][:, columns])
        return tg.index_select(tg.index_select(img, -2, tg.tensor(rows)), -1, tg.tensor(columns))
    if is_pil(img):
        from PIL import ImageOps

        fill = tuple(fill) if isinstance(fill, (list, tuple)) else fill
        if isinstance(fill, int) and len(img.getbands()) > 1:
            fill = (fill,) * len(img.getbands())
        return ImageOps.expand(img, (left, top, right, bottom), fill)
    shape = (*tuple(img.shape)[:-2], height + top + bottom, width + left + right)
    value = fill[0] if isinstance(fill, (list, tuple)) and len(fill) == 1 else fill
    if isinstance(value, (list, tuple)):
        raise ValueError(f"pad: fill of a tensor is one number, got {fill!r}")
    out = tg.full(shape, value, dtype=img.dtype)
    out[..., top : top + height, left : left + width] = img
    return out


def _padded(n: int, before: int, after: int, mode: str) -> np.ndarray:
    limit = n - 1 if mode == "reflect" else n
    if mode != "edge" and max(before, after) > limit:
        raise ValueError(f"pad: a {mode} border of {max(before, after)} needs a longer edge than {n}")
    return np.pad(np.arange(n), (before, after), mode=mode)  # type: ignore[call-overload]


def hflip(img: Any) -> Any:
    """The image with left and right exchanged."""
    check_image(img, "hflip")
    if is_pil(img):
        from PIL import Image

        return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return tg.flip(img, (-1,))


def vflip(img: Any) -> Any:
    """The image upside down."""
    check_image(img, "vflip")
    if is_pil(img):
        from PIL import Image

        return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return tg.flip(img, (-2,))


# --- rotate and affine: every new pixel looks up where it comes from


def rotate(
    img: Any, angle: float, interpolation: Any = "nearest", expand: bool = False, center: Any = None, fill: Any = 0
) -> Any:
    """The image rotated counter-clockwise by `angle` degrees.

    Args:
        interpolation: 'nearest' or 'bilinear' ('bicubic' for PIL images).
        expand: make the result large enough for the whole rotated image.
        center: (x, y) of the fixed point; default: the middle. Not with expand.
        fill: value outside of the image.
    """
    check_image(img, "rotate")
    if is_pil(img):
        fillcolor = fill if isinstance(fill, (int, tuple)) and len(img.getbands()) == 1 else _color(img, fill)
        return img.rotate(angle, pil_filter(interpolation), expand, tuple(center) if center else None, fillcolor=fillcolor)
    height, width = size_of(img)
    matrix = _inverse_affine(-angle, (0.0, 0.0), 1.0, (0.0, 0.0), (0.0, 0.0) if center is None else _from_middle(center, img))
    size = (height, width)
    if expand:
        corners = np.array([[x, y] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)])
        moved = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        w, h = np.ceil(np.round(np.ptp(moved, axis=0), 4)).astype(int)
        size = (int(h), int(w))
    return _sample(img, matrix, size, interpolation, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Any,
    interpolation: Any = "nearest",
    fill: Any = 0,
    center: Any = None,
) -> Any:
    """Rotation (degrees, clockwise), translation (x, y in pixels), scaling and shear (x, y in degrees) about the middle.

    Raises ValueError for scale <= 0 or a translate that is not a pair.
    """
    check_image(img, "affine")
    if scale <= 0.0:
        raise ValueError(f"Argument scale should be positive, got {scale}")
    if len(translate) != 2:
        raise ValueError(f"translate should be (x, y), got {translate!r}")
    shears = (float(shear), 0.0) if isinstance(shear, (int, float)) else (*map(float, shear), 0.0)[:2]
    offset = (0.0, 0.0) if center is None else _from_middle(center, img)
    matrix = _inverse_affine(angle, tuple(map(float, translate)), scale, shears, offset)
    height, width = size_of(img)
    if is_pil(img):
        from PIL import Image

        middle = np.array([width * 0.5, height * 0.5])  # Pillow counts from the corner
        shifted = matrix[:, 2] + middle - matrix[:, :2] @ middle
        data = (*matrix[0, :2], shifted[0], *matrix[1, :2], shifted[1])
        return img.transform(
            (width, height), Image.Transform.AFFINE, data, pil_filter(interpolation), fillcolor=_color(img, fill)
        )
    return _sample(img, matrix, (height, width), interpolation, fill)


def _from_middle(center: Any, img: Any) -> tuple[float, float]:
    height, width = size_of(img)
    return center[0] - width * 0.5, center[1] - height * 0.5


def _color(img: Any, fill: Any) -> Any:
    bands = len(img.getbands())
    return (int(fill),) * bands if isinstance(fill, (int, float)) and bands > 1 else fill


def _inverse_affine(angle: float, translate: Any, scale: float, shear: Any, center: Any) -> np.ndarray:
    """The matrix (2, 3) that takes a new position to the old one; positions (x, y) from the middle of the image."""
    rotation, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a = math.cos(rotation - sy) / math.cos(sy)
    b = -math.cos(rotation - sy) * math.tan(sx) / math.cos(sy) - math.sin(rotation)
    c = math.sin(rotation - sy) / math.cos(sy)
    d = -math.sin(rotation - sy) * math.tan(sx) / math.cos(sy) + math.cos(rotation)
    inverse = np.linalg.inv(scale * np.array([[a, b], [c, d]]))
    center, translate = np.asarray(center, dtype=float), np.asarray(translate, dtype=float)
    return np.concatenate([inverse, (center - inverse @ (center + translate))[:, None]], 1)


def _sample(img: Tensor, matrix: np.ndarray, size: tuple[int, int], interpolation: Any, fill: Any) -> Tensor:
    mode = mode_of(interpolation)
    if mode == "bicubic":
        raise ValueError("rotate and affine of tensors take interpolation 'nearest' or 'bilinear'")
    height, width = size_of(img)
    h, w = size
    y, x = np.mgrid[0:h, 0:w]
    new = np.stack([x + 0.5 - w * 0.5, y + 0.5 - h * 0.5])  # (2, h, w)
    old = np.tensordot(matrix[:, :2], new, 1) + matrix[:, 2][:, None, None]
    old_x, old_y = old[0] + width * 0.5 - 0.5, old[1] + height * 0.5 - 0.5
    exact = img.dtype.is_floating_point
    flat = (img if exact else img.float()).reshape(*tuple(img.shape)[:-2], height * width)

    def look_up(rows: np.ndarray, columns: np.ndarray) -> tuple[Tensor, Tensor]:
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        at = np.where(inside, rows * width + columns, 0).astype(np.int64).ravel()
        pixels = tg.index_select(flat, -1, tg.tensor(at)).reshape(*tuple(img.shape)[:-2], h, w)
        return pixels, tg.tensor(inside)

    if mode == "nearest":
        pixels, inside = look_up(np.floor(old_y + 0.5), np.floor(old_x + 0.5))
        out = tg.where(inside, pixels, float(fill))
    else:
        top, left = np.floor(old_y), np.floor(old_x)
        out = None
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = np.abs(1 - dy - (old_y - top)) * np.abs(1 - dx - (old_x - left))
            pixels, inside = look_up(top + dy, left + dx)
            term = tg.where(inside, pixels, float(fill)) * tg.tensor(weight, dtype=flat.dtype)
            out = term if out is None else out + term
    return out if exact else tg.clamp(tg.round(out), 0, tg.iinfo(img.dtype).max).to(img.dtype)
