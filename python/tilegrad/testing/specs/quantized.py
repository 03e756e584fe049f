"""The linear layer with int8 weights: the same integers and the same roundings as its reference."""

import numpy as np

import tilegrad as tg
from tilegrad.ops.quantized import pack_weight, quantized_linear
from tilegrad.reference import quantized
from tilegrad.testing.layouts import stepped, transposed, uniform
from tilegrad.testing.spec import OpError, OpSpec, sample

# (rows, inputs, outputs): one, odd, just beside tiles of 8 rows, 4 inputs and 16 or 48 outputs
SIZES = [(1, 1, 1), (1, 300, 7), (3, 5, 17), (8, 64, 48), (9, 63, 49), (33, 130, 95), (2, 4, 97), (70, 1030, 33)]


def layer(rng, inputs, outputs):
    """An int8 weight and its scales."""
    return quantized.quantize_weight(uniform(rng, (outputs, inputs)))


def samples(rng):
    result = []
    for rows, inputs, outputs in SIZES:
        w, scale = layer(rng, inputs, outputs)
        x, bias = uniform(rng, (rows, inputs)) * 3, uniform(rng, (outputs,))
        result += [sample(x, w, scale.astype(np.float64), bias), sample(x, w, scale.astype(np.float64), activation="relu")]
    w, scale = layer(rng, 12, 20)
    scale = scale.astype(np.float64)
    x = uniform(rng, (4, 12))
    special = x.copy()
    special[0, 3], special[1, 0], special[2, 5] = np.nan, np.inf, -np.inf
    return [
        *result,
        sample(uniform(rng, (2, 3, 12)), w, scale, note="a stack of rows"),
        sample(uniform(rng, (12,)), w, scale, note="one vector"),
        sample(transposed(x), w, scale, note="transposed"),
        sample(stepped(x), w, scale, note="every second element"),
        sample(np.abs(x), w, scale, note="nothing below zero"),
        sample(-np.abs(x), w, scale, note="nothing above zero"),
        sample(np.zeros((3, 12)), w, scale, note="zeros"),
        sample(x * 1e-39, w, scale, note="denormal"),
        sample(x * 3e38, w, scale * 1e-10, note="a range beyond float32's largest number"),
        sample(special, w, scale, note="rows with NaN or infinity give NaN"),
        sample(np.zeros((0, 12)), w, scale, note="no rows"),
        sample(np.zeros((3, 0)), np.zeros((5, 0), np.int8), np.ones(5), uniform(rng, (5,)), note="no inputs"),
        sample(x, np.zeros((0, 12), np.int8), np.ones(0), note="no outputs"),
    ]


def run(x, w, scale, bias=None, activation="none"):
    return quantized_linear(x, pack_weight(w, scale), bias, activation)


def _packed(inputs=8, outputs=5):
    return pack_weight(tg.zeros(outputs, inputs, dtype=tg.int8), tg.ones(outputs))


SPECS = [
    OpSpec(
        "quantized_linear",
        fn=run,
        numpy=quantized.quantized_linear,
        samples=samples,
        dtypes=("float32",),
        errors=[
            OpError(lambda: quantized_linear(tg.zeros(2, 8).double(), _packed()), RuntimeError, "float32 input, got float64"),
            OpError(lambda: quantized_linear(tg.zeros(2, 20), _packed()), RuntimeError, r"packed int8 weights of shape"),
            OpError(lambda: quantized_linear(tg.tensor(1.0), _packed()), RuntimeError, "at least 1 dim"),
            OpError(lambda: quantized_linear(tg.zeros(2, 8), _packed(), tg.zeros(4)), RuntimeError, r"bias of shape \(5,\)"),
            OpError(lambda: quantized_linear(tg.zeros(1, 65540), _packed()), RuntimeError, "at most 65536 inputs, got 65540"),
            OpError(lambda: quantized_linear(tg.zeros(2, 8), _packed(), None, "swish"), ValueError, "activation"),
        ],
    ),
]
