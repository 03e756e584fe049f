"""Complex numbers are not there: what says so, and what needs no complex numbers to be right."""

from __future__ import annotations


def _no_complex(name, instead):
    def refuse(*args, **kwargs):
        raise NotImplementedError(f"{name}: tilegrad has no complex tensors; {instead}")

    refuse.__name__ = name
    refuse.__doc__ = f"Raises NotImplementedError: there are no complex tensors; {instead}."
    return refuse


_ROTARY = "for rotary embeddings keep cos and sin as two real tensors: x1 * cos - x2 * sin, x1 * sin + x2 * cos"
polar = _no_complex("polar", _ROTARY)
complex = _no_complex("complex", "keep the real and the imaginary part as two tensors")
view_as_complex = _no_complex("view_as_complex", _ROTARY)
view_as_real = _no_complex("view_as_real", "the real and the imaginary part are two tensors already")


def real(x):
    """x itself: every tensor is real."""
    return x


def is_complex(x):
    """False: there are no complex tensors."""
    return False


def conj(x):
    """x itself: every tensor is real."""
    return x
