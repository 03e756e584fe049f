"""Sliding windows as columns (unfold) and their sum back into images (fold): each is the other's gradient."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op

unfold_op = op(_core.unfold).backward(
    x=lambda dy, x_shape, kernel, dilation, padding, stride: fold_op(dy, x_shape[2:], kernel, dilation, padding, stride)
)
fold_op = op(_core.fold).backward(
    columns=lambda d, kernel, dilation, padding, stride: unfold_op(d, kernel, dilation, padding, stride)
)
