"""Element types, with PyTorch's names."""

from __future__ import annotations

import builtins
from typing import ClassVar

from . import _core


class dtype:
    """An element type such as ``tilegrad.float32``. Compare with ``is`` or ``==``; there is one object per type."""

    __slots__ = ("is_floating_point", "itemsize", "name", "numpy_name")

    def __init__(self, name: str, itemsize: builtins.int, is_floating_point: builtins.bool, numpy_name: str | None) -> None:
        self.name = name
        self.itemsize = itemsize
        self.is_floating_point = is_floating_point
        self.numpy_name = numpy_name

    def __repr__(self) -> str:
        return f"tilegrad.{self.name}"

    def __reduce__(self) -> tuple:
        return (_by_name, (self.name,))

    @property
    def is_complex(self) -> builtins.bool:
        """Is it a complex dtype? Always False: there are none."""
        return False


float32 = dtype("float32", 4, True, "float32")
float64 = dtype("float64", 8, True, "float64")
bfloat16 = dtype("bfloat16", 2, True, None)
float16 = dtype("float16", 2, True, "float16")
int64 = dtype("int64", 8, False, "int64")
int32 = dtype("int32", 4, False, "int32")
int8 = dtype("int8", 1, False, "int8")
uint8 = dtype("uint8", 1, False, "uint8")
bool = dtype("bool", 1, False, "bool")

ALL = (float32, float64, bfloat16, float16, int64, int32, int8, uint8, bool)
BY_NAME = {d.name: d for d in ALL}
_core.set_dtypes(ALL)


# PyTorch's short names
float = float32
double = float64
half = float16
long = int64
int = int32

# PyTorch's name for int8 in quantized layers: a plain int8 tensor here, whose scale is a tensor beside it.
qint8 = int8


def _by_name(name: str) -> dtype:
    return BY_NAME[name]


class finfo:
    """Limits of a floating type: ``eps``, ``max``, ``min``, ``tiny``, ``bits``."""

    _VALUES: ClassVar = {
        "float64": (2.220446049250313e-16, 1.7976931348623157e308, 2.2250738585072014e-308),
        "float32": (1.1920928955078125e-07, 3.4028234663852886e38, 1.1754943508222875e-38),
        "float16": (0.0009765625, 65504.0, 6.103515625e-05),
        "bfloat16": (0.0078125, 3.3895313892515355e38, 1.1754943508222875e-38),
    }

    def __init__(self, dtype: dtype = float32) -> None:
        if dtype.name not in self._VALUES:
            raise TypeError(f"finfo: expected a floating dtype, got {dtype}; integers have iinfo")
        self.dtype = dtype.name
        self.eps, self.max, self.tiny = self._VALUES[dtype.name]
        self.smallest_normal = self.tiny
        self.min = -self.max
        self.bits = dtype.itemsize * 8


class iinfo:
    """Limits of an integer type: ``min``, ``max``, ``bits``."""

    def __init__(self, dtype: dtype) -> None:
        if dtype.is_floating_point or dtype is bool:
            raise TypeError(f"iinfo: expected an integer dtype, got {dtype}; floating types have finfo")
        self.dtype = dtype.name
        self.bits = dtype.itemsize * 8
        signed = dtype is not uint8
        self.min = -(1 << (self.bits - 1)) if signed else 0
        self.max = (1 << (self.bits - signed)) - 1


def promote_types(a: dtype, b: dtype) -> dtype:
    """The dtype that two tensors of dtypes a and b are computed in."""
    return _core.full((1,), 0, a).add(_core.full((1,), 0, b)).dtype


def can_cast(source: dtype, target: dtype) -> builtins.bool:
    """May a result of dtype `source` be stored in a tensor of dtype `target` by an in-place op?"""
    for value in (source, target):
        if not isinstance(value, dtype):
            raise TypeError(f"can_cast(): expected two dtypes, got {type(value).__name__}")
    if target.is_floating_point:
        return True
    return not source.is_floating_point and (target is not bool or source is bool)
