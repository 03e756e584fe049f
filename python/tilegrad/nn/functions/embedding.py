"""embedding: rows of a table by number.

Source: https://pytorch.org/docs/stable/nn.functional.html#sparse-functions
"""

from __future__ import annotations

import tilegrad as tg

from ...ops.embedding import embedding as _embedding
from ...ops.index import index_copy_
from ...tensor import Tensor


def check_padding_idx(name: str, padding_idx: int | None, rows: int) -> int:
    """padding_idx as a number in [0, rows), -1 for None. Raises ValueError for any other."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{name}: Padding_idx must be within num_embeddings, got {padding_idx} for {rows} rows")
    return padding_idx % rows


def long_index(name: str, input: Tensor) -> Tensor:
    """`input` as int64. Raises RuntimeError for other than whole numbers."""
    if input.dtype not in (tg.int64, tg.int32):
        raise RuntimeError(
            f"{name}: Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
            f"but got {input.dtype} instead; use .long()"
        )
    return input.to(tg.int64)


def check_table(name: str, weight: Tensor) -> None:
    """Raises RuntimeError unless weight is a matrix."""
    if weight.ndim != 2:
        raise RuntimeError(f"{name}: 'weight' must be 2-D (num_embeddings, embedding_dim), got shape {tuple(weight.shape)}")


def check_dense(name: str, sparse: bool) -> None:
    """Raises NotImplementedError for sparse=True."""
    if sparse:
        raise NotImplementedError(f"{name}: sparse gradients are not supported; use sparse=False, whose result is the same")


def renormalize_(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the picked rows of weight whose norm exceeds max_norm down to it, in place and outside the graph."""
    with tg.no_grad():
        flat = index.reshape(-1)
        rows = weight.detach().index_select(0, flat)
        norm = rows.norm(p=norm_type, dim=1, keepdim=True)
        scale = tg.where(norm > max_norm, max_norm / (norm + 1e-7), tg.ones_like(norm))
        index_copy_(weight.detach(), 0, flat, rows * scale)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of `weight` (V, D) by number: input (*) of int64 or int32 -> (*, D).

    Args:
        padding_idx: the row that gets no gradient; negative counts from the end.
        max_norm: rows with a larger norm are scaled down to it first, in place. norm_type: the p of that norm.
        scale_grad_by_freq: divide a row's gradient by the number of times it was picked.
        sparse: True is not supported; the gradient is dense.

    Raises:
        IndexError: a number outside 0..V-1. RuntimeError: an input that is not whole numbers, a weight that is no matrix.
        ValueError: padding_idx out of range. NotImplementedError: sparse=True.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html
    """
    check_dense("embedding", sparse)
    check_table("embedding", weight)
    index = long_index("embedding", input)
    padding = check_padding_idx("embedding", padding_idx, weight.shape[0])
    if max_norm is not None:
        renormalize_(weight, index, max_norm, norm_type)
    return _embedding(weight, index, padding, scale_grad_by_freq)
