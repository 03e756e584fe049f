"""einsum as NumPy has it, in double precision; also with repeated letters and broadcasting dims of size 1."""

import numpy as np


def einsum(equation, *operands):
    return np.einsum(equation, *operands)
