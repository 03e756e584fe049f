"""Matrix products and the fused linear layer."""

from __future__ import annotations

import math

from .. import _core
from ..autograd.op import op
from .arguments import need_tensor, need_tensors
from .elementwise import gelu as gelu_
from .elementwise import gelu_backward, gelu_tanh_backward, relu, relu_backward, sigmoid, sigmoid_backward, tanh, tanh_backward
from .shape import transpose, unsqueeze


def _matmul_dx(dy, x, y):
    if y.ndim == 1:  # (..., K) @ (K,): dy has no column dim
        return unsqueeze(dy, -1) * y if x.ndim > 1 else dy * y
    if x.ndim == 1:  # (K,) @ (..., K, N): dy (..., N)
        return matmul(unsqueeze(dy, -2), transpose(y, -1, -2)).squeeze(-2)
    return matmul(dy, transpose(y, -1, -2))


def _as_rows(x):
    """(..., n) to (rows, n). reshape(-1, n) cannot tell how many rows there are where n is 0."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _matmul_dy(dy, x, y):
    if x.ndim == 1:
        return unsqueeze(x, -1) * unsqueeze(dy, -2) if y.ndim > 1 else dy * x
    if y.ndim == 1:  # sum over all rows of x: (K, rows) @ (rows,)
        return matmul(transpose(_as_rows(x), 0, 1), dy.reshape(-1))
    if y.ndim == 2 and x.ndim > 2:  # one matrix for a stack of rows
        return matmul(transpose(_as_rows(x), 0, 1), _as_rows(dy))
    return matmul(transpose(x, -1, -2), dy)


matmul = op(_core.matmul).backward(x=_matmul_dx, y=_matmul_dy)
matmul.set_autocast(2)
_core.set_operator("matmul", matmul)


def mm(x, y):
    """The product of two matrices."""
    need_tensors("mm", x=x, y=y)
    if x.ndim != 2 or y.ndim != 2:
        raise RuntimeError(f"mm: expected two matrices, got shapes {x.shape} and {y.shape}; matmul takes other dims")
    return matmul(x, y)


def bmm(x, y):
    """The products of two stacks of matrices, (B, M, K) @ (B, K, N)."""
    need_tensors("bmm", x=x, y=y)
    if x.ndim != 3 or y.ndim != 3 or x.shape[0] != y.shape[0]:
        raise RuntimeError(f"bmm: expected shapes (B, M, K) and (B, K, N), got {x.shape} and {y.shape}")
    return matmul(x, y)


def mv(x, y):
    """A matrix times a vector."""
    need_tensors("mv", x=x, y=y)
    if x.ndim != 2 or y.ndim != 1:
        raise RuntimeError(f"mv: expected a matrix and a vector, got shapes {x.shape} and {y.shape}")
    return matmul(x, y)


def dot(x, y):
    """The inner product of two vectors."""
    need_tensors("dot", x=x, y=y)
    if x.ndim != 1 or y.ndim != 1:
        raise RuntimeError(f"dot: expected two vectors, got shapes {x.shape} and {y.shape}")
    return matmul(x, y)


def outer(x, y):
    """The outer product of two vectors."""
    need_tensors("outer", x=x, y=y)
    if x.ndim != 1 or y.ndim != 1:
        raise RuntimeError(f"outer: expected two vectors, got shapes {x.shape} and {y.shape}")
    return unsqueeze(x, 1) * y


def addmm(bias, x, y, *, beta=1, alpha=1):
    """beta * bias + alpha * (x @ y)."""
    need_tensor("addmm", "bias", bias)
    product = matmul(x, y)
    return (bias if beta == 1 else bias * beta) + (product if alpha == 1 else product * alpha)


# --- linear: activation(x @ weight.T + bias) in one pass over the output
def _linear_gradients(dy, x, weight, needs):
    """dy (..., out) to (dx, dweight, dbias); rows of a stack are flattened."""
    rows = _as_rows(dy)
    dx = matmul(dy, weight) if needs[0] else None
    dw = matmul(transpose(rows, 0, 1), _as_rows(x)) if needs[1] else None
    db = rows.sum(0) if needs[2] else None
    return dx, dw, db, None


linear_plain = op(lambda x, weight, bias, activation: _core.linear(x, weight, bias, activation), name="linear")
linear_plain.backward(lambda dy, x, weight, needs: _linear_gradients(dy, x, weight, needs))

# relu, tanh and sigmoid are differentiated from their output, so nothing more is kept than without the fusion
linear_from_output = op(lambda x, weight, bias, activation: _core.linear(x, weight, bias, activation), name="linear")
_OUTPUT_GRADIENT = {"relu": relu_backward, "tanh": tanh_backward, "sigmoid": sigmoid_backward}
linear_from_output.backward(
    lambda dy, x, weight, activation, out, needs: _linear_gradients(_OUTPUT_GRADIENT[activation](out, dy), x, weight, needs)
)

# gelu is differentiated from the value before it: a second output, kept for the backward pass (and a gradient can reach it,
# at order 2)
linear_gelu = op(_core.linear_keep, name="linear")


@linear_gelu.backward
def _(dy, x, weight, activation, out1, dy1, needs):
    backward = gelu_backward if activation == "gelu" else gelu_tanh_backward
    inner = None if dy is None else backward(out1, dy)
    if dy1 is not None:
        inner = dy1 if inner is None else inner + dy1
    return _linear_gradients(inner, x, weight, needs)


for _op in (linear_plain, linear_from_output, linear_gelu):
    _op.set_autocast(3)

_COMPOSITE = {
    "none": lambda y: y,
    "relu": relu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "gelu": gelu_,
    "gelu_tanh": lambda y: gelu_(y, "tanh"),
}


def linear_composite(x, weight, bias=None, activation="none"):
    """`linear` in plain ops."""
    y = matmul(x, transpose(weight, 0, 1))
    return _COMPOSITE[activation](y if bias is None else y + bias)


def linear(x, weight, bias=None, activation="none"):
    """activation(x @ weight.T + bias).

    Args:
        x: (..., in_features). weight: (out_features, in_features). bias: (out_features,) or None.
        activation: none, relu, gelu, gelu_tanh, tanh or sigmoid, applied while the output is still in registers.

    Raises:
        RuntimeError: shapes or dtypes that do not fit. ValueError: an unknown activation.
    """
    if activation == "none":
        return linear_plain(x, weight, bias, "none")
    if activation in _OUTPUT_GRADIENT:
        return linear_from_output(x, weight, bias, activation)
    if activation in _COMPOSITE:
        return linear_gelu(x, weight, bias, activation)[0]
    raise ValueError(f"linear: activation must be one of {', '.join(_COMPOSITE)}, got {activation!r}")
