"""FloatTensor, LongTensor and the like: PyTorch's old typed constructors."""

from __future__ import annotations

from typing import Any

from . import dtypes
from .ops import creation

_TYPES = {
    "FloatTensor": dtypes.float32,
    "DoubleTensor": dtypes.float64,
    "HalfTensor": dtypes.float16,
    "BFloat16Tensor": dtypes.bfloat16,
    "LongTensor": dtypes.int64,
    "IntTensor": dtypes.int32,
    "CharTensor": dtypes.int8,
    "ByteTensor": dtypes.uint8,
    "BoolTensor": dtypes.bool,
}


class _Constructor:
    """``LongTensor([1, 2])`` copies data, ``LongTensor(2, 3)`` has no values yet, ``x.type(LongTensor)`` converts."""

    def __init__(self, name: str, dtype: dtypes.dtype) -> None:
        self.__name__ = name
        self.dtype = dtype

    def __call__(self, *args: Any) -> Any:
        if len(args) == 1 and not isinstance(args[0], int):
            return creation.tensor(args[0], dtype=self.dtype)
        return creation.empty(*args, dtype=self.dtype) if args else creation.empty(0, dtype=self.dtype)

    def __repr__(self) -> str:
        return f"tilegrad.{self.__name__}"


_made = {name: _Constructor(name, dtype) for name, dtype in _TYPES.items()}


def constructor(name: str) -> _Constructor | None:
    return _made.get(name)
