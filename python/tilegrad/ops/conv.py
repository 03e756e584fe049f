"""Convolutions: three fused ops that are each other's gradients, and what is made of them.

``conv2d(x, weight)``, ``conv2d_backward_input(dy, weight)`` and ``conv2d_backward_weight(dy, x)`` are the three ways to sum the
same products ``dy[n, o, p, q] weight[o, c, i, j] x[n, c, h, v]``. Each is linear in both arguments, so the gradients of each
are the other two: derivatives of any order need nothing more. A transposed convolution is the gradient for the input.
"""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .elementwise import relu_backward

conv2d_op = op(_core.conv2d)
conv2d_relu_op = op(_core.conv2d, name="conv2d")
conv2d_backward_input = op(_core.conv2d_backward_input)
conv2d_backward_weight = op(_core.conv2d_backward_weight)


def _bias_gradient(dy):
    return dy.sum((0, 2, 3))


conv2d_op.backward(
    x=lambda dy, weight, x_shape, stride, padding, dilation, groups: conv2d_backward_input(
        dy, weight, x_shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda dy, x, weight_shape, stride, padding, dilation, groups: conv2d_backward_weight(
        dy, x, weight_shape[2:], stride, padding, dilation, groups
    ),
    bias=_bias_gradient,
)


@conv2d_relu_op.backward
def _(dy, x, weight, stride, padding, dilation, groups, out, needs):
    inner = relu_backward(out, dy)
    dx = conv2d_backward_input(inner, weight, x.shape[2:], stride, padding, dilation, groups) if needs[0] else None
    dw = conv2d_backward_weight(inner, x, weight.shape[2:], stride, padding, dilation, groups) if needs[1] else None
    db = _bias_gradient(inner) if needs[2] else None
    return dx, dw, db, None, None, None, None, None, None


# the gradient `g` that reaches dx has dx's shape, the one that reaches dw has dw's shape
conv2d_backward_input.backward(
    dy=lambda g, weight, dy_shape, stride, padding, dilation, groups: conv2d_op(
        g, weight, None, dy_shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda g, dy, weight_shape, stride, padding, dilation, groups: conv2d_backward_weight(
        dy, g, weight_shape[2:], stride, padding, dilation, groups
    ),
)
conv2d_backward_weight.backward(
    dy=lambda g, x, dy_shape, stride, padding, dilation, groups: conv2d_op(
        x, g, None, dy_shape[2:], stride, padding, dilation, groups
    ),
    x=lambda g, dy, x_shape, stride, padding, dilation, groups: conv2d_backward_input(
        dy, g, x_shape[2:], stride, padding, dilation, groups
    ),
)


# --- arguments ---------------------------------------------------------------------------------------------------------
def numbers(name, what, value, count):
    """An int or a list of ints as a tuple of `count`."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in given):
        raise TypeError(f"{name}: {what} must be an int or a tuple of ints, got {value!r}")
    if len(given) not in (1, count):
        raise RuntimeError(
            f"{name}: expected {what} to be a single integer value or a list of {count} values to match the convolution "
            f"dimensions, but got {what}={list(given)}"
        )
    return given * count if len(given) == 1 else given


def same_padding(name, kernel, stride, dilation):
    """Padding before and after each dim that keeps the size: an odd one out goes to the end, as in PyTorch."""
    if any(s != 1 for s in stride):
        raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions, got stride={list(stride)}")
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return [(t // 2, t - t // 2) for t in total]


def _batched(name, x, dims):
    """x with a batch dim, and whether that was added."""
    if x.ndim == dims + 2:
        return x, False
    if x.ndim == dims + 1:
        return x.unsqueeze(0), True
    raise RuntimeError(
        f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got input of size: {list(x.shape)}"
    )


def _check_weight(name, weight, dims):
    if weight.ndim != dims + 2:
        raise RuntimeError(f"{name}: expected a {dims + 2}-dimensional weight, but got weight of size {list(weight.shape)}")


def _padding(name, padding, weight, stride, dilation, dims):
    """(before, after) of each dim."""
    if isinstance(padding, str):
        if padding == "valid":
            return [(0, 0)] * dims
        if padding == "same":
            return same_padding(name, weight.shape[2:], stride, dilation)
        raise RuntimeError(f"{name}: Invalid padding string: {padding!r}; expected 'valid' or 'same'")
    return [(p, p) for p in numbers(name, "padding", padding, dims)]


# --- conv2d ------------------------------------------------------------------------------------------------------------
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation="none"):
    """Sums of products of a weight with every window of an image (a cross-correlation).

    Args:
        x: (N, C, H, W) or (C, H, W). weight: (O, C / groups, KH, KW). bias: (O,) or None.
        stride, padding, dilation: an int or (height, width). padding: also "valid" (none) or "same" (y as large as x).
        groups: the channels are cut into this many groups that do not see each other.
        activation: none or relu, applied while y is still in the cache.

    Returns:
        y (N, O, P, Q) or (O, P, Q), with P = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1.

    Raises:
        RuntimeError: shapes or dtypes that do not fit, a window larger than the padded image, a stride below 1.
        ValueError: an unknown activation.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html
    """
    if activation not in ("none", "relu"):
        raise ValueError(f"conv2d: activation must be none or relu, got {activation!r}")
    apply = conv2d_op if activation == "none" else conv2d_relu_op
    batch, unbatched = _batched("conv2d", x, 2)
    if isinstance(padding, str):
        _check_weight("conv2d", weight, 2)
        stride, dilation = numbers("conv2d", "stride", stride, 2), numbers("conv2d", "dilation", dilation, 2)
        (top, bottom), (left, right) = _padding("conv2d", padding, weight, stride, dilation, 2)
        padding = (top, bottom, left, right)
    y = apply(batch, weight, bias, None, stride, padding, dilation, groups, activation)
    return y.squeeze(0) if unbatched else y
