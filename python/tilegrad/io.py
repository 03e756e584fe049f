"""save and load: checkpoints as safetensors files. No pickle, so loading a file never runs code from it.

A checkpoint is any tree of dicts, lists, tuples, strings, numbers, booleans and None whose leaves may be tensors or
NumPy
arrays: a state_dict, an optimizer's state_dict, or both in one dict. The arrays go into the file under readable
names, the tree goes as JSON into the file's metadata ("tilegrad.tree"). A flat dict of tensors therefore is an
ordinary safetensors file, which other programs can read, and files of other programs load as a flat dict.

Files are written next to their target and moved over it when complete: a crash leaves the old file as it was.
Source: https://huggingface.co/docs/safetensors; names as in https://pytorch.org/docs/stable/generated/torch.save.html
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

import tilegrad as tg

from .tensor import Tensor

_TREE = "tilegrad.tree"
_NUMPY = {  # safetensors' dtype names -> NumPy
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "I16": np.int16,
    "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip
_ARRAY_DTYPES = {np.dtype(t).name for t in _NUMPY.values()}


def save(obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: Any = None, **_: Any) -> None:
    """Writes a tree of tensors, arrays and plain values to the path or binary file object `f`.

    Tensors of all nine dtypes, from any device; gradients and graphs are not saved, requires_grad is. A tensor that
    occurs twice is written once. Dicts keep their order; keys may be str, int, float, bool or None.

    Raises:
        TypeError: naming the place in the tree of an object that cannot be saved (a whole Module, a function, a set,
        ...).
        OSError: the file cannot be written; an existing file is then unchanged.
    """
    if pickle_module is not None:
        raise TypeError("save: tilegrad does not write pickles; leave pickle_module out")
    writer = _Writer()
    tree = writer.encode(obj, "")
    # one entry only: safetensors writes several in a random order, and equal trees should give equal bytes
    metadata = {_TREE: json.dumps(tree, allow_nan=False, separators=(",", ":"))}
    if hasattr(f, "write"):
        from safetensors import serialize

        f.write(serialize(writer.specs(), metadata=metadata))
        return
    _write_atomically(os.fspath(f), writer, metadata)


def _write_atomically(path: str | bytes, writer: _Writer, metadata: dict[str, str]) -> None:
    from safetensors import SafetensorError, serialize_file

    target = os.path.realpath(os.fsdecode(path))  # through a link, so that the link stays
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"save: the folder {folder!r} does not exist; create it first")
    if os.path.isdir(target):
        raise IsADirectoryError(f"save: {target!r} is a folder; give the name of a file in it")
    temporary = f"{target}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:  # made here so that it gets the usual permissions
            mode = os.stat(target if os.path.exists(target) else file.fileno()).st_mode & 0o777
        try:
            serialize_file(writer.specs(), temporary, metadata=metadata)
        except SafetensorError as error:
            raise OSError(f"save: cannot write {target!r}: {error}") from error
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    if os.name == "posix":  # make the new name durable too
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Writer:
    """Turns a tree into JSON and collects its arrays. Plain JSON values stand for themselves, the rest is {"kind":
    ...}.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, tuple[np.ndarray, str]] = {}  # name -> bytes as NumPy, dtype name
        self._names: dict[Any, str] = {}  # what was already written -> name
        self._alive: list[Any] = []  # keeps ids and addresses valid while saving

    def specs(self) -> dict[str, Any]:
        from safetensors import TensorSpec

        return {
            name: TensorSpec(dtype=dtype, shape=list(array.shape), data_ptr=array.ctypes.data, data_len=array.nbytes)
            for name, (array, dtype) in self.arrays.items()
        }

    def encode(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return value
        if isinstance(value, Tensor):
            node = {"kind": "tensor", "name": self._tensor(value, path)}
            return {**node, "requires_grad": True} if value.requires_grad and value.is_leaf else node
        if isinstance(value, (np.ndarray, np.generic)):
            return {"kind": "scalar" if isinstance(value, np.generic) else "array", "name": self._array(value, path)}
        if isinstance(value, int):  # an IntEnum and the like would come back as something else
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"kind": "float", "value": repr(float(value))}
        if isinstance(value, Mapping):
            pairs = [[self._key(k, path), self.encode(v, f"{path}.{k}" if path else str(k))] for k, v in value.items()]
            return {"kind": "ordered_dict" if isinstance(value, OrderedDict) else "dict", "items": pairs}
        if isinstance(value, (list, tuple)):
            items = [self.encode(v, f"{path}.{i}" if path else str(i)) for i, v in enumerate(value)]
            return items if isinstance(value, list) else {"kind": "tuple", "items": items}
        raise TypeError(_refusal(value, path))

    def _key(self, key: Any, path: str) -> Any:
        if key is None or isinstance(key, (bool, str, int)):
            return key
        if isinstance(key, float) and math.isfinite(key):
            return key
        raise TypeError(
            f"save: {_place(path)} has a key of type {type(key).__name__}; keys must be str, int, float, bool or None"
        )

    def _tensor(self, tensor: Tensor, path: str) -> str:
        identity = (
            (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), str(tensor.dtype)) if tensor.numel() else id(tensor)
        )
        if identity not in self._names:
            self._alive.append(tensor)
            self._names[identity] = self._add(*_bytes_of(tensor), path)
        return self._names[identity]

    def _array(self, array: Any, path: str) -> str:
        values = np.asarray(array)
        if values.dtype.name not in _ARRAY_DTYPES:
            raise TypeError(
                f"save: {_place(path)} is a NumPy array of dtype {values.dtype}; supported: {', '.join(sorted(_ARRAY_DTYPES))}"
            )
        if id(array) not in self._names or isinstance(array, np.generic):
            self._alive.append(array)
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            self._names[id(array)] = self._add(np.ascontiguousarray(little).reshape(values.shape), values.dtype.name, path)
        return self._names[id(array)]

    def _add(self, array: np.ndarray, dtype: str, path: str) -> str:
        name = path or "value"
        if name == "__metadata__":
            name = "__metadata__.0"
        suffix = 1
        while name in self.arrays:
            suffix += 1
            name = f"{path or 'value'}#{suffix}"
        self.arrays[name] = (array, dtype)
        return name


def _bytes_of(tensor: Tensor) -> tuple[np.ndarray, str]:
    """The elements as a contiguous NumPy array and the dtype they have in the file."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == tg.bfloat16:  # NumPy has none: a bfloat16 is the upper half of the equal float32
        wide = np.ascontiguousarray(tensor.to(tg.float32).numpy()).reshape(tuple(tensor.shape))
        return np.asarray(wide.view(np.uint32) >> 16).astype(np.uint16), "bfloat16"
    array = tensor.numpy()
    return np.ascontiguousarray(array).reshape(array.shape), array.dtype.name


def _place(path: str) -> str:
    return f"'{path}'" if path else "the object itself"


def _refusal(value: Any, path: str) -> str:
    from .nn.module import Module
    from .optim.optimizer import Optimizer

    advice = "convert it to dicts, lists, numbers, strings, tensors or NumPy arrays"
    if isinstance(value, (Module, Optimizer)):
        advice = f"save {path or 'it'}.state_dict() instead, and load it with load_state_dict"
    return f"save: cannot save {_place(path)} of type {type(value).__name__}; {advice}"


def load(
    f: Any, map_location: Any = None, pickle_module: Any = None, *, weights_only: Any = None, mmap: Any = None, **_: Any
) -> Any:
    """Reads what `save` wrote, or any safetensors file (as a flat dict name -> tensor), from a path or binary file
    object.

    Args:
        map_location: where tensors go: a device or its name, a dict {"cpu": device}, or a function of (tensor, "cpu").
            None leaves them on the CPU.
        pickle_module, weights_only, mmap: accepted for PyTorch's signature; loading is always safe.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, truncated, damaged or of another format; the message says which and what to do.
    """
    if hasattr(f, "read"):
        data, where = f.read(), f"the file object {getattr(f, 'name', type(f).__name__)!r}"
    else:
        where = repr(os.fsdecode(os.fspath(f)))
        if not os.path.exists(f):
            raise FileNotFoundError(f"load: there is no file {where}")
        with open(f, "rb") as file:
            data = file.read()
    tensors, metadata = _parse(data, where)
    reader = _Reader(tensors, map_location, where)
    if _TREE not in metadata:
        return {name: reader.tensor(name) for name in tensors}
    try:
        return reader.decode(json.loads(metadata[_TREE]))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"load: {where} is damaged: its description of the saved tree is not valid ({error!r}); save it again"
        ) from error


def _parse(data: bytes, where: str) -> tuple[dict[str, dict], dict[str, str]]:
    from safetensors import SafetensorError, deserialize

    if not data:
        raise ValueError(f"load: {where} is empty; was the program that wrote it stopped? Use another checkpoint")
    try:
        tensors = dict(deserialize(data))
    except SafetensorError as error:
        if data[:4] == b"PK\x03\x04" or (data[:1] == b"\x80" and data[1:2] in b"\x02\x03\x04\x05"):
            raise ValueError(
                f"load: {where} is a PyTorch (pickle) checkpoint, which tilegrad does not read because pickles run code; "
                "convert it where PyTorch is installed: safetensors.torch.save_file(torch.load(path), new_path)"
            ) from None
        raise ValueError(
            f"load: {where} is not a complete safetensors file ({error}); it is truncated, damaged or of another format. "
            "Copy it again or use another checkpoint"
        ) from error
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return tensors, metadata


class _Reader:
    """Rebuilds the tree; every stored array becomes one tensor, shared where it was shared."""

    def __init__(self, stored: dict[str, dict], map_location: Any, where: str) -> None:
        self._stored, self._map_location, self._where = stored, map_location, where
        self._tensors: dict[str, Tensor] = {}

    def array(self, name: str) -> np.ndarray:
        entry = self._stored[name]
        if entry["dtype"] not in _NUMPY:
            raise ValueError(
                f"load: '{name}' in {self._where} has dtype {entry['dtype']}, which tilegrad does not have; supported: "
                f"BF16, {', '.join(_NUMPY)}"
            )
        return np.frombuffer(entry["data"], dtype=_NUMPY[entry["dtype"]]).reshape(entry["shape"]).copy()

    def tensor(self, name: str) -> Tensor:
        if name not in self._tensors:
            entry = self._stored[name]
            if entry["dtype"] == "BF16":
                half = np.frombuffer(entry["data"], dtype=np.uint16).reshape(entry["shape"])
                wide = np.asarray(half.astype(np.uint32) << 16).view(np.float32)
                tensor = tg.from_numpy(wide).to(tg.bfloat16)
            else:
                array = self.array(name)
                if array.dtype.name in ("int16", "uint16", "uint32"):  # no such tensors: the next wider type holds them
                    array = array.astype(np.int64 if array.dtype.name == "uint32" else np.int32)
                elif array.dtype.name == "uint64":
                    raise ValueError(f"load: '{name}' in {self._where} has dtype U64, which tilegrad does not have")
                tensor = tg.from_numpy(array)
            self._tensors[name] = _moved(tensor, self._map_location)
        return self._tensors[name]

    def decode(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.decode(n) for n in node]
        if not isinstance(node, dict):
            return node
        kind = node["kind"]
        if kind == "tensor":
            tensor = self.tensor(node["name"])
            return tensor.requires_grad_() if node.get("requires_grad") else tensor
        if kind == "array":
            return self.array(node["name"])
        if kind == "scalar":
            return self.array(node["name"])[()]
        if kind == "float":
            return float(node["value"])
        if kind == "tuple":
            return tuple(self.decode(n) for n in node["items"])
        if kind in ("dict", "ordered_dict"):
            pairs = [(k, self.decode(v)) for k, v in node["items"]]
            return OrderedDict(pairs) if kind == "ordered_dict" else dict(pairs)
        raise KeyError(f"kind {kind!r}")


def _moved(tensor: Tensor, map_location: Any) -> Tensor:
    if map_location is None:
        return tensor
    if isinstance(map_location, dict):
        return tensor.to(map_location["cpu"]) if "cpu" in map_location else tensor
    if callable(map_location) and not isinstance(map_location, tg.device):
        moved = map_location(tensor, "cpu")
        return tensor if moved is None else moved
    return tensor.to(map_location)
