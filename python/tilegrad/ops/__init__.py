"""The ops: each with its gradient rule, one file per family. Every public one is also here: ``tilegrad.ops.linear``."""

from . import creation, elementwise, index, loss, matmul, reduce, shape, softmax

_FAMILIES = (creation, elementwise, index, loss, matmul, reduce, shape, softmax)


def __getattr__(name):
    for family in _FAMILIES:
        found = family.__dict__.get(name)
        if found is not None and not name.startswith("_"):
            return found
    raise AttributeError(f"module 'tilegrad.ops' has no op named '{name}'")
