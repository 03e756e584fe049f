"""tilegrad: deep learning on kernels you can read.

    import tilegrad as tg
    x = tg.randn(2, 3, requires_grad=True)
    (x @ x.T).sum().backward()
    x.grad

The names are PyTorch's. ``tilegrad.nn``, ``tilegrad.optim``, ``tilegrad.utils.data`` and ``tilegrad.datasets`` build on what is
imported here.
"""

# isort: skip_file
import builtins as _builtins

from . import _core
from ._core import __version__
from . import dtypes
from .dtypes import (
    bfloat16, bool, can_cast, double, dtype, finfo, float, float16, float32, float64, half, iinfo, int, int8, int32,
    int64, long, promote_types, uint8,
)  # fmt: skip
from .device import device
from . import cuda, random
from .random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from . import ops
from .tensor import Size, Tensor, isclose  # before creation: the function `tensor` takes the name of the module
from .ops.creation import (
    arange, as_tensor, asarray, bernoulli, empty, empty_like, eye, from_dlpack, from_numpy, frombuffer, full,
    full_like, get_default_dtype, linspace, meshgrid, multinomial, nonzero, normal, ones, ones_like, rand, rand_like,
    randint, randn, randn_like, randperm, set_default_dtype, tensor, zeros, zeros_like,
)  # fmt: skip
from .ops.elementwise import (
    abs, atan2, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, ceil, clamp, clone, cos, divide, eq, erf, exp,
    expm1, floor, floor_divide, ge, gt, isfinite, isinf, isnan, le, log, log1p, log2, logical_and, logical_not,
    logical_or, logical_xor, lt, masked_fill, maximum, minimum, mul, ne, neg, pow, reciprocal, relu, remainder, round,
    rsqrt, sigmoid, sign, sin, sqrt, square, tanh, trunc, where,
)  # fmt: skip
from .ops.index import flip, gather, index_add, index_select, masked_select, narrow, roll, scatter, scatter_add, select
from .ops.matmul import addmm, bmm, dot, matmul, mm, mv, outer
from .ops.reduce import all, amax, amin, any, argmax, argmin, logsumexp, max, mean, min, norm, prod, std, sum, var
from .ops.shape import (
    broadcast_to, cat, chunk, concat, concatenate, diag, diagonal, expand, flatten, hstack, movedim, permute, repeat,
    reshape, split, squeeze, stack, t, tile, transpose, tril, triu, unbind, unflatten, unsqueeze, vstack,
)  # fmt: skip
from .ops.softmax import log_softmax, softmax
from .ops.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from . import autograd
from .autograd import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from ._print import set_printoptions
from ._process import get_conv_algorithm, set_conv_algorithm
from ._process import (
    composites_used, empty_cache, get_num_threads, memory_stats, reset_peak_memory_stats, set_memory_limit,
    set_num_threads,
)  # fmt: skip

add = Tensor.add
sub = subtract = Tensor.sub
absolute, multiply, div, true_divide, negative, clip, swapaxes = abs, mul, divide, divide, neg, clamp, transpose


def is_tensor(value) -> _builtins.bool:
    """Is this a tensor?"""
    return isinstance(value, _core.TensorBase)


def numel(x) -> _builtins.int:
    """The number of elements."""
    return x.numel()


def allclose(
    x, y, rtol: _builtins.float = 1e-05, atol: _builtins.float = 1e-08, equal_nan: _builtins.bool = False
) -> _builtins.bool:
    """Is |x - y| <= atol + rtol * |y| everywhere?"""
    return x.allclose(y, rtol, atol, equal_nan)


def equal(x, y) -> _builtins.bool:
    """Same shape and same elements?"""
    return x.equal(y)


_SUBMODULES = {
    "bench",
    "cli",
    "course",
    "datasets",
    "io",
    "losses",
    "models",
    "nn",
    "optim",
    "reference",
    "testing",
    "transforms",
    "utils",
}


def __getattr__(name: str):
    """Submodules and the typed constructors of old PyTorch code, loaded when first used."""
    import importlib

    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in {"distributions", "func"}:
        return importlib.import_module(f"{__name__}.{name}")
    if name in {"save", "load"}:
        return getattr(importlib.import_module(f"{__name__}.io"), name)
    if name.endswith("Tensor"):
        found = importlib.import_module(f"{__name__}._typed").constructor(name)
        if found is not None:
            return found
    import difflib

    near = difflib.get_close_matches(name, globals(), n=1)
    raise AttributeError(f"module 'tilegrad' has no attribute '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
