"""Tensor methods that old or rare PyTorch code calls, in terms of the ops."""

from __future__ import annotations

import math
from typing import Any

from . import dtypes
from .autograd import modes
from .ops import creation, elementwise, shape
from .ops import linalg as _linalg

# x.name_(...) writes x.name(...) over x: these keep the shape. Comparisons become 0 and 1 in the dtype of x.
_WRITTEN_OVER = """
    addmm addbmm baddbmm addmv addr tril triu cumsum cumprod eq ne lt le gt ge logical_and logical_or logical_xor logical_not
    bitwise_and bitwise_or bitwise_xor bitwise_not erf log1p log2 renorm nan_to_num clamp_min clamp_max index_copy sgn sinc
    logit fmin fmax maximum minimum hypot float_power""".split()


def _written_over(cls: Any, name: str) -> Any:
    op = getattr(cls, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return elementwise.copy_(self, op(self, *args, **kwargs))

    method.__name__ = f"{name}_"
    method.__doc__ = f"In place: {name}."
    return method


def _reshaped(name: str) -> Any:
    def method(self: Any, *args: Any) -> Any:
        if not self.is_leaf or (self.requires_grad and modes.is_grad_enabled()):
            raise RuntimeError(f"{name}_: the shape of a tensor in a graph cannot be changed in place; use x = x.{name}(...)")
        self.data = getattr(self.data, name)(*args)
        return self

    method.__name__ = f"{name}_"
    method.__doc__ = f"This tensor itself takes the shape of {name}(...). Raises RuntimeError for a tensor in a graph."
    return method


def resize_(self: Any, *size: Any) -> Any:
    """In another shape, of any size: the elements stay in their order, new ones are open. Views keep the old memory.

    Raises RuntimeError for a tensor that requires grad.
    """
    if self.requires_grad:
        raise RuntimeError("resize_: cannot resize variables that require grad")
    sizes = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"resize_: sizes must not be negative, got {sizes}")
    count = math.prod(sizes)
    flat = self.data.reshape(-1)
    if count > flat.numel():
        longer = creation.empty(count, dtype=self.dtype)
        longer[: flat.numel()] = flat
        flat = longer
    self.data = flat[:count].reshape(sizes)
    return self


def resize_as_(self: Any, other: Any) -> Any:
    """`resize_` to the shape of another tensor."""
    return resize_(self, other.shape)


def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Any:
    """In place: one value on the main diagonal.

    Raises RuntimeError for a tensor of fewer than two dims, or of three and more dims that are not all equal.
    """
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError(f"all dimensions of input must be of equal length, got {self.shape}")
    rows = self.shape[0]
    if wrap and self.ndim == 2 and rows > self.shape[1]:
        columns = self.shape[1]
        at = creation.arange(0, rows * columns, columns + 1)
        self[at // columns, at % columns] = fill_value
        return self
    at = creation.arange(min(self.shape))
    self[(at,) * self.ndim] = fill_value
    return self


def _uniform(self: Any, generator: Any) -> Any:
    """Uniform in (0, 1]."""
    return 1 - creation.rand(self.shape, dtype=self.dtype, generator=generator)


def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
    """In place: numbers with density lambd exp(-lambd x)."""
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return elementwise.copy_(self, _uniform(self, generator).log() / -lambd)


def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
    """In place: the number of trials until the first success, of probability p."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return elementwise.copy_(self, (_uniform(self, generator).log() / math.log1p(-p)).ceil().clamp(min=1))


def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
    """In place: numbers of the Cauchy distribution."""
    return elementwise.copy_(self, ((_uniform(self, generator) - 0.5) * math.pi).tan() * sigma + median)


def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
    """In place: numbers whose logarithm is normal."""
    return elementwise.copy_(self, creation.empty_like(self.detach()).normal_(mean, std, generator=generator).exp())


def bernoulli(self: Any, *, generator: Any = None) -> Any:
    """0 or 1, with the probabilities in this tensor."""
    return creation.bernoulli(self, generator=generator)


def multinomial(self: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Positions drawn with the weights in the last dim of this tensor."""
    return creation.multinomial(self, num_samples, replacement, generator=generator)


def isclose(self: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """|self - other| <= atol + rtol * |other|, elementwise."""
    from .tensor import isclose

    return isclose(self, other, rtol, atol, equal_nan)


def sum_to_size(self: Any, *size: Any) -> Any:
    """The sum over what broadcasting a tensor of this size would repeat."""
    sizes = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    if len(sizes) > self.ndim or any(s not in (1, n) for s, n in zip(sizes[::-1], self.shape[::-1], strict=False)):
        raise RuntimeError(f"size {sizes} is not expandable to size {self.shape}.")
    return shape.sum_to(self, sizes)


def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of a dim: their elements become a new last dim.

    Raises RuntimeError for a window longer than the dim or a step below 1, IndexError for a dim out of range.
    """
    if not -self.ndim <= dimension < self.ndim:
        raise IndexError(f"unfold: Dimension out of range (expected in [{-self.ndim}, {self.ndim - 1}], but got {dimension})")
    dim = dimension % self.ndim
    if not 0 <= size <= self.shape[dim]:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {self.shape[dim]} but size is {size}")
    if step < 1:
        raise RuntimeError(f"step is {step} but must be > 0")
    count = (self.shape[dim] - size) // step + 1
    windows = creation.arange(count).unsqueeze(1) * step + creation.arange(size)  # (count, size)
    picked = self.index_select(dim, windows.reshape(-1)).unflatten(dim, (count, size))
    return picked.movedim(dim + 1, -1)


def _constant(value: Any, doc: str) -> Any:
    def method(self: Any) -> Any:
        return value

    method.__doc__ = doc
    return method


def _itself(self: Any) -> Any:
    """This tensor: memory is shared with other processes by the data loader alone."""
    return self


def _real(self: Any) -> Any:
    return self


def is_signed(self: Any) -> bool:
    """Can the dtype hold negative numbers?"""
    return self.dtype not in (dtypes.uint8, dtypes.bool)


def install(cls: Any) -> None:
    """Gives the Tensor class these methods; those it has already stay."""
    for name in _WRITTEN_OVER:
        if not hasattr(cls, f"{name}_"):
            setattr(cls, f"{name}_", _written_over(cls, name))
    for name in ("t", "transpose", "squeeze", "unsqueeze", "swapaxes", "swapdims"):
        setattr(cls, f"{name}_", _reshaped(name))
    for function in (
        resize_, resize_as_, fill_diagonal_, exponential_, geometric_, cauchy_, log_normal_, bernoulli, multinomial, isclose,
        sum_to_size, unfold,
    ):  # fmt: skip
        setattr(cls, function.__name__, function)
    cls.inverse, cls.pinverse = _linalg.inv, _linalg.pinv
    cls.cholesky_solve, cls.cholesky_inverse = _linalg.cholesky_solve, _linalg.cholesky_inverse
    cls.ger = cls.outer
    cls.share_memory_ = _itself
    cls.is_pinned = _constant(False, "Is it in page-locked memory? There is no GPU to copy to.")
    cls.is_shared = _constant(False, "Is it in memory shared with other processes?")
    cls.is_inference = _constant(False, "Was it made in inference_mode? Tensors are alike inside and outside of it.")
    cls.is_signed = is_signed
    cls.is_sparse = cls.is_quantized = cls.is_mps = cls.is_xpu = cls.is_meta = property(_constant(False, "No."))
    cls.is_cpu = property(_constant(True, "Is it on the CPU?"))
    cls.itemsize = property(lambda self: self.dtype.itemsize, doc="Bytes per element.")
    cls.H = property(lambda self: self.transpose(0, 1), doc="A matrix transposed (and conjugated: elements are real).")
    cls.mH = property(lambda self: self.transpose(-1, -2), doc="Matrices transposed (and conjugated: elements are real).")
    cls.real = property(_real, doc="The real part: the tensor itself.")
