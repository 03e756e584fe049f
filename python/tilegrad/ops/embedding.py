"""Embedding: rows of a table, picked by number, and the table's gradient."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .elementwise import cast, masked_fill
from .index import index_add_op, index_select_op
from .shape import expand_op, reshape_op, unsqueeze

embedding_op = op(_core.embedding).backward(
    weight=lambda dy, weight_shape, index, padding_idx, by_frequency: embedding_backward(
        dy, index, weight_shape[0], padding_idx, by_frequency
    )
)
embedding_backward = op(_core.embedding_backward).backward(
    dy=lambda d, index, padding_idx, by_frequency: _shared(embedding_op(d, index, -1, False), index, padding_idx, by_frequency)
)


def _shared(rows, index, padding_idx, by_frequency):
    """Rows (..., D) as the gradient counts them: nothing of the padding, and a share of what was picked several times."""
    if by_frequency:
        flat = reshape_op(index, (-1,))
        ones = _core.full(flat.shape, 1, rows.dtype)
        size = int(flat.max()) + 1 if flat.numel() else 1
        times = index_select_op(index_add_op(ones, 0, flat, size), 0, flat)
        rows = rows / unsqueeze(reshape_op(times, index.shape), -1)
    if padding_idx >= 0:
        rows = masked_fill(rows, expand_op(unsqueeze(index == padding_idx, -1), rows.shape), 0.0)
    return rows


@embedding_op.composite
def _(weight, index, padding_idx, by_frequency):
    rows = reshape_op(index_select_op(weight, 0, reshape_op(index, (-1,))), (*index.shape, weight.shape[1]))
    if padding_idx < 0 and not by_frequency:
        return rows
    counted = _shared(rows, index, padding_idx, by_frequency)
    return counted + (rows - counted).detach()  # the value of rows, the gradient of counted


@embedding_backward.composite
def _(dy, index, rows, padding_idx, by_frequency):
    counted = _shared(dy, index, padding_idx, by_frequency)
    return index_add_op(reshape_op(counted, (index.numel(), dy.shape[-1])), 0, reshape_op(index, (-1,)), rows)


def embedding(weight, index, padding_idx=-1, scale_grad_by_freq=False):
    """The rows of `weight` (V, D) that `index` (any shape, int64) names: (*index.shape, D) (PyTorch: torch.embedding).

    The gradient is dense and deterministic: each row of the table adds up its tokens in their order.

    Args:
        padding_idx: this row gets no gradient; -1 for none.
        scale_grad_by_freq: divide the gradient of a row by how often the row was picked.

    Raises:
        IndexError: a number outside 0..V-1, named in the text.
    """
    return embedding_op(weight, index, padding_idx, scale_grad_by_freq)


def bag_sum(rows, bags, count):
    """The sums (count, D) of rows (N, D) by the number of their bag (N,)."""
    return index_add_op(rows, 0, bags, count)


def bag_sizes(bags, count, dtype, counted=None):
    """How many rows each bag has, (count, 1); `counted` (N,) bool says which of them count."""
    ones = _core.full(bags.shape, 1, dtype) if counted is None else cast(counted, dtype)
    return unsqueeze(index_add_op(ones, 0, bags, count), 1)
