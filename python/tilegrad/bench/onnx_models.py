"""onnxruntime as a peer: a model of one operator for the cases whose statement is one such call.

| statement | operator | weights |
|---|---|---|
| ``x @ y`` | MatMul | y is a constant, packed when the session is made: what a server has |
| ``F.softmax(x, dim=1)`` | Softmax | |
| ``F.layer_norm(x, (n,), w, b)`` | LayerNormalization | constants |
| ``F.conv2d(x, w, ...)`` | Conv | constant |
| ``layer(x)`` with an LSTM | LSTM | constants |

onnxruntime has no gradients.
"""

from __future__ import annotations

import ast
import importlib
import time
from typing import Any

import numpy as np

import tilegrad as tg

from .cases import Case

Model = tuple[str, dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]  # operator, inputs, constants, attributes


def session_sampler(case: Case, threads: int) -> Any:
    """Takes samples of the case's operator in onnxruntime; None for a case that is not one of those above."""
    found = model_of(case)
    if found is None:
        return None
    session, inputs = _session(*found, threads)
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_cpu_input(name, value)

    def sample(warm: int, calls: int) -> float:
        kept = None  # the previous result lives while the next is computed
        start = 0.0
        for number in range(warm + calls):
            if number == warm:
                start = time.perf_counter()
            binding.clear_binding_outputs()
            binding.bind_output("out", "cpu")
            session.run_with_iobinding(binding)
            kept = binding.get_outputs()
        seconds = time.perf_counter() - start
        del kept
        return seconds

    return sample


def model_of(case: Case) -> Model | None:
    """The operator that does what the case's statement says."""
    if case.dtype != "float32" or case.name.endswith("-backward"):
        return None
    try:
        statement = ast.parse(case.stmt).body
    except SyntaxError:
        return None
    while len(statement) == 1 and isinstance(statement[0], ast.With):
        statement = statement[0].body
    if len(statement) != 1 or not isinstance(statement[0], ast.Expr):
        return None
    call = statement[0].value
    if isinstance(call, ast.BinOp) and isinstance(call.op, ast.MatMult) and ast.unparse(call) == "x @ y":
        values = arrays(case)
        return "MatMul", {"x": values["x"]}, {"y": values["y"]}, {}
    if not isinstance(call, ast.Call):
        return None
    make = {"F.softmax": _softmax, "F.layer_norm": _layer_norm, "F.conv2d": _conv2d, "layer": _lstm}.get(ast.unparse(call.func))
    return make(case, call) if make else None


def arrays(case: Case) -> dict[str, np.ndarray]:
    """The case's tensors as arrays."""
    return {name: v.detach().numpy() for name, v in case.setup(tg).items() if isinstance(v, tg.Tensor)}


def _softmax(case: Case, call: ast.Call) -> Model | None:
    values = arrays(case)
    axis = {word.arg: word.value for word in call.keywords}.get("dim")
    return ("Softmax", {"x": values["x"]}, {}, {"axis": ast.literal_eval(axis)}) if axis is not None else None


def _layer_norm(case: Case, call: ast.Call) -> Model | None:
    values = arrays(case)
    return "LayerNormalization", {"x": values["x"]}, {"w": values["w"], "b": values["b"]}, {"axis": -1}


def _conv2d(case: Case, call: ast.Call) -> Model | None:
    try:
        options = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        names = [ast.unparse(argument) for argument in call.args]
    except ValueError:
        return None
    known = {"stride", "padding", "dilation", "groups"}
    if names != ["x", "w"] or not options.keys() <= known or not all(isinstance(v, int) for v in options.values()):
        return None
    values = arrays(case)
    attributes = {
        "kernel_shape": list(values["w"].shape[2:]),
        "strides": [options.get("stride", 1)] * 2,
        "pads": [options.get("padding", 0)] * 4,
        "dilations": [options.get("dilation", 1)] * 2,
        "group": options.get("groups", 1),
    }
    return "Conv", {"x": values["x"]}, {"w": values["w"]}, attributes


def _lstm(case: Case, call: ast.Call) -> Model | None:
    names = case.setup(tg)
    layer: Any = names.get("layer")
    x: Any = names.get("x")
    if (
        type(layer) is not tg.nn.LSTM
        or x is None
        or ast.unparse(call) != "layer(x)"
        or layer.num_layers != 1
        or layer.bidirectional
    ):
        return None
    hidden = layer.hidden_size

    def gates(value: Any) -> np.ndarray:
        """Their order is input, output, forget, cell here; ours is input, forget, cell, output."""
        i, f, c, o = np.split(value.detach().numpy(), 4)
        return np.concatenate([i, o, f, c])[None]

    weights = {"w": gates(layer.weight_ih_l0), "r": gates(layer.weight_hh_l0)}
    weights["b"] = np.concatenate([gates(layer.bias_ih_l0), gates(layer.bias_hh_l0)], axis=1)
    return "LSTM", {"x": x.numpy()}, weights, {"hidden_size": hidden}


def _session(
    operator: str, inputs: dict[str, np.ndarray], constants: dict[str, np.ndarray], attributes: dict[str, Any], threads: int
) -> tuple[Any, dict[str, np.ndarray]]:
    onnx, onnxruntime = importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    helper, numbers = importlib.import_module("onnx.helper"), importlib.import_module("onnx.numpy_helper")
    inputs = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
    float32 = onnx.TensorProto.FLOAT
    node = helper.make_node(operator, [*inputs, *constants], ["out"], **attributes)
    graph = helper.make_graph(
        [node],
        operator,
        [helper.make_tensor_value_info(name, float32, value.shape) for name, value in inputs.items()],
        [helper.make_tensor_value_info("out", float32, None)],
        [numbers.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")  # when a call returns, not during it
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, inputs
