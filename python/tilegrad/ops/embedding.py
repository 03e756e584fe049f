"""Embedding: rows of a table, picked by number."""

from __future__ import annotations

from .elementwise import masked_fill
from .index import index_select_op
from .reduce import sum_op
from .shape import broadcast_to, reshape_op, unsqueeze


def embedding(weight, index, padding_idx=-1, scale_grad_by_freq=False):
    """The rows of `weight` (V, D) that `index` (any shape, int64) names: (*index.shape, D) (PyTorch: torch.embedding).

    Args:
        padding_idx: this row gets no gradient; -1 for none.
        scale_grad_by_freq: divide the gradient of a row by how often the row was picked.

    Raises:
        IndexError: a number outside 0..V-1, named in the text.
    """
    flat = reshape_op(index, (-1,))
    if flat.numel() and int(flat.min()) < 0:
        raise IndexError(f"embedding: index out of range in self: {int(flat.min())} in a table of {weight.shape[0]} rows")
    try:
        rows = index_select_op(weight, 0, flat)
    except IndexError:
        raise IndexError(
            f"embedding: index out of range in self: {int(flat.max())} in a table of {weight.shape[0]} rows"
        ) from None
    if scale_grad_by_freq and rows.requires_grad:
        # rows * s + rows.detach() * (1 - s): the value of rows, the gradient times s
        count = sum_op(unsqueeze(flat, 0) == unsqueeze(flat, 1), 1, True).to(rows.dtype)
        rows = rows / count + rows.detach() * (1.0 - 1.0 / count)
    if padding_idx >= 0 and rows.requires_grad:
        padded = broadcast_to(unsqueeze(flat == padding_idx, 1), rows.shape)
        rows = masked_fill(rows, padded, 0.0) + masked_fill(rows.detach(), ~padded, 0.0)
    return reshape_op(rows, (*index.shape, weight.shape[1]))
