"""Sequences of different lengths in one batch: padded, or packed without the padding.

    padded                          packed
    a0 a1 a2 a3                     data         a0 b0 c0 | a1 b1 c1 | a2 b2 | a3
    b0 b1 b2 .                      batch_sizes  3          3          2       1
    c0 c1 .  .                      sorted_indices: which sequence came first, second, ...; by falling length

Source: https://pytorch.org/docs/stable/nn.html#utility-functions (torch.nn.utils.rnn)
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import tilegrad as tg

from ...ops.index import index_copy_
from ...tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

_Fields = namedtuple("_Fields", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])


class PackedSequence(_Fields):
    """Sequences without padding, as recurrent layers take and give them. Made by pack_padded_sequence and pack_sequence.

    Attributes:
        data: (N, *), all rows of step 0, then of step 1, ... batch_sizes: (T,) int64, the rows of each step.
        sorted_indices: (B,) int64, the original place of each sequence, or None where they were in order already.
        unsorted_indices: (B,), the reverse of it.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            raise TypeError("PackedSequence: batch_sizes must be given; use pack_padded_sequence or pack_sequence to make one")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def __getnewargs__(self) -> tuple:
        return tuple(self)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """A copy with `data` converted as Tensor.to does; self when nothing changes."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._replace(data=data)

    def double(self) -> PackedSequence:
        """data as float64."""
        return self.to(tg.float64)

    def float(self) -> PackedSequence:
        """data as float32."""
        return self.to(tg.float32)

    def half(self) -> PackedSequence:
        """data as float16."""
        return self.to(tg.float16)

    def long(self) -> PackedSequence:
        """data as int64."""
        return self.to(tg.int64)

    def int(self) -> PackedSequence:
        """data as int32."""
        return self.to(tg.int32)

    def cpu(self) -> PackedSequence:
        """data on the CPU."""
        return self.to("cpu")

    @property
    def is_cuda(self) -> bool:
        """Whether data is on a GPU."""
        return self.data.is_cuda


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes the given one, (B,) int64; None for None."""
    if permutation is None:
        return None
    out = tg.empty(permutation.shape[0], dtype=tg.int64)
    return index_copy_(out, 0, permutation, tg.arange(permutation.shape[0]))


def _lengths_of(name: str, lengths: Tensor | Sequence[int], batch: int, steps: int) -> list[int]:
    values = lengths.tolist() if isinstance(lengths, Tensor) else [int(n) for n in lengths]
    if not isinstance(values, list) or len(values) != batch:
        count = len(values) if isinstance(values, list) else 0
        raise RuntimeError(f"{name}: Expected `len(lengths)` to be equal to batch_size, but got {count} (batch_size={batch})")
    for n in values:
        if n <= 0:
            raise RuntimeError(
                f"{name}: Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0 ({n})"
            )
        if n > steps:
            raise RuntimeError(f"{name}: a length of {n} is more than the {steps} steps of the input")
    return values


def _present(lengths: list[int], steps: int) -> Tensor:
    """(T, B) bool: is there a row of sequence b at step t?"""
    return tg.arange(steps).unsqueeze(1) < tg.tensor(lengths, dtype=tg.int64).unsqueeze(0)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Leaves the padding out: input (T, B, *), or (B, T, *) with batch_first, and the B lengths.

    Args:
        enforce_sorted: lengths must fall already; with False they are sorted here, and results come back in the old order.

    Raises:
        RuntimeError: not B lengths, a length outside 1..T, or rising lengths with enforce_sorted=True.
    """
    if input.ndim < 2:
        raise RuntimeError(f"pack_padded_sequence: expected an input of at least 2 dims, got shape {tuple(input.shape)}")
    padded = input.transpose(0, 1) if batch_first else input
    steps, batch = padded.shape[:2]
    values = _lengths_of("pack_padded_sequence", lengths, batch, steps)
    order = None
    if enforce_sorted:
        if any(a < b for a, b in pairwise(values)):
            raise RuntimeError(
                "pack_padded_sequence: `lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
                "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement."
            )
    else:
        places = sorted(range(batch), key=lambda b: -values[b])  # stable
        order = tg.tensor(places, dtype=tg.int64)
        padded = padded.index_select(1, order)
        values = [values[b] for b in places]
    present = _present(values, steps)
    rows = tg.nonzero(present.reshape(-1)).reshape(-1)
    data = padded.reshape(steps * batch, *padded.shape[2:]).index_select(0, rows)
    longest = values[0] if values else 0
    return PackedSequence(data, present[:longest].sum(1), order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The reverse of pack_padded_sequence: (T, B, *) or (B, T, *), and the lengths (B,) int64, in the original order.

    Raises:
        ValueError: total_length below the longest sequence.
    """
    steps, batch = sequence.batch_sizes.shape[0], int(sequence.batch_sizes[0])
    total = steps
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "pad_packed_sequence: Expected total_length to be at least the length of the longest sequence in input, but "
                f"got total_length={total_length} and max sequence length being {steps}"
            )
        total = total_length
    present = tg.arange(batch).unsqueeze(0) < sequence.batch_sizes.unsqueeze(1)  # (T, B)
    rows = tg.nonzero(present.reshape(-1)).reshape(-1)
    tail = sequence.data.shape[1:]
    padded = index_copy_(
        tg.full((total * batch, *tail), padding_value, dtype=sequence.data.dtype), 0, rows, sequence.data
    ).reshape(total, batch, *tail)
    lengths = present.sum(0)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths.index_select(0, sequence.unsorted_indices)
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def pad_sequence(
    sequences: Sequence[Tensor] | Tensor, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Stacks tensors (L_b, *) of different lengths into (T, B, *), or (B, T, *) with batch_first, T the longest.

    Raises:
        RuntimeError: no tensors, or trailing sizes that differ. ValueError: a padding_side other than left and right.
    """
    items = list(sequences)
    if not items:
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: padding_side must be 'left' or 'right', got {padding_side!r}")
    tail = tuple(items[0].shape[1:])
    for x in items:
        if x.ndim == 0 or tuple(x.shape[1:]) != tail:
            raise RuntimeError(
                f"pad_sequence: expected sequences of shape (L, {', '.join(map(str, tail))}), got {tuple(x.shape)}"
            )
    longest = max(x.shape[0] for x in items)
    padded = []
    for x in items:
        missing = longest - x.shape[0]
        if missing:
            filler = tg.full((missing, *tail), padding_value, dtype=x.dtype)
            x = tg.cat([x, filler] if padding_side == "right" else [filler, x])
        padded.append(x)
    return tg.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False) -> list[Tensor]:
    """The reverse of pad_sequence: the list of tensors (L_b, *)."""
    padded = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    values = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if len(values) != padded.shape[0]:
        raise RuntimeError(f"unpad_sequence: {len(values)} lengths for {padded.shape[0]} sequences")
    return [padded[b, :n] for b, n in enumerate(values)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of tensors (L_b, *); with enforce_sorted they must come with falling lengths."""
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The reverse of pack_sequence: the list of tensors (L_b, *)."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
