"""Names at the top of PyTorch that are not ops: constants, questions about tensors, settings that have one value here."""

from __future__ import annotations

import math
from typing import Any

from . import dtypes
from .device import CPU, device, require_cpu
from .ops import creation
from .ops.arguments import need_tensor, need_tensors

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None
# what else the functional layers offer at the top of PyTorch
FUNCTIONAL = frozenset(
    """adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout avg_pool1d batch_norm bilinear binary_cross_entropy_with_logits
    celu channel_shuffle cosine_embedding_loss cosine_similarity ctc_loss dropout embedding embedding_bag group_norm hardshrink
    hinge_embedding_loss instance_norm kl_div layer_norm margin_ranking_loss max_pool1d max_pool2d max_pool3d pairwise_distance
    pixel_shuffle pixel_unshuffle poisson_nll_loss prelu relu_ rms_norm selu threshold triplet_margin_loss""".split()
)


class layout:
    """How the elements lie in memory; there is one layout."""

    def __repr__(self) -> str:
        return "tilegrad.strided"


strided = layout()


def is_floating_point(x: Any) -> bool:
    """Are the elements floats?"""
    need_tensor("is_floating_point", "x", x)
    return x.dtype.is_floating_point


def is_nonzero(x: Any) -> bool:
    """Is the one element not 0? Raises RuntimeError for another number of elements."""
    need_tensor("is_nonzero", "x", x)
    if x.numel() != 1:
        raise RuntimeError(f"Boolean value of Tensor with {x.numel()} values is ambiguous")
    return bool(x)


def is_same_size(x: Any, y: Any) -> bool:
    """Same shape?"""
    need_tensors("is_same_size", x=x, y=y)
    return x.shape == y.shape


def typename(value: Any) -> str:
    """The name of a tensor's type, or of any object's class with its module."""
    if hasattr(value, "dtype") and hasattr(value, "type"):
        return value.type()
    kind = value if isinstance(value, type) else type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor without dims; float32 by default."""
    return creation.tensor(value, dtype=dtype or creation.get_default_dtype(), device=device, requires_grad=requires_grad)


def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, **kwargs: Any) -> Any:
    """base ** linspace(start, end, steps)."""
    requires_grad = kwargs.pop("requires_grad", False)
    powers = creation.linspace(start, end, steps, dtype=dtypes.float64, **kwargs)
    return (base**powers).to(dtype or creation.get_default_dtype()).requires_grad_(requires_grad)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing to do: every kernel gives the same bits in every run, for any number of threads."""


def are_deterministic_algorithms_enabled() -> bool:
    """Always."""
    return True


def set_num_interop_threads(threads: int) -> None:
    """Nothing to do: ops run one after the other."""


def get_num_interop_threads() -> int:
    """How many ops run beside each other: one."""
    return 1


def set_flush_denormal(mode: bool) -> bool:
    """Not supported: gives False, as in PyTorch where it is not."""
    return False


def set_default_device(where: Any) -> None:
    """New tensors are made on the CPU. Raises RuntimeError for a device that is not there."""
    require_cpu(where)


def get_default_device() -> device:
    """Where new tensors are made: the CPU."""
    return CPU


def set_default_tensor_type(kind: Any) -> None:
    """`set_default_dtype` in old code: FloatTensor or DoubleTensor, or the name of one.

    Raises TypeError for another value.
    """
    from . import _typed

    found = _typed.constructor(kind.rpartition(".")[2], on_gpu=".cuda." in kind) if isinstance(kind, str) else kind
    if found is None or not isinstance(getattr(found, "dtype", None), dtypes.dtype):
        raise TypeError(f"invalid type object {kind!r}: expected FloatTensor or DoubleTensor, or set_default_dtype")
    creation.set_default_dtype(found.dtype)
