"""embedding and embedding_bag: rows of a table by number.

Source: https://pytorch.org/docs/stable/nn.functional.html#sparse-functions
"""

from __future__ import annotations

from itertools import accumulate, pairwise

import tilegrad as tg

from ...ops.arguments import need_tensor
from ...ops.embedding import bag_sizes, bag_sum
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
    need_tensor(name, "input", input)
    if input.dtype not in (tg.int64, tg.int32):
        raise RuntimeError(
            f"{name}: Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
            f"but got {input.dtype} instead; use .long()"
        )
    return input.to(tg.int64)


def check_table(name: str, weight: Tensor) -> None:
    """Raises RuntimeError unless weight is a matrix."""
    need_tensor(name, "weight", weight)
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


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers (N,), the bag of each (N,) and the first place of each bag (bags,), all int64."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "embedding_bag: if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed "
                f"length sequences. However, found offsets of shape {tuple(offsets.shape)}"
            )
        bags, length = input.shape
        starts = tg.arange(bags) * length
        return input.reshape(bags * length), tg.arange(bags * length) // max(length, 1), starts
    if input.ndim != 1:
        raise ValueError(f"embedding_bag: input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if offsets is None:
        raise ValueError("embedding_bag: offsets has to be a 1D Tensor but got None")
    if offsets.ndim != 1:
        raise ValueError(f"embedding_bag: offsets has to be a 1D Tensor, got shape {tuple(offsets.shape)}")
    places = long_index("embedding_bag", offsets).tolist()
    count = input.shape[0]
    if include_last_offset:
        if not places or places[-1] > count:
            raise ValueError(f"embedding_bag: the last of offsets must be at most {count}, got {places[-1:]}")
        end, places = places[-1], places[:-1]
    else:
        end = count
    if places and places[0] != 0:
        raise ValueError(f"embedding_bag: offsets[0] has to be 0, i.e., the first sequence has to start at 0, got {places[0]}")
    edges = [*places, end]
    if any(a > b for a, b in pairwise(edges)):
        raise ValueError(f"embedding_bag: offsets must not fall and must not exceed the input's length {count}, got {edges}")
    bag_of = [bag for bag, (a, b) in enumerate(pairwise(edges)) for _ in range(b - a)]
    return input[:end], tg.tensor(bag_of, dtype=tg.int64), tg.tensor(places, dtype=tg.int64)


def _largest(rows: Tensor, bag_of: Tensor, bags: int, counted: Tensor | None) -> Tensor:
    """The largest of every column of each bag, (bags, D), zero for an empty one; the gradient goes to the first of equals."""
    if counted is not None:
        kept = tg.nonzero(counted).reshape(-1)
        rows, bag_of = rows.index_select(0, kept), bag_of.index_select(0, kept)
    sizes = bag_sizes(bag_of, bags, tg.int64).reshape(-1)
    longest = int(sizes.max()) if bags and rows.shape[0] else 0
    if longest == 0:
        return bag_sum(rows, bag_of, bags)
    # every bag as long as the longest: its k-th row, or its last one again
    starts = tg.tensor([0, *accumulate(sizes.tolist())][:-1], dtype=tg.int64)
    k = tg.minimum(tg.arange(longest).unsqueeze(0), (sizes - 1).clamp(min=0).unsqueeze(1))
    at = (starts.unsqueeze(1) + k).clamp(max=rows.shape[0] - 1)  # (bags, longest)
    padded = rows.index_select(0, at.reshape(-1)).reshape(bags, longest, rows.shape[1])
    return padded.max(1)[0].masked_fill((sizes == 0).unsqueeze(1), 0.0)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of rows of `weight` (V, D), one per bag of numbers: (bags, D).

    Args:
        input: (bags, L), every row a bag; or (N,) with `offsets` (bags,), where each bag begins. int64 or int32.
        mode: 'sum', 'mean' or 'max'. An empty bag gives zeros.
        per_sample_weights: shaped like input, factors of the rows; with mode 'sum' only.
        include_last_offset: the last entry of offsets is the end of the last bag.
        padding_idx: rows of this number do not count. max_norm, norm_type, scale_grad_by_freq, sparse: as for `embedding`.

    Raises:
        IndexError: a number outside 0..V-1. ValueError: offsets or options that do not fit. NotImplementedError: sparse=True,
        and per_sample_weights with another mode.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding_bag.html
    """
    check_dense("embedding_bag", sparse)
    check_table("embedding_bag", weight)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode has to be one of sum, mean or max, got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("embedding_bag: max mode does not support scaling the gradient by the frequency")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
                f"(got mode={mode!r})"
            )
        if tuple(per_sample_weights.shape) != tuple(input.shape):
            raise ValueError(
                f"embedding_bag: If per_sample_weights (shape {tuple(per_sample_weights.shape)}) is not None, then it must "
                f"have the same shape as the input ({tuple(input.shape)})"
            )
    padding = check_padding_idx("embedding_bag", padding_idx, weight.shape[0])
    index, bag_of, starts = _bags(long_index("embedding_bag", input), offsets, include_last_offset)
    if max_norm is not None:
        renormalize_(weight, index, max_norm, norm_type)
    bags = starts.shape[0]
    rows = _embedding(weight, index, padding, scale_grad_by_freq)
    counted = None if padding < 0 else index != padding
    if mode == "max":
        return _largest(rows, bag_of, bags, counted)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1)[: index.shape[0]].unsqueeze(1)
    if counted is not None:
        rows = rows * counted.to(rows.dtype).unsqueeze(1)
    total = bag_sum(rows, bag_of, bags)
    return total if mode == "sum" else total / bag_sizes(bag_of, bags, total.dtype, counted).clamp(min=1.0)
