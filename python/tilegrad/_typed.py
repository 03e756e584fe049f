"""FloatTensor, LongTensor and the like: PyTorch's old typed constructors."""

from __future__ import annotations

from typing import Any

from . import dtypes

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
    """``LongTensor([1, 2])`` copies data, ``LongTensor(2, 3)`` has no values yet, ``x.type(LongTensor)`` converts and
    ``isinstance(x, LongTensor)`` asks for the dtype."""

    def __init__(self, name: str, dtype: dtypes.dtype) -> None:
        self.__name__ = name
        self.dtype = dtype

    def __call__(self, *args: Any) -> Any:
        from .ops import creation

        if len(args) == 1 and not isinstance(args[0], int):
            return creation.tensor(args[0], dtype=self.dtype)
        return creation.empty(*args, dtype=self.dtype) if args else creation.empty(0, dtype=self.dtype)

    def __instancecheck__(self, value: Any) -> bool:
        return getattr(value, "dtype", None) is self.dtype

    def __repr__(self) -> str:
        return f"tilegrad.{self.__name__}"


class _OnGpu:
    """``cuda.FloatTensor``: a name for ``isinstance`` and for code that never gets there without a GPU."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    @property
    def dtype(self) -> dtypes.dtype:
        raise self._error()

    def __call__(self, *args: Any) -> Any:
        raise self._error()

    def __instancecheck__(self, value: Any) -> bool:
        return False

    def __repr__(self) -> str:
        return f"tilegrad.cuda.{self.__name__}"

    def _error(self) -> TypeError:
        return TypeError(f"type tilegrad.cuda.{self.__name__} not available: this build has no CUDA kernels; use the CPU")


_made = {name: _Constructor(name, dtype) for name, dtype in _TYPES.items()}
_made_on_gpu = {name: _OnGpu(name) for name in _TYPES}


def constructor(name: str, on_gpu: bool = False) -> Any:
    return (_made_on_gpu if on_gpu else _made).get(name)
