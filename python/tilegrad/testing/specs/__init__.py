"""The specs of every op, one file per family. `all_specs()` is the table that tests, `verify` and benchmarks walk."""

import functools
import importlib

from tilegrad.testing.spec import ALL, FLOATS, INTEGERS, NUMBERS, OpError, OpSpec, Sample

FAMILIES = (
    "conv",
    "conv_nd",
    "elementwise",
    "arithmetic",
    "compare",
    "reduce",
    "shape",
    "index",
    "matmul",
    "quantized",
    "softmax",
    "loss",
    "pointwise_loss",
    "norm",
    "random",
    "creation",
    "functions",
    "scan",
    "sort",
    "einsum",
    "products",
    "statistics",
    "indexing",
    "linalg",
    "rnn",
    "pad",
    "pool",
    "spatial",
    "attention",
)

__all__ = ["ALL", "FAMILIES", "FLOATS", "INTEGERS", "NUMBERS", "OpError", "OpSpec", "Sample", "all_specs", "spec"]


@functools.cache
def all_specs():
    """Every OpSpec, in the order of FAMILIES; names are unique."""
    specs = tuple(s for family in FAMILIES for s in importlib.import_module(f"tilegrad.testing.specs.{family}").SPECS)
    names = [s.name for s in specs]
    repeated = {n for n in names if names.count(n) > 1}
    if repeated:
        raise ValueError(f"two specs of one name: {sorted(repeated)}")
    return specs


def spec(name):
    """The OpSpec called `name`."""
    for s in all_specs():
        if s.name == name:
            return s
    raise KeyError(f"no spec is called {name!r}")
