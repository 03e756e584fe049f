"""All parameters as one vector and back: handy for Hessians, line searches and weight averages.

Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.parameters_to_vector.html
"""

from __future__ import annotations

from collections.abc import Iterable

import tilegrad as tg

from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """(n1), (n2, m2), ... -> (n1 + n2*m2 + ...), differentiable. Raises ValueError when there are none."""
    flat = [p.reshape(-1) for p in parameters]
    if not flat:
        raise ValueError("parameters_to_vector: got no parameters")
    return tg.cat(flat)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes consecutive pieces of vec (1-d) into the parameters.

    Raises TypeError when vec is not a Tensor, ValueError when its length is not the number of parameters.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected vec to be a Tensor, but got: {type(vec).__name__}")
    parameters = list(parameters)
    count = sum(p.numel() for p in parameters)
    if vec.ndim != 1 or vec.numel() != count:
        raise ValueError(f"vector_to_parameters: expected a vector of {count} elements, got shape {tuple(vec.shape)}")
    start = 0
    with tg.no_grad():
        for parameter in parameters:
            stop = start + parameter.numel()
            parameter.data.copy_(vec[start:stop].reshape(*parameter.shape))
            start = stop
