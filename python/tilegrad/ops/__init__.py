"""The ops: each with its gradient rule, one file per family.

A family is a module (``ops.softmax`` is the file, ``ops.softmax.softmax`` the op); ops whose name is not a file's are here too:
``ops.linear``, ``ops.relu``.
"""

from . import (
    attention,
    conv,
    creation,
    einsum,
    elementwise,
    embedding,
    fold,
    functions,
    grid_sample,
    index,
    indexing,
    linalg,
    loss,
    matmul,
    norm,
    pad,
    pool,
    products,
    reduce,
    rnn,
    scan,
    scatter,
    shape,
    softmax,
    sort,
    statistics,
)

__all__ = [
    "attention",
    "conv",
    "creation",
    "einsum",
    "elementwise",
    "embedding",
    "fold",
    "functions",
    "grid_sample",
    "index",
    "indexing",
    "linalg",
    "loss",
    "matmul",
    "norm",
    "pad",
    "pool",
    "products",
    "reduce",
    "rnn",
    "scan",
    "scatter",
    "shape",
    "softmax",
    "sort",
    "statistics",
]
_FAMILIES = (
    conv,
    elementwise,
    reduce,
    shape,
    index,
    matmul,
    softmax,
    loss,
    norm,
    creation,
    attention,
    embedding,
    pad,
    pool,
    fold,
    grid_sample,
    rnn,
    products,
    statistics,
    indexing,
    linalg,
)


def __getattr__(name):
    for family in _FAMILIES:
        found = family.__dict__.get(name)
        if found is not None and not name.startswith("_"):
            return found
    raise AttributeError(f"module 'tilegrad.ops' has no op named '{name}'")
