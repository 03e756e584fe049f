"""The ops: each with its gradient rule, one file per family. The public ones are gathered here: ``tilegrad.ops.linear``."""

from . import creation, elementwise, index, loss, matmul, reduce, shape, softmax
from .softmax import log_softmax, softmax  # type: ignore[no-redef]  # noqa: F811  the op takes the name of its file
from .matmul import addmm, bmm, dot, linear, matmul, mm, mv, outer  # type: ignore[no-redef]  # noqa: F811

_FAMILIES = (elementwise, reduce, shape, index, loss, creation)


def __getattr__(name):
    for family in _FAMILIES:
        found = family.__dict__.get(name)
        if found is not None and not name.startswith("_"):
            return found
    raise AttributeError(f"module 'tilegrad.ops' has no op named '{name}'")
