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

from . import _openmp  # first: it loads numpy and _core, in this order
from . import _core
from ._core import __version__
from . import dtypes
from .dtypes import (
    bfloat16, bool, can_cast, double, dtype, finfo, float, float16, float32, float64, half, iinfo, int, int8, int32, qint8,
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
from .ops.index import flip, gather, index_add, index_select, masked_select, narrow, roll, select
from .ops.matmul import addmm, bmm, dot, matmul, mm, mv, outer
from .ops.reduce import all, amax, amin, any, argmax, argmin, logsumexp, max, mean, min, norm, prod, std, sum, var
from .ops.shape import (
    broadcast_to, cat, chunk, concat, concatenate, diag, diagonal, expand, flatten, hstack, movedim, permute, repeat,
    reshape, split, squeeze, stack, t, tile, transpose, tril, triu, unbind, unflatten, unsqueeze, vstack,
)  # fmt: skip
from .ops.einsum import einsum
from .ops.functions import (
    acos, acosh, addcdiv, addcmul, asin, asinh, atan, atanh, bitwise_left_shift, bitwise_right_shift, copysign, cosh, deg2rad,
    digamma, erfc, erfinv, exp2, float_power, fmax, fmin, fmod, frac, hypot, isneginf, isposinf, isreal, lerp, lgamma, log10,
    logaddexp, logaddexp2, logit, nan_to_num, positive, rad2deg, rsub, sgn, signbit, sinc, sinh, tan, xlogy,
)  # fmt: skip
from .ops.scan import cummax, cummin, cumprod, cumsum, diff, logcumsumexp
from .ops.scatter import scatter, scatter_add, scatter_reduce
from .ops.products import (
    addbmm, addmv, addr, baddbmm, cdist, chain_matmul, cross, inner, kron, pdist, tensordot, vdot,
)  # fmt: skip
from .ops.statistics import (
    aminmax, bincount, corrcoef, count_nonzero, cov, dist, histc, histogram, nanmean, nansum, renorm, std_mean, trace, var_mean,
)  # fmt: skip
from .ops.arguments import need_tensor, need_tensors
from .ops.indexing import (
    argwhere, diagonal_scatter, index_copy, index_fill, index_put, isin, masked_scatter, put, select_scatter, slice_scatter,
    take, take_along_dim, unravel_index,
)  # fmt: skip
from .ops.joining import (
    atleast_1d, atleast_2d, atleast_3d, block_diag, broadcast_shapes, broadcast_tensors, cartesian_prod, column_stack,
    combinations, dsplit, dstack, hsplit, repeat_interleave, tensor_split, vsplit,
)  # fmt: skip
from .ops.matrices import adjoint, diag_embed, diagflat, fliplr, flipud, ravel, rot90, tril_indices, triu_indices, vander
from .ops.complex_numbers import complex, conj, is_complex, polar, real, view_as_complex, view_as_real
from .ops.linalg import (
    cholesky_inverse, cholesky_solve, det, inv as inverse, logdet, matrix_power, pinv as pinverse, slogdet,
)  # fmt: skip
from .ops.linalg import cholesky, qr, svd
from . import linalg
from .ops.sort import (
    argsort, bucketize, kthvalue, median, mode, msort, nanmedian, nanquantile, quantile, searchsorted, sort, topk, unique,
    unique_consecutive,
)  # fmt: skip
from .ops.softmax import log_softmax, softmax
from .ops.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from . import autograd
from .autograd import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from ._print import set_printoptions
from ._switches import (
    channels_last, compile, contiguous_format, get_float32_matmul_precision, memory_format, preserve_format,
    set_float32_matmul_precision,
)  # fmt: skip
from . import _settings, amp, backends
from .amp import autocast, get_autocast_dtype, is_autocast_enabled
from ._settings import (
    are_deterministic_algorithms_enabled, e, get_default_device, get_num_interop_threads, inf, is_floating_point, is_nonzero,
    is_same_size, layout, logspace, nan, newaxis, pi, scalar_tensor, set_default_device, set_default_tensor_type,
    set_flush_denormal, set_num_interop_threads, strided, typename, use_deterministic_algorithms,
)  # fmt: skip
from ._process import get_conv_algorithm, set_conv_algorithm
from ._process import (
    composites_used, empty_cache, get_num_threads, memory_stats, reset_peak_memory_stats, set_memory_limit,
    set_num_threads,
)  # fmt: skip

add, clamp_min, clamp_max = Tensor.add, Tensor.clamp_min, Tensor.clamp_max
sub = subtract = Tensor.sub
arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, fix = acos, acosh, asin, asinh, atan, atan2, atanh, trunc
moveaxis, swapdims, row_stack, ger = movedim, transpose, vstack, outer
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
absolute, multiply, div, true_divide, negative, clip, swapaxes = abs, mul, divide, divide, neg, clamp, transpose


def is_tensor(value) -> _builtins.bool:
    """Is this a tensor?"""
    return isinstance(value, _core.TensorBase)


def numel(x) -> _builtins.int:
    """The number of elements."""
    need_tensor("numel", "x", x)
    return x.numel()


def allclose(
    x, y, rtol: _builtins.float = 1e-05, atol: _builtins.float = 1e-08, equal_nan: _builtins.bool = False
) -> _builtins.bool:
    """Is |x - y| <= atol + rtol * |y| everywhere?"""
    need_tensors("allclose", x=x, y=y)
    return x.allclose(y, rtol, atol, equal_nan)


def equal(x, y) -> _builtins.bool:
    """Same shape and same elements?"""
    need_tensors("equal", x=x, y=y)
    return x.equal(y)


_SUBMODULES = {
    "ao",
    "bench",
    "cli",
    "course",
    "datasets",
    "distributions",
    "func",
    "io",
    "losses",
    "models",
    "nn",
    "optim",
    "profiler",
    "quantization",
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
    if name == "profile":
        return importlib.import_module(f"{__name__}.profiler").profile
    if name in {"save", "load"}:
        return getattr(importlib.import_module(f"{__name__}.io"), name)
    if name in _settings.FUNCTIONAL:
        return getattr(importlib.import_module(f"{__name__}.nn.functional"), name)
    if name == "vmap":
        return importlib.import_module(f"{__name__}.func").vmap
    if name.endswith("Tensor"):
        found = importlib.import_module(f"{__name__}._typed").constructor(name)
        if found is not None:
            return found
    import difflib

    near = difflib.get_close_matches(name, globals(), n=1)
    raise AttributeError(f"module 'tilegrad' has no attribute '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
