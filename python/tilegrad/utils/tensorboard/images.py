"""Arrays as images: layouts, grids, and a PNG encoder (zlib does the work)."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from ...tensor import Tensor


def as_array(value: Any) -> np.ndarray:
    """A tensor, array, number or nested list as a NumPy array."""
    if isinstance(value, Tensor):
        x = value.detach()
        return (x.float() if x.dtype.name == "bfloat16" else x).numpy()
    return np.asarray(value)


def as_image(name: str, value: Any, dataformats: str) -> np.ndarray:
    """Bytes of (H, W, C), or (N, H, W, C) when the layout has an N. Floats are taken as 0..1.

    Raises ValueError when the letters are not a layout of N, C, H and W, or do not fit the array.
    """
    array, layout = as_array(value), dataformats.upper()
    if not {"H", "W"} <= set(layout) <= set("NCHW") or len(set(layout)) != len(layout):
        raise ValueError(f"{name}: dataformats should be a layout of N, C, H, W such as 'CHW', got {dataformats!r}")
    if array.ndim != len(layout):
        raise ValueError(f"{name}: dataformats {dataformats!r} does not fit an array of shape {array.shape}")
    if (name == "add_images") != ("N" in layout):
        raise ValueError(f"{name}: dataformats {dataformats!r}; use {'add_images' if 'N' in layout else 'add_image'}")
    order = [layout.index(c) for c in "NHWC" if c in layout]
    array = array.transpose(order)
    if "C" not in layout:
        array = array[..., None]
    if array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"{name}: {array.shape[-1]} channels with dataformats {dataformats!r}; 1, 3 or 4 make an image")
    if array.dtype != np.uint8:
        array = np.clip(np.nan_to_num(array.astype(np.float64)) * 255.0, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(array)


def grid_of(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) as one image of about ceil(sqrt(N)) columns; empty places are black."""
    n, h, w, c = images.shape
    columns = int(np.ceil(np.sqrt(n))) if n else 1
    rows = -(-n // columns)
    filled = np.zeros((rows * columns, h, w, c), images.dtype)
    filled[:n] = images
    return filled.reshape(rows, columns, h, w, c).transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, c)


def png(pixels: np.ndarray) -> bytes:
    """Bytes (H, W, C) of 1 (grey), 3 (RGB) or 4 (RGBA) channels as a PNG file. Source: https://www.w3.org/TR/png-3/"""
    height, width, channels = pixels.shape
    color = {1: 0, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = np.zeros((height, 1 + width * channels), np.uint8)  # every row begins with its filter, 0: none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">2I5B", width, height, 8, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")
    )
