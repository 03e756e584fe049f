"""What an op needs at least: FLOPs from the shapes of its arguments, and the bytes it reads and writes.

FLOPs are counted for ops made of multiplications and additions; the time of all others is that of moving bytes. Convolutions
count the products of their definition, so that Winograd's algorithm may show more than the machine's peak.

A tensor argument is described by ``Spec``, any other by its value.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from . import _core


class Spec(NamedTuple):
    """What a cost depends on of a tensor."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def numel(self) -> int:
        """Elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes when contiguous."""
        return prod(self.shape) * int(self.dtype.itemsize)


class Cost(NamedTuple):
    """What one call needs."""

    flops: float | None  # None: not counted
    bytes: float
    dtype: str  # of the arithmetic
    kernel: str  # which of the op's kernels these sizes take; the op's name where there is one


Arguments = tuple[Any, ...]

VIEWS = {
    "as_strided", "expand", "permute", "squeeze", "split_heads", "transpose", "unsqueeze", "view",
}  # fmt: skip


def cost(name: str, inputs: Arguments, outputs: Arguments) -> Cost:
    """The cost of a call of the op ``name``."""
    specs = [a for a in _flat(inputs) if isinstance(a, Spec)]
    results = [a for a in _flat(outputs) if isinstance(a, Spec)]
    touched = 0 if name in VIEWS else sum(spec.bytes for spec in (*specs, *results))
    formula = FLOPS.get(name) or next((f for start, f in PREFIXES if name.startswith(start)), None)
    dtype = COMPUTED_IN.get(name) or (str(specs[0].dtype).split(".")[-1] if specs else "float32")
    try:
        flops = float(formula(inputs, outputs)) if formula else None
    except (AttributeError, IndexError, TypeError):  # other arguments than the formula knows
        flops = None
    return Cost(flops, touched, dtype, _kernel(name, inputs))


def _flat(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if type(value) in (tuple, list):
            found += _flat(value)
        else:
            found.append(value)
    return found


# --- formulas ---------------------------------------------------------------------------------------------------------


def _products(inputs: Arguments, outputs: Arguments) -> float:
    """x (..., M, K) with y (K, N): every result sums K products."""
    return 2.0 * outputs[0].numel * inputs[0].shape[-1]


def _conv(inputs: Arguments, outputs: Arguments) -> float:
    """Every result sums the products of a window: channels of a group x kernel."""
    return 2.0 * outputs[0].numel * prod(inputs[1].shape[1:])


def _conv_backward_input(inputs: Arguments, outputs: Arguments) -> float:
    """As many as forward: dy has the shape of y."""
    return 2.0 * inputs[0].numel * prod(inputs[1].shape[1:])


def _conv_backward_weight(inputs: Arguments, outputs: Arguments) -> float:
    """As many as forward: the result has the weight's shape."""
    return 2.0 * inputs[0].numel * prod(outputs[0].shape[1:])


def _scores(query: Spec, key: Spec, causal: bool) -> float:
    """Pairs of query and key over all batches and heads; with a causal mask those on and below the diagonal."""
    rows, columns = query.shape[-2], key.shape[-2]
    pairs = rows * columns
    if causal:
        pairs = sum(min(i + 1, columns) for i in range(rows))
    return float(prod(query.shape[:-2]) * pairs)


def _attention(inputs: Arguments, outputs: Arguments) -> float:
    """Two products: scores, and the weighted sum of the values."""
    query, key, value = inputs[:3]
    return 2.0 * _scores(query, key, bool(inputs[5])) * (query.shape[-1] + value.shape[-1])


def _attention_backward(inputs: Arguments, outputs: Arguments) -> float:
    """Five products: scores again, dp, dq, dk, dv."""
    _, query, key, value = inputs[:4]
    return 2.0 * _scores(query, key, bool(inputs[8])) * (3 * query.shape[-1] + 2 * value.shape[-1])


def _recurrent(x: int, weights: int, times: int) -> Callable[[Arguments, Arguments], float]:
    """Each step of each sequence goes through both weights ``times``; x and the weights are these arguments."""

    def count(inputs: Arguments, outputs: Arguments) -> float:
        steps = inputs[x].numel / inputs[x].shape[-1]
        return 2.0 * times * steps * (inputs[weights].numel + inputs[weights + 1].numel)

    return count


FLOPS: dict[str, Callable[[Arguments, Arguments], float]] = {
    "matmul": _products,
    "conv": _conv,
    "conv_backward_input": _conv_backward_input,
    "conv_backward_weight": _conv_backward_weight,
    "attention": _attention,
    "attention_backward": _attention_backward,
    "lstm": _recurrent(0, 3, 1),
    "lstm_backward": _recurrent(3, 6, 2),
    "gru": _recurrent(0, 2, 1),
    "gru_backward": _recurrent(2, 4, 2),
    "rnn": _recurrent(0, 2, 1),
    "rnn_backward": _recurrent(2, 4, 2),
}
PREFIXES: tuple[tuple[str, Callable[[Arguments, Arguments], float]], ...] = (
    ("linear", _products),
    ("quantized_linear", _products),
)
COMPUTED_IN = {"quantized_linear": "int8"}  # where it is not the dtype of the first operand


# --- kernels ----------------------------------------------------------------------------------------------------------


def _kernel(name: str, inputs: Arguments) -> str:
    try:
        if name == "conv":
            x, weight, _, _, stride, padding, dilation, groups = inputs[:8]
            return _algorithm(x.shape, weight.shape, stride, padding, dilation, groups, "forward", x.dtype)
        if name == "conv_backward_input":
            dy, weight, size, stride, padding, dilation, groups = inputs
            shape = (dy.shape[0], weight.shape[1] * groups, *size)
            return _algorithm(shape, weight.shape, stride, padding, dilation, groups, "backward_input", dy.dtype)
        if name == "conv_backward_weight":
            dy, x, size, stride, padding, dilation, groups = inputs
            shape = (dy.shape[1], x.shape[1] // groups, *size)
            return _algorithm(x.shape, shape, stride, padding, dilation, groups, "backward_weight", dy.dtype)
        if name == "matmul" and len(inputs[0].shape) >= 2 and inputs[0].shape[-2] <= 2:
            return "rows streamed"
    except (AttributeError, IndexError, TypeError, ValueError, RuntimeError):
        pass
    return name.removesuffix("_backward") if name in FLOPS else ""


def _algorithm(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: int, which: str, dtype: Any
) -> str:
    if len(x) != 4:
        return "direct"
    return str(_core.conv2d_algorithm(x, weight, stride, padding, dilation, groups, which, dtype))
