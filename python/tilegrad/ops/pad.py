"""Padding: a border of one value, or one that continues the tensor. A border of negative width cuts."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor

MODES = {"constant": 0, "reflect": 1, "replicate": 2, "circular": 3}

# A constant border and a cut are each other's transpose; the other modes repeat elements, so their gradients add up.
pad_op = op(_core.pad).backward(
    x=lambda dy, before, after, mode: (
        pad_op(dy, _negative(before), _negative(after), 0, 0.0) if mode == 0 else pad_backward(dy, before, after, mode)
    )
)
pad_backward = op(_core.pad_backward).backward(dy=lambda d, before, after, mode: pad_op(d, before, after, mode, 0.0))


def _negative(pads):
    return tuple(-p for p in pads)


def pad(input, pad, mode="constant", value=None):
    """A border around the last dims (PyTorch: F.pad).

    Args:
        input: any shape and dtype.
        pad: (left, right) of the last dim, then of the one before it, and so on. Negative widths cut.
        mode: constant; or reflect (c b a b c), replicate (a a a b c), circular (b c a b c), for the last 1 to 3 dims of a
            tensor with one or two dims more (channels, batch).
        value: of the constant border; 0 if None.

    Raises:
        RuntimeError: widths that do not come in pairs, for more dims than there are, or too large for the mode.
        NotImplementedError: an unknown mode, or dims that a mode does not support.
    """
    need_tensor("pad", "input", input)
    pads = tuple(pad)
    if len(pads) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got {len(pads)} widths: {pads}")
    dims = len(pads) // 2
    if dims > input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(pads)} and input of dimension {input.ndim}"
        )
    if mode not in MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}; expected one of {', '.join(MODES)}")
    if mode != "constant":
        if value is not None and value != 0:
            raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument, got {value}')
        _check_image_dims(input, dims, mode)
    if mode == "circular" and min(pads) < 0:  # what was cut away does not come round again
        input, pads = _padded(input, [min(p, 0) for p in pads]), tuple(max(p, 0) for p in pads)
    rest = (0,) * (input.ndim - dims)
    return pad_op(input, rest + pads[-2::-2], rest + pads[::-2], MODES[mode], 0.0 if value is None else value)


_padded = pad  # the function above calls itself, where `pad` is its argument


def _check_image_dims(input, dims, mode):
    if not 1 <= dims <= 3 or input.ndim not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Padding size {2 * dims} is not supported for {input.ndim}D input tensor in mode {mode}.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if 0 in input.shape[-dims - 1 :]:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
