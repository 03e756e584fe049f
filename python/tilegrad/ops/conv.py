"""Convolutions: three fused ops that are each other's gradients, and what is made of them.

``conv(x, weight)``, ``conv_backward_input(dy, weight)`` and ``conv_backward_weight(dy, x)`` are the three ways to sum the same
products ``dy[n, o, p, q] weight[o, c, i, j] x[n, c, h, v]``, over one, two or three dims. Each is linear in both arguments, so
the gradients of each are the other two: derivatives of any order need nothing more. A transposed convolution is the gradient
for the input.
"""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor
from .elementwise import relu_backward

conv = op(_core.conv)
conv_relu = op(_core.conv, name="conv")
conv_backward_input = op(_core.conv_backward_input)
conv_backward_weight = op(_core.conv_backward_weight)
conv.set_autocast(3)
conv_relu.set_autocast(3)
conv_backward_input.set_autocast(2)  # a transposed convolution is one


def _bias_gradient(dy):
    return dy.sum((0, *range(2, dy.ndim)))


conv.backward(
    x=lambda dy, weight, x_shape, stride, padding, dilation, groups: conv_backward_input(
        dy, weight, x_shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda dy, x, weight_shape, stride, padding, dilation, groups: conv_backward_weight(
        dy, x, weight_shape[2:], stride, padding, dilation, groups
    ),
    bias=_bias_gradient,
)


@conv_relu.backward
def _(dy, x, weight, stride, padding, dilation, groups, out, needs):
    inner = relu_backward(out, dy)
    dx = conv_backward_input(inner, weight, x.shape[2:], stride, padding, dilation, groups) if needs[0] else None
    dw = conv_backward_weight(inner, x, weight.shape[2:], stride, padding, dilation, groups) if needs[1] else None
    db = _bias_gradient(inner) if needs[2] else None
    return dx, dw, db, None, None, None, None, None, None


# the gradient `g` that reaches dx has dx's shape, the one that reaches dw has dw's shape
conv_backward_input.backward(
    dy=lambda g, weight, dy_shape, stride, padding, dilation, groups: conv(
        g, weight, None, dy_shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda g, dy, weight_shape, stride, padding, dilation, groups: conv_backward_weight(
        dy, g, weight_shape[2:], stride, padding, dilation, groups
    ),
)
conv_backward_weight.backward(
    dy=lambda g, x, dy_shape, stride, padding, dilation, groups: conv(
        x, g, None, dy_shape[2:], stride, padding, dilation, groups
    ),
    x=lambda g, dy, x_shape, stride, padding, dilation, groups: conv_backward_input(
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
    """Padding (before, after) of each dim that keeps the size: an odd one out goes to the end, as in PyTorch."""
    if any(s != 1 for s in stride):
        raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions, got stride={list(stride)}")
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return [(t // 2, t - t // 2) for t in total]


def _batched(name, x, dims):
    """x with a batch dim, and whether that was added."""
    need_tensor(name, "input", x)
    if x.ndim == dims + 2:
        return x, False
    if x.ndim == dims + 1:
        return x.unsqueeze(0), True
    raise RuntimeError(
        f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got input of size: {list(x.shape)}"
    )


def _check_weight(name, weight, dims):
    need_tensor(name, "weight", weight)
    if weight.ndim != dims + 2:
        raise RuntimeError(f"{name}: expected a {dims + 2}-dimensional weight, but got weight of size {list(weight.shape)}")


def _named_padding(name, padding, weight, stride, dilation, dims):
    if padding == "valid":
        return 0
    if padding != "same":
        raise RuntimeError(f"{name}: Invalid padding string: {padding!r}; expected 'valid' or 'same'")
    stride, dilation = numbers(name, "stride", stride, dims), numbers(name, "dilation", dilation, dims)
    return [p for pair in same_padding(name, weight.shape[2:], stride, dilation) for p in pair]


# --- convolutions ------------------------------------------------------------------------------------------------------
def _convolution(name, dims, x, weight, bias, stride, padding, dilation, groups, activation="none"):
    if activation not in ("none", "relu"):
        raise ValueError(f"{name}: activation must be none or relu, got {activation!r}")
    batch, unbatched = _batched(name, x, dims)
    _check_weight(name, weight, dims)
    if isinstance(padding, str):
        padding = _named_padding(name, padding, weight, stride, dilation, dims)
    elif isinstance(padding, (tuple, list)) and len(padding) > dims:
        numbers(name, "padding", padding, dims)  # one number a dim here: this says so
    apply = conv if activation == "none" else conv_relu
    y = apply(batch, weight, bias, None, stride, padding, dilation, groups, activation)
    return y.squeeze(0) if unbatched else y


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Sums of products of a weight with every window of a sequence.

    Args:
        x: (N, C, L) or (C, L). weight: (O, C / groups, K). bias: (O,) or None.
        stride, padding, dilation, groups: as for `conv2d`.

    Returns:
        y (N, O, P) or (O, P), with P = (L + 2 padding - dilation (K - 1) - 1) // stride + 1.

    Raises:
        RuntimeError: shapes or dtypes that do not fit, a window larger than the padded input, a stride below 1.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv1d.html
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


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
    return _convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups, activation)


def conv3d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Sums of products of a weight with every window of a volume.

    Args:
        x: (N, C, D, H, W) or (C, D, H, W). weight: (O, C / groups, KD, KH, KW). bias: (O,) or None.
        stride, padding, dilation, groups: as for `conv2d`, with up to three numbers (depth, height, width).

    Returns:
        y (N, O, ...) or (O, ...), sizes as for `conv2d`.

    Raises:
        RuntimeError: shapes or dtypes that do not fit, a window larger than the padded volume, a stride below 1.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv3d.html
    """
    return _convolution("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


# --- transposed convolutions -------------------------------------------------------------------------------------------
def _transposed(name, dims, x, weight, bias, stride, padding, output_padding, groups, dilation):
    batch, unbatched = _batched(name, x, dims)
    _check_weight(name, weight, dims)
    stride, dilation = numbers(name, "stride", stride, dims), numbers(name, "dilation", dilation, dims)
    before, extra = numbers(name, "padding", padding, dims), numbers(name, "output_padding", output_padding, dims)
    for what, values, least in (("stride", stride, 1), ("dilation", dilation, 1), ("padding", before, 0),
                                ("output_padding", extra, 0)):  # fmt: skip
        if any(v < least for v in values):
            raise RuntimeError(f"{name}: {what} must be at least {least}, got {list(values)}")
    if any(e >= s and e >= d for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise RuntimeError(
            f"{name}: output padding must be smaller than either stride or dilation, but got output_padding={list(extra)}, "
            f"stride={list(stride)}, dilation={list(dilation)}"
        )
    if batch.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"{name}: Given transposed=1, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have "
            f"{weight.shape[0]} channels, but got {batch.shape[1]} channels instead"
        )
    out_channels = weight.shape[1] * groups
    if bias is not None and tuple(bias.shape) != (out_channels,):
        raise RuntimeError(
            f"{name}: Given transposed=1, weight of size {list(weight.shape)}, expected bias to be 1-dimensional with "
            f"{out_channels} elements, but got bias of size {list(bias.shape)} instead"
        )
    sizes = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(batch.shape[2:], stride, before, dilation, weight.shape[2:], extra, strict=True)
    ]
    if any(n < 1 for n in sizes):
        raise RuntimeError(
            f"{name}: Given input size per channel: {list(batch.shape[2:])}. Calculated output size per channel: {sizes}. "
            f"Output size is too small"
        )
    y = conv_backward_input(batch, weight, sizes, stride, before, dilation, groups)
    if bias is not None:
        y = y + bias.to(y.dtype).reshape(-1, *[1] * dims)
    return y.squeeze(0) if unbatched else y


def conv_transpose1d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transposed map of `conv1d`: x (N, C, L) or (C, L), weight (C, O / groups, K) -> (N, O, P) or (O, P).

    P = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1. Errors as for `conv_transpose2d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose1d.html
    """
    return _transposed("conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transposed map of `conv2d` (its gradient for the input), which makes images larger where stride > 1.

    Args:
        x: (N, C, H, W) or (C, H, W). weight: (C, O / groups, KH, KW). bias: (O,) or None.
        stride, padding, dilation: those of the convolution that this one transposes.
        output_padding: lines added at the end: several input sizes give a strided convolution the same output size.

    Returns:
        y (N, O, P, Q) or (O, P, Q), with P = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1.

    Raises:
        RuntimeError: shapes or dtypes that do not fit, output_padding not below stride or dilation, an empty output.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html
    """
    return _transposed("conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transposed map of `conv3d`: x (N, C, D, H, W) or (C, D, H, W), weight (C, O / groups, KD, KH, KW) -> (N, O, ...).

    Sizes and errors as for `conv_transpose2d`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose3d.html
    """
    return _transposed("conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation)
