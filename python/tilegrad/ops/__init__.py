"""The ops: each with its gradient rule, one file per family.

A family is a module (``ops.softmax`` is the file, ``ops.softmax.softmax`` the op); ops whose name is not a file's are here too:
``ops.linear``, ``ops.relu``.
"""

from . import (
    attention,
    complex_numbers,
    conv,
    creation,
    ctc,
    einsum,
    elementwise,
    embedding,
    fold,
    functions,
    grid_sample,
    index,
    indexing,
    joining,
    linalg,
    loss,
    matmul,
    matrices,
    norm,
    pad,
    pointwise_loss,
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
    "complex_numbers",
    "conv",
    "creation",
    "ctc",
    "einsum",
    "elementwise",
    "embedding",
    "fold",
    "functions",
    "grid_sample",
    "index",
    "indexing",
    "joining",
    "linalg",
    "loss",
    "matmul",
    "matrices",
    "norm",
    "pad",
    "pointwise_loss",
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
_FAMILIES = tuple(globals()[name] for name in __all__)


def __getattr__(name):
    for family in _FAMILIES:
        found = family.__dict__.get(name)
        if found is not None and not name.startswith("_"):
            return found
    raise AttributeError(f"module 'tilegrad.ops' has no op named '{name}'")
