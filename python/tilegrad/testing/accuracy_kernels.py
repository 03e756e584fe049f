"""The error of the kernels that sum, forward and backward, in float32 and bfloat16, held against float64.

An error is the largest one of a result, relative to the largest element of that result; of several results (gradients) the
worst counts. Inputs are normal random numbers, rounded to the dtype before both computations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tilegrad as tg

Tensors = tuple[Any, ...]


@dataclass(frozen=True)
class Kernel:
    """`call(*tensors)` on float tensors of `shapes`; the bounds of the result and of the gradients (None: it has none)."""

    name: str
    call: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    forward: float
    backward: float | None = None
    dtype: str = "float32"
    algorithm: str = "auto"  # tg.set_conv_algorithm


def nn(name: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """tg.nn.functional.NAME with these further arguments."""
    return lambda *tensors: getattr(tg.nn.functional, name)(*tensors, *args, **kwargs)


def whole(*shape: int, high: int, seed: int = 1) -> Any:
    return tg.tensor(np.random.default_rng(seed).integers(0, high, shape))


def recurrent(kind: str) -> Callable[..., Any]:
    def call(x: Any, *weights: Any) -> Any:
        layer = getattr(tg.nn, kind)(x.shape[2], weights[1].shape[1])
        small = [w * (w.shape[-1] ** -0.5) for w in weights]
        return tg.func.functional_call(layer, dict(zip(dict(layer.named_parameters()), small, strict=True)), (x,))[0]

    return call


def recurrent_shapes(gates: int, hidden: int = 128, inputs: int = 96) -> tuple[tuple[int, ...], ...]:
    g = gates * hidden
    return ((40, 8, inputs), (g, inputs), (g, hidden), (g,), (g,))


def attention(**options: Any) -> Callable[..., Any]:
    return lambda q, k, v: tg.nn.functional.scaled_dot_product_attention(q, k, v, **options)


def batch_norm(x: Any, w: Any, b: Any) -> Any:
    return tg.nn.functional.batch_norm(x, None, None, w, b, True)


def step(kind: str, **options: Any) -> Callable[..., Any]:
    """What three steps of the optimiser have done to w."""

    def call(w: Any, *gradients: Any) -> Any:
        start = w.detach() * 2.0**-10  # small, so that the step's own error shows beside the rounding of the parameter
        p = tg.nn.Parameter(start.clone())
        optimizer = getattr(tg.optim, kind)([p], **options)
        for g in gradients:
            p.grad = g.detach().clone()
            optimizer.step()
        return p.detach() - start

    return call


def updated(name: str, bound: float, **options: Any) -> Kernel:
    return Kernel(name, step(name, **options), ((5000,),) * 4, bound)


Q = ((2, 4, 300, 64),) * 3
SCAN = ((8, 2000),)
CONV = ((4, 64, 28, 28), (96, 64, 3, 3))
CONV3D = ((2, 16, 8, 12, 12), (24, 16, 3, 3, 3))
KERNELS = [
    Kernel("matmul, K = 64", tg.matmul, ((200, 64), (64, 300)), 4.4e-7, 7.8e-7),
    Kernel("matmul, K = 512", tg.matmul, ((200, 512), (512, 300)), 1.1e-6, 7.7e-7),
    Kernel("matmul, K = 8192", tg.matmul, ((50, 8192), (8192, 70)), 6.4e-7, 3.8e-7),
    Kernel("matmul, one row", tg.matmul, ((1, 2048), (2048, 700)), 4.9e-7, 7.3e-7),
    Kernel("matmul, bfloat16", tg.matmul, ((200, 512), (512, 300)), 3.1e-3, 3.5e-3, "bfloat16"),
    Kernel("linear", nn("linear"), ((400, 384), (500, 384), (500,)), 1.2e-6, 1.3e-6),
    Kernel("conv2d, direct", nn("conv2d", padding=1), (*CONV, (96,)), 1.1e-6, 9.7e-7, algorithm="direct"),
    Kernel("conv2d, Winograd F(2x2, 3x3)", nn("conv2d", padding=1), (*CONV, (96,)), 4.5e-7, 6e-7, algorithm="precise"),
    Kernel("conv2d, Winograd F(4x4, 3x3)", nn("conv2d", padding=1), (*CONV, (96,)), 2.3e-6, 2.8e-6),
    Kernel(
        "conv2d, Winograd F(4x4, 3x3), 512 channels",
        nn("conv2d", padding=1),
        ((4, 512, 14, 14), (64, 512, 3, 3)),
        5.1e-6,
        2.5e-6,
    ),
    Kernel(
        "conv2d, first layer, Winograd F(4x4, 3x3)", nn("conv2d", padding=1), ((8, 3, 32, 32), (64, 3, 3, 3)), 1.5e-6, 1.5e-6
    ),
    Kernel(
        "conv2d, first layer, Winograd F(4x4, 4x4)",
        nn("conv2d", stride=2, padding=3),
        ((2, 3, 96, 96), (64, 3, 7, 7)),
        5.3e-6,
        8.3e-7,
    ),
    Kernel("conv2d, 1x1", nn("conv2d"), ((4, 256, 14, 14), (96, 256, 1, 1)), 8e-7, 7.7e-7),
    Kernel("conv2d, 5x5, stride 2", nn("conv2d", stride=2, padding=2), ((4, 32, 28, 28), (48, 32, 5, 5)), 6.8e-7, 9.8e-7),
    Kernel("conv2d, depthwise", nn("conv2d", padding=1, groups=64), ((4, 64, 28, 28), (64, 1, 3, 3)), 1.9e-7, 3.9e-7),
    Kernel("conv3d, direct", nn("conv3d", padding=1), CONV3D, 8.7e-7, 1.2e-6, algorithm="direct"),
    Kernel("conv3d, Winograd F(4x4, 3x3)", nn("conv3d", padding=1), CONV3D, 1.5e-6, 2.2e-6),
    Kernel("attention", attention(), Q, 1e-6, 1.3e-6),
    Kernel("attention, causal", attention(is_causal=True), Q, 3.2e-7, 6.9e-7),
    Kernel("attention, bfloat16", attention(), Q, 3.9e-3, 5.3e-3, "bfloat16"),
    Kernel("softmax", nn("softmax", 1), ((200, 1000),), 1.2e-7, 1.7e-7),
    Kernel("log_softmax", nn("log_softmax", 1), ((200, 1000),), 1.2e-7, 1.4e-7),
    Kernel("logsumexp", lambda x: tg.logsumexp(x, 1), ((200, 1000),), 1.2e-7, 3.2e-7),
    Kernel(
        "cross_entropy",
        lambda x: nn("cross_entropy", whole(300, high=1000), reduction="none")(x),
        ((300, 1000),),
        1.2e-7,
        1.2e-7,
    ),
    Kernel(
        "soft_cross_entropy",
        lambda x, y: tg.nn.functional.cross_entropy(x, y.softmax(1), reduction="none"),
        ((300, 500), (300, 500)),
        2.8e-7,
        3.9e-7,
    ),
    Kernel("pointwise_loss: mse_loss", nn("mse_loss", reduction="none"), ((300, 500), (300, 500)), 1.2e-7, 1.2e-7),
    Kernel(
        "pointwise_loss: binary_cross_entropy_with_logits",
        lambda x, y: tg.nn.functional.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction="none"),
        ((300, 500), (300, 500)),
        1.4e-7,
        1.5e-7,
    ),
    Kernel("pointwise_loss: huber_loss", nn("huber_loss", reduction="none"), ((300, 500), (300, 500)), 1.2e-7, 1.2e-7),
    Kernel(
        "ctc_loss",
        lambda x: nn("ctc_loss", whole(8, 12, high=39) + 1, [50] * 8, [12] * 8, reduction="none")(x.log_softmax(2)),
        ((50, 8, 40),),
        2.1e-7,
        4.7e-5,
    ),
    Kernel(
        "layer_norm",
        lambda x, w, b: tg.nn.functional.layer_norm(x, w.shape, w, b),
        ((400, 768), (768,), (768,)),
        2.1e-7,
        6.7e-7,
    ),
    Kernel("rms_norm", lambda x, w: tg.nn.functional.rms_norm(x, w.shape, w), ((400, 768), (768,)), 2e-7, 5.7e-7),
    Kernel("batch_norm", batch_norm, ((16, 32, 28, 28), (32,), (32,)), 1.9e-7, 2.9e-7),
    Kernel(
        "group_norm", lambda x, w, b: tg.nn.functional.group_norm(x, 8, w, b), ((8, 64, 20, 20), (64,), (64,)), 1.7e-7, 2.2e-7
    ),
    Kernel("lstm, 40 steps", recurrent("LSTM"), recurrent_shapes(4), 5e-7, 1.2e-6),
    Kernel("gru, 40 steps", recurrent("GRU"), recurrent_shapes(3), 8.5e-7, 1.2e-6),
    Kernel("rnn, 40 steps", recurrent("RNN"), recurrent_shapes(1), 1.6e-6, 9e-7),
    Kernel("sum of 1,000,003", tg.sum, ((1_000_003,),), 1.2e-7, 0),
    Kernel("sum of rows", lambda x: x.sum(1), ((300, 5000),), 2.7e-7, 0),
    Kernel("sum of columns", lambda x: x.sum(0), ((5000, 300),), 3.5e-7, 0),
    Kernel("mean of 1,000,003", tg.mean, ((1_000_003,),), 1.4e-7, 1.2e-7),
    Kernel("var of rows", lambda x: x.var(1), ((300, 5000),), 1.8e-7, 1.2e-7),
    Kernel("prod of rows", lambda x: (1 + 0.01 * x).prod(1), ((300, 500),), 2.4e-6, 2.7e-6),
    Kernel("norm", lambda x: x.norm(), ((300, 5000),), 1.2e-7, 1.2e-7),
    Kernel("cumsum", lambda x: tg.cumsum(x, 1), SCAN, 1.2e-7, 1.2e-7),
    Kernel("cumprod", lambda x: tg.cumprod(1 + 0.01 * x, 1), SCAN, 1.2e-6, 8.4e-7),
    Kernel("logcumsumexp", lambda x: tg.logcumsumexp(x, 1), SCAN, 1.2e-7, 1.6e-6),
    Kernel("embedding_backward", lambda w: tg.nn.functional.embedding(whole(4000, high=50), w), ((50, 96),), 0, 3.4e-7),
    Kernel(
        "index_add", lambda x: tg.zeros(50, 96, dtype=x.dtype).index_add(0, whole(4000, high=50), x), ((4000, 96),), 3.6e-7, 0
    ),
    Kernel(
        "scatter_add",
        lambda x: tg.zeros(600, 50, dtype=x.dtype).scatter_add(1, whole(600, 700, high=50), x),
        ((600, 700),),
        2.2e-7,
        0,
    ),
    Kernel("avg_pool2d", nn("avg_pool2d", 3, 2, 1), ((4, 16, 29, 29),), 1.2e-7, 1.8e-7),
    Kernel("interpolate, bilinear", nn("interpolate", scale_factor=1.7, mode="bilinear"), ((4, 16, 29, 29),), 1.6e-7, 1.7e-7),
    Kernel("interpolate, bicubic", nn("interpolate", scale_factor=1.7, mode="bicubic"), ((4, 16, 29, 29),), 1.7e-7, 1.9e-7),
    Kernel(
        "grid_sample",
        lambda x, g: tg.nn.functional.grid_sample(x, g.tanh(), align_corners=False),
        ((2, 8, 20, 20), (2, 15, 15, 2)),
        2.7e-6,
        1.5e-6,
    ),
    Kernel("total_norm", lambda x: tg.nn.utils.get_total_norm([x, x[:10]]), ((300, 500),), 1.2e-7),
    updated("SGD", 1.4e-7, lr=0.1, momentum=0.9, weight_decay=0.01),
    updated("Adam", 2.7e-7, lr=0.1),
    updated("AdamW", 2.5e-7, lr=0.1),
    updated("NAdam", 2.6e-7, lr=0.1),
    updated("RAdam", 1.7e-7, lr=0.1),
    updated("Adamax", 2.1e-7, lr=0.1),
    updated("Adagrad", 1.9e-7, lr=0.1),
    updated("RMSprop", 2.2e-7, lr=0.1),
    updated("Adadelta", 3.9e-7, lr=0.1),
]


def as_table() -> str:
    """The bounds of the kernels, for the documentation."""
    lines = ["| kernel | shapes | result | gradients |", "|---|---|---|---|"]
    for k in KERNELS:
        shapes = ", ".join(str(s) for s in dict.fromkeys(k.shapes))
        backward = "" if k.backward is None else "exact" if k.backward == 0 else f"{k.backward:.1e}"
        lines.append(f"| {k.name} | {shapes} | {'exact' if k.forward == 0 else f'{k.forward:.1e}'} | {backward} |")
    return "\n".join(lines)


def results(kernel: Kernel, inputs: list[np.ndarray], dtype: str) -> tuple[Any, list[Any]]:
    """The call's result and its gradients for a random dy, as float64 arrays. Inputs are rounded to the kernel's dtype."""
    tensors = [tg.tensor(a).to(getattr(tg, kernel.dtype)).to(getattr(tg, dtype)) for a in inputs]
    for t in tensors:
        t.requires_grad_(kernel.backward is not None)
    y = kernel.call(*tensors)
    if kernel.backward is not None:
        dy = tg.tensor(np.random.default_rng(1).standard_normal(y.shape)).to(getattr(tg, kernel.dtype)).to(y.dtype)
        y.backward(dy)
    gradients = [t.grad.double().numpy() for t in tensors if t.grad is not None]
    return y.detach().double().numpy(), gradients


def errors(kernel: Kernel) -> tuple[float, float]:
    """The errors of the result and of the gradients."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape) for shape in kernel.shapes]
    before = tg.get_conv_algorithm()
    tg.set_conv_algorithm(kernel.algorithm)
    try:
        y, gradients = results(kernel, inputs, kernel.dtype)
        tg.set_conv_algorithm("direct")
        exact, exact_gradients = results(kernel, inputs, "float64")
    finally:
        tg.set_conv_algorithm(before)
    backward = [relative(g, e) for g, e in zip(gradients, exact_gradients, strict=True)]
    return relative(y, exact), max(backward, default=0.0)


def relative(actual: np.ndarray, exact: np.ndarray) -> float:
    return float(np.max(np.abs(actual - exact)) / np.max(np.abs(exact)))
