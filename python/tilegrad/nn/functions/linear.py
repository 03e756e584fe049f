"""linear, bilinear and one_hot.

Source: https://pytorch.org/docs/stable/nn.functional.html#linear-functions and #sparse-functions
"""

from __future__ import annotations

import tilegrad as tg

from ...ops.arguments import need_tensor, need_tensors
from ...ops.matmul import linear as _linear
from ...tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b: input (*, in), weight (out, in) or (in), bias (out) -> (*, out)."""
    return _linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1ᵀ W_k x2 + b_k: input1 (*, in1), input2 (*, in2), weight (out, in1, in2) -> (*, out)."""
    need_tensors("bilinear", input1=input1, input2=input2, weight=weight)
    out, in1, in2 = weight.shape
    if input1.shape[-1] != in1 or input2.shape[-1] != in2 or tuple(input1.shape[:-1]) != tuple(input2.shape[:-1]):
        raise RuntimeError(
            f"bilinear: expected inputs (*, {in1}) and (*, {in2}) with equal leading sizes, "
            f"got {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    rows = input1.reshape(-1, in1)
    halfway = (rows @ weight.permute(1, 0, 2).reshape(in1, out * in2)).reshape(-1, out, in2)
    y = (halfway * input2.reshape(-1, 1, in2)).sum(-1).reshape(*tuple(input1.shape)[:-1], out)
    return y if bias is None else y + bias


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indexes int64 (*) -> int64 (*, num_classes) with a 1 at the class. -1 takes the largest index plus one.

    Raises RuntimeError for another dtype, a negative index, an index >= num_classes, or an empty tensor with -1.
    """
    need_tensor("one_hot", "tensor", tensor)
    if tensor.dtype != tg.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type int64, got {tensor.dtype}; use .long()")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor; pass num_classes")
        return tg.zeros(*tensor.shape, num_classes, dtype=tg.int64, device=tensor.device)
    smallest, largest = int(tensor.min()), int(tensor.max())
    if smallest < 0:
        raise RuntimeError(f"Class values must be non-negative, got {smallest}.")
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes < 1:
        raise RuntimeError(f"num_classes should be positive, got {num_classes}")
    elif largest >= num_classes:
        raise RuntimeError(f"Class values must be smaller than num_classes, got {largest} with num_classes={num_classes}.")
    return (tensor.unsqueeze(-1) == tg.arange(num_classes, device=tensor.device)).to(tg.int64)
