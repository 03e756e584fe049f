"""default_collate: a list of samples becomes one batch.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import tilegrad as tg

from ...tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Stacks the samples along a new first dimension, keeping their structure.

    Tensors (*) -> (B, *); NumPy arrays and scalars -> tensors of their dtype; float -> float64 (B); int -> int64 (B);
    bool -> bool (B); str and bytes stay a list; dicts, tuples, named tuples and lists are collated field by field (a
    plain tuple becomes a list, as in PyTorch).

    Raises:
        TypeError: for samples of any other type.
        RuntimeError: when tensors differ in shape or sequences in length; pass a collate_fn that pads them.
        ValueError: for an empty batch.
    """
    if len(batch) == 0:
        raise ValueError("default_collate: got an empty batch")
    sample = batch[0]
    if isinstance(sample, Tensor):
        _same_shapes([tuple(t.shape) for t in batch])
        return tg.stack(list(batch))
    if isinstance(sample, (np.ndarray, np.generic)) and sample.dtype.kind not in "SUOV":
        _same_shapes([np.shape(a) for a in batch])
        return tg.from_numpy(np.stack([np.asarray(a) for a in batch]))
    if isinstance(sample, float):
        return tg.tensor(batch, dtype=tg.float64)
    if isinstance(sample, (bool, int)):
        return tg.tensor(list(batch))
    if isinstance(sample, (str, bytes)):
        return list(batch) if not isinstance(batch, list) else batch
    if isinstance(sample, Mapping):
        collated = {key: default_collate([s[key] for s in batch]) for key in sample}
        return collated if type(sample) is dict else _rebuilt(sample, collated)
    if isinstance(sample, Sequence):
        if any(len(s) != len(sample) for s in batch):
            raise RuntimeError(
                "each element in list of batch should be of equal size, got lengths "
                f"{sorted({len(s) for s in batch})}; pass a collate_fn that pads them"
            )
        fields = [default_collate(list(field)) for field in zip(*batch, strict=True)]
        if hasattr(sample, "_fields"):  # a named tuple
            return type(sample)(*fields)
        return fields if type(sample) in (tuple, list) else _rebuilt(sample, fields)
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(sample).__name__}; pass a collate_fn to DataLoader, or return one of these from the dataset"
    )


def default_convert(item: Any) -> Any:
    """A single item without auto-batching: NumPy arrays become tensors, inside dicts, tuples and lists too; the rest stays."""
    if isinstance(item, (np.ndarray, np.generic)) and item.dtype.kind not in "SUOV":
        return tg.from_numpy(np.asarray(item))
    if isinstance(item, Mapping):
        converted = {key: default_convert(value) for key, value in item.items()}
        return converted if type(item) is dict else _rebuilt(item, converted)
    if isinstance(item, (tuple, list)):
        fields = [default_convert(value) for value in item]
        return type(item)(*fields) if hasattr(item, "_fields") else type(item)(fields)
    return item


def _same_shapes(shapes: list[tuple[int, ...]]) -> None:
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {shapes[0]} at entry 0 and {shape} at entry {i}; "
                "pass a collate_fn that pads them"
            )


def _rebuilt(sample: Any, collated: Any) -> Any:
    """`collated` in the sample's own class where that class can be made from it."""
    try:
        return type(sample)(collated)
    except TypeError:
        return collated
