"""Reading files that users bring: where they lie, whether they are whole, and errors that name the file and what is wrong."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import os
import pickle
import struct
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What an official file is: its name, its MD5 sum, and where it can be had.
Source = tuple[str, str, Sequence[str]]


def md5_of(data: bytes) -> str:
    """The MD5 sum that the publishers of the data sets give."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def missing(name: str, files: Iterable[Source], folder: Path, why: str = "") -> RuntimeError:
    """The error for files that are not there: which ones, from where, and where to put them."""
    lines = [f"{name}: Dataset not found{why}. Wanted in {folder}:"]
    for file, md5, urls in files:
        lines.append(f"  {file}" + (f"  (MD5 {md5})" if md5 else ""))
        lines += [f"    {url}" for url in urls]
    lines.append("Download these files there by hand, or pass download=True on a machine with network access.")
    return RuntimeError("\n".join(lines))


def download(name: str, files: Iterable[Source], folder: Path) -> None:
    """Fetches what is not there yet and checks the sums. Raises RuntimeError naming every file, address and the folder."""
    from urllib.request import urlopen

    wanted = [source for source in files if not (folder / source[0]).is_file()]
    for file, md5, urls in wanted:
        reasons = []
        for url in urls:
            try:
                with urlopen(url, timeout=60) as answer:
                    data = answer.read()
            except OSError as error:  # URLError, timeouts, refused connections
                reasons.append(f"{url}: {error}")
                continue
            if md5 and md5_of(data) != md5:
                reasons.append(f"{url}: MD5 is {md5_of(data)}, expected {md5}")
                continue
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{file}.{os.getpid()}"
            part.write_bytes(data)
            part.replace(folder / file)
            break
        else:
            raise missing(name, wanted, folder, f", and downloading {file} failed ({'; '.join(reasons)})")


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked when its name ends in .gz. Raises ValueError when it is damaged."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError:
        raise ValueError(f"{path}: the gzip file ends early ({len(raw)} bytes); download it again") from None
    except (OSError, zlib.error) as error:
        raise ValueError(f"{path}: not a valid gzip file ({error}); download it again") from None


# --- IDX, the format of MNIST: magic (0, 0, type, number of dims), the sizes, the elements; big-endian

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path | str, ndim: int | None = None) -> np.ndarray:
    """The array of an IDX file, plain or .gz.

    Args:
        path: the file.
        ndim: how many dims it must have; None takes any.

    Raises:
        ValueError: naming the file, for a wrong magic number, an unknown type, another number of dims, a file that is too
            short or too long, or a damaged .gz.

    Source: the description of the format on the MNIST page, https://github.com/cvdfoundation/mnist
    """
    path = Path(path)
    data = read_bytes(path)
    if len(data) < 4:
        raise ValueError(f"{path}: too short for an IDX file ({len(data)} bytes)")
    zero, kind, dims = struct.unpack(">HBB", data[:4])
    if zero != 0 or kind not in _IDX_TYPES:
        raise ValueError(f"{path}: not an IDX file; its first bytes are {data[:4].hex(' ')}, expected 00 00 08 03 or the like")
    if ndim is not None and dims != ndim:
        raise ValueError(f"{path}: an IDX file of {dims} dims where {ndim} are expected; are images and labels exchanged?")
    start = 4 + 4 * dims
    if len(data) < start:
        raise ValueError(f"{path}: the IDX header ends early ({len(data)} bytes, {start} expected)")
    shape = struct.unpack(f">{dims}I", data[4:start])
    dtype = np.dtype(_IDX_TYPES[kind])
    expected = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(f"{path}: {len(data)} bytes, but its header (shape {shape}, {dtype.name}) needs {expected}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: Path | str, array: np.ndarray) -> None:
    """Writes an array as an IDX file; gzipped when the name ends in .gz. Raises ValueError for a dtype IDX lacks."""
    codes = {np.dtype(text).newbyteorder("="): code for code, text in _IDX_TYPES.items()}
    if array.dtype not in codes:
        raise ValueError(f"write_idx: IDX has no dtype {array.dtype}; use uint8, int8, int16, int32, float32 or float64")
    header = struct.pack(f">HBB{array.ndim}I", 0, codes[array.dtype], array.ndim, *array.shape)
    data = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    Path(path).write_bytes(gzip.compress(data, mtime=0) if Path(path).suffix == ".gz" else data)


# --- pickles that hold arrays and plain values, and nothing that runs

_HARMLESS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *((module, name) for module in ("numpy.core.multiarray", "numpy._core.multiarray") for name in ("_reconstruct", "scalar")),
}


_MULTIARRAY = "numpy._core.multiarray" if np.__version__ >= "2" else "numpy.core.multiarray"


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which a file of arrays has no need of")
        if module.startswith("numpy."):  # the module has two names, by the version of NumPy that wrote the file
            return getattr(importlib.import_module(_MULTIARRAY), name)
        return super().find_class(module, name)


def unpickle_arrays(data: bytes, path: Path | str) -> dict[str, Any]:
    """The dict of a pickle of arrays, lists, strings and numbers (Python 2's too); anything else is refused.

    Raises ValueError naming the file when it is damaged, refers to code, or is not a dict.
    """
    try:
        entry = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(f"{path}: not a readable pickle of arrays: {error or type(error).__name__}") from None
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: the pickle holds a {type(entry).__name__}, expected a dict")
    return entry


# --- archives


def tar_members(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The wanted files of a .tar.gz by their base names, read without unpacking anything to disk.

    Raises ValueError naming the archive when it is damaged.
    """
    wanted, found = set(names), {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                base = member.name.rpartition("/")[2]
                if base in wanted and member.isfile():
                    content = archive.extractfile(member)
                    found[base] = content.read() if content is not None else b""
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ValueError(f"{path}: not a readable archive ({error}); download it again") from None
    return found


def check_sum(path: Path | str, data: bytes, md5: str, official: bool) -> None:
    """Raises ValueError when a file has as many items as the official one but not its sum. Other files are the user's own."""
    if md5 and official and md5_of(data) != md5:
        raise ValueError(
            f"{path}: damaged: its MD5 sum is {md5_of(data)}, the official file's is {md5}. Download it again, "
            "or pass checksum=False if it is meant to differ"
        )
