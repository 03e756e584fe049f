"""Initial values of parameters: every function fills its tensor in place, without recording a graph, and returns it.

Source: https://pytorch.org/docs/stable/nn.init.html; Glorot & Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et
al. 2013 (orthogonal), LeCun et al. 1998 (lecun). `generator` chooses the random stream, None the default one.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import tilegrad as tg

from ..tensor import Tensor

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much to widen the weights so that the variance survives the activation.

    1 for linear, conv and sigmoid; 5/3 for tanh; √2 for relu; √(2/(1+slope²)) for leaky_relu (param is the slope, .01
    when None); 3/4 for selu. Raises ValueError for any other name or a slope that is not a number.
    """
    if nonlinearity in _LINEAR or nonlinearity == "sigmoid":
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {slope!r} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}; known: linear, conv*, sigmoid, tanh, relu, leaky_relu, selu")


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, *kernel): inputs of one output and outputs of one input.

    Raises ValueError for fewer than 2 dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got shape "
            f"{tuple(tensor.shape)}; use uniform_, normal_ or zeros_ for a bias"
        )
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


_calculate_fan_in_and_fan_out = fans  # the name lecture code imports


def _fan(tensor: Tensor, mode: str) -> int:
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {list(modes)}")
    return fans(tensor)[modes.index(mode)]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fills with U(a, b)."""
    with tg.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fills with N(mean, std²)."""
    with tg.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Fills with N(mean, std²) restricted to [a, b]: draws outside are drawn again.

    Warns when the mean is more than 2 std outside [a, b]; raises ValueError when a >= b.
    """
    if a >= b:
        raise ValueError(f"trunc_normal_: expected a < b, got a={a}, b={b}")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.",
            stacklevel=2,
        )
    with tg.no_grad():
        tensor.normal_(mean, std, generator=generator)
        for _ in range(64):  # each round redraws what is still outside; for sane bounds 2 or 3 rounds are enough
            outside = (tensor < a) | (tensor > b)
            if not outside.any():
                return tensor
            fresh = tg.empty_like(tensor).normal_(mean, std, generator=generator)
            tensor.copy_(tg.where(outside, fresh, tensor))
        return tensor.clamp_(a, b)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills with the number val."""
    with tg.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fills with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fills with 0."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix (rows past the shorter side stay 0). Raises ValueError unless the tensor is 2-d."""
    if tensor.ndim != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    with tg.no_grad():
        return tensor.copy_(tg.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """U(-a, a) with a = gain √(6 / (fan_in + fan_out)). Glorot & Bengio 2010."""
    a = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None, mode: str = "avg") -> Tensor:
    """N(0, std²) with std = gain √(2 / (fan_in + fan_out)).

    mode="fan_in" (not in PyTorch) is the simpler form some courses call Xavier: std = gain √(1 / fan_in).
    """
    if mode not in ("avg", "fan_in"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['avg', 'fan_in']")
    fan_in, fan_out = fans(tensor)
    variance = 1.0 / fan_in if mode == "fan_in" else 2.0 / (fan_in + fan_out)
    return normal_(tensor, 0.0, gain * math.sqrt(variance), generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """U(-bound, bound) with bound = gain √(3 / fan). He et al. 2015; `a` is the slope of leaky_relu.

    Raises ValueError for an unknown mode or nonlinearity, or fewer than 2 dimensions.
    """
    if _is_empty(tensor):
        return tensor
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """N(0, std²) with std = gain / √fan. He et al. 2015; nonlinearity="relu" gives √(2 / fan_in)."""
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


def lecun_normal_(tensor: Tensor, generator: Any = None) -> Tensor:
    """N(0, 1 / fan_in): what SELU and plain tanh networks want (not in PyTorch). LeCun et al. 1998."""
    return kaiming_normal_(tensor, nonlinearity="linear", generator=generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """A (semi) orthogonal matrix of shape (rows, everything else), times gain. Saxe et al. 2013.

    The QR decomposition runs in numpy.linalg on the host. Raises ValueError for fewer than 2 dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(f"Only tensors with 2 or more dimensions are supported, got shape {tuple(tensor.shape)}")
    if _is_empty(tensor):
        return tensor
    import numpy as np

    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    with tg.no_grad():
        draws = tg.empty(max(rows, columns), min(rows, columns), dtype=tg.float64).normal_(generator=generator)
        q, r = np.linalg.qr(draws.numpy())
        q = q * np.sign(np.diag(r))  # makes the distribution uniform over the orthogonal matrices
        if rows < columns:
            q = q.T
        q = np.ascontiguousarray(gain * q).reshape(tuple(tensor.shape))
        return tensor.copy_(tg.from_numpy(q).to(tensor.dtype))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """N(0, std²) with the fraction `sparsity` of every column set to 0. Raises ValueError unless the tensor is 2-d."""
    if tensor.ndim != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with tg.no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[tg.randperm(rows, generator=generator)[:zeros], column] = 0.0
    return tensor


def _is_empty(tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False
