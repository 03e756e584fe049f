"""Activation functions, element by element; softmax and glu work along a dimension.

The hot ones are kernels in `tilegrad.ops`; the rest are composites of other ops, so they differentiate to any order.
With inplace=True the result is written into the input, which is returned.
Source: https://pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions
"""

from __future__ import annotations

import warnings
from typing import Any

import tilegrad as tg

from ...ops import elementwise, functions
from ...ops.arguments import need_tensor, need_tensors
from ...ops.softmax import log_softmax as _log_softmax
from ...ops.softmax import softmax as _softmax
from ...tensor import Tensor


def _finish(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input.copy_(result) if inplace else result


def _before(input: Tensor, inplace: bool) -> Tensor:
    """What a rule may save: the input, or a copy where the input itself is written over."""
    return input.clone() if inplace and input.requires_grad and tg.is_grad_enabled() else input


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x); the derivative at 0 is 0."""
    return _finish(input, elementwise.relu(input), True) if inplace else elementwise.relu(input)


def relu_(input: Tensor) -> Tensor:
    """relu in place."""
    return relu(input, inplace=True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x), 6)."""
    need_tensor("relu6", "input", input)
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]. Raises ValueError when min_val > max_val."""
    need_tensor("hardtanh", "input", input)
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val, got {min_val} and {max_val}")
    x = _before(input, inplace)
    return _finish(input, x.clamp(min_val, max_val), inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x for x > 0, negative_slope * x below; the derivative at 0 is negative_slope."""
    slope = float(negative_slope)
    if inplace and slope >= 0:  # the output has the input's sign
        return input.copy_(functions.leaky_relu_from_output(input, slope))
    return _finish(input, functions.leaky_relu(_before(input, inplace), slope), inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x for x > 0, weight * x below. input (N, C, ...), weight (C) or (1).

    Raises RuntimeError when weight is neither one number nor one per channel.
    """
    need_tensors("prelu", input=input, weight=weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.numel() != 1:
        if weight.ndim > 1 or weight.numel() != channels:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} "
                f"and channel size = {channels}."
            )
        weight = weight.reshape(-1, *([1] * (input.ndim - 2)))
    return tg.where(input > 0, input, input * weight)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, alpha (exp(x) - 1) below. Clevert et al. 2015."""
    x = _before(input, inplace)
    return _finish(input, functions.elu(x, float(alpha)), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha) with the constants that make mean 0 and variance 1 a fixed point. Klambauer et al. 2017."""
    x = _before(input, inplace)
    return _finish(input, functions.selu(x), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)). Raises RuntimeError when alpha is 0."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    x = _before(input, inplace)
    return _finish(input, functions.celu(x, float(alpha)), inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x); approximate="tanh" is the formula of GPT-2. Hendrycks & Gimpel 2016."""
    return elementwise.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x), also called swish."""
    return _finish(input, elementwise.silu(_before(input, True)), True) if inplace else elementwise.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)). Misra 2019."""
    x = _before(input, inplace)
    return _finish(input, functions.mish(x), inplace)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return elementwise.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    return elementwise.tanh(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    if beta == 1.0 and threshold == 20.0:
        return elementwise.softplus(input)
    scaled = input * beta
    smooth = elementwise.softplus(scaled.clamp(max=threshold)) / beta
    return tg.where(scaled > threshold, input, smooth)


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)) = -softplus(-x), finite for every finite x."""
    return functions.logsigmoid(input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return functions.softsign(input)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - elementwise.tanh(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6: the difference of two relus. The slope is 1/6."""
    x = _before(input, inplace)
    return _finish(input, functions.hardsigmoid(x), inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x hardsigmoid(x). Howard et al. 2019."""
    x = _before(input, inplace)
    return _finish(input, functions.hardswish(x), inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, value elsewhere."""
    need_tensor("threshold", "input", input)
    x = _before(input, inplace)
    return _finish(input, tg.where(x > threshold, x, tg.full_like(x, value)), inplace)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, 0 elsewhere."""
    need_tensor("hardshrink", "input", input)
    return tg.where(input.abs() > lambd, input, tg.zeros_like(input))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, 0 where |x| <= lambd. Raises RuntimeError when lambd < 0."""
    need_tensor("softshrink", "input", input)
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return input - input.clamp(-lambd, lambd)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b), a and b the two halves of `dim`. Dauphin et al. 2016. Raises RuntimeError when the size is odd."""
    need_tensor("glu", "input", input)
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    a, b = input.chunk(2, dim)
    return a * elementwise.sigmoid(b)


def _dim(name: str, input: Tensor, dim: int | None) -> int:
    """The dimension lecture code meant when it gave none: 0 for 0, 1 and 3 dimensions, else 1."""
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=3,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along dim: positive, sums to 1. dtype converts the input first. Without dim it warns."""
    need_tensor("softmax", "input", input)
    dim = _dim("softmax", input, dim)
    return _softmax(input if dtype is None else input.to(dtype), dim)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-x)."""
    need_tensor("softmin", "input", input)
    dim = _dim("softmin", input, dim)
    return _softmax(-(input if dtype is None else input.to(dtype)), dim)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(x)), computed without leaving the logarithm. Without dim it warns."""
    need_tensor("log_softmax", "input", input)
    dim = _dim("log_softmax", input, dim)
    return _log_softmax(input if dtype is None else input.to(dtype), dim)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax((logits + Gumbel noise) / tau); hard=True gives one-hot values with the soft gradient.

    Source: Jang et al. 2016; eps is ignored, as in PyTorch.
    """
    need_tensor("gumbel_softmax", "logits", logits)
    uniform = tg.rand(*logits.shape, dtype=logits.dtype, device=logits.device)
    noise = -(-(uniform.clamp(min=1e-30)).log()).clamp(min=1e-30).log()
    soft = _softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    fixed = soft.detach()
    classes = tg.arange(fixed.shape[dim]).reshape(-1, *([1] * (fixed.ndim - 1 - dim % fixed.ndim)))
    chosen = (fixed.argmax(dim, keepdim=True) == classes).to(fixed.dtype)
    return chosen - fixed + soft
