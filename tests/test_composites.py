"""A fused op and its composite, the same function in plain ops, agree: in value, and the composite's gradient is right."""

import types

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import assert_close, gradcheck
from tilegrad.testing.spec import flat

RNG = np.random.default_rng(0)
ROWS, TARGET = RNG.standard_normal((6, 5)), np.array([0, 4, -100, 2, 1, 1])
DY, LOSS_DY = RNG.standard_normal((6, 5)), RNG.standard_normal(6)
PROBABILITIES = np.exp(ROWS) / np.exp(ROWS).sum(1, keepdims=True)
IMAGES, GRID = RNG.standard_normal((2, 3, 4, 5)), RNG.uniform(-1.4, 1.4, (2, 3, 3, 2))
POINTS_DY = RNG.standard_normal((2, 3, 3, 3))
LSE = np.log(np.exp(ROWS).sum(1))

Q, K, V, MASK = (
    RNG.standard_normal((2, 4, 3, 5)),
    RNG.standard_normal((2, 2, 6, 5)),
    RNG.standard_normal((2, 2, 6, 4)),
    ROWS.T[None, None, :3] > 0,
)
ATTENTION = [(m, 0.4, c, p, 3, 11) for m in (None, MASK) for c in (False, True) for p in (0.0, 0.3)]
ATTENTION_OUT = [
    tuple(
        t.numpy()
        for t in tg.ops.attention.attention(*map(tg.tensor, (Q, K, V)), None if a[0] is None else tg.tensor(a[0]), *a[1:])
    )
    for a in ATTENTION
]

# Arguments of every op that has a composite: float arrays become tensors of the dtype under test.
CALLS = {
    "attention": [(Q, K, V, *a) for a in ATTENTION],
    "attention_backward": [
        (V[:, [0, 0, 1, 1], :3], Q, K, V, a[0], *o, *a[1:]) for a, o in zip(ATTENTION, ATTENTION_OUT, strict=True)
    ],
    "grid_sample": [(IMAGES, GRID, False, padding, corners) for padding in range(3) for corners in (False, True)],
    "grid_sample_backward": [(POINTS_DY, IMAGES, GRID, False, padding, False) for padding in range(3)],
    "softmax": [(ROWS, 1), (ROWS, 0)],
    "softmax_backward": [(PROBABILITIES, DY, 1)],
    "log_softmax": [(ROWS, 1), (ROWS, 0)],
    "log_softmax_backward": [(np.log(PROBABILITIES), DY, 1)],
    "logcumsumexp_backward": [(DY, ROWS, np.logaddexp.accumulate(ROWS, axis=d), d, False) for d in (0, 1)],
    "selu_backward": [(ROWS, DY)],
    "mish_backward": [(ROWS, DY)],
    "softsign_backward": [(ROWS, DY)],
    "hardsigmoid_backward": [(ROWS, DY)],
    "hardswish_backward": [(ROWS, DY)],
    "logsigmoid_backward": [(ROWS, DY)],
    "leaky_relu_backward": [(ROWS, DY, 0.2)],
    "elu_backward": [(ROWS, DY, 0.5)],
    "celu_backward": [(ROWS, DY, 0.5)],
    "relu_backward": [(np.maximum(ROWS, 0), DY)],
    "tanh_backward": [(np.tanh(ROWS), DY)],
    "sigmoid_backward": [(1 / (1 + np.exp(-ROWS)), DY)],
    "silu_backward": [(ROWS, DY)],
    "gelu_backward": [(ROWS, DY)],
    "gelu_tanh_backward": [(ROWS, DY)],
    "cross_entropy": [(ROWS, TARGET, w, -100, s) for w in (None, np.arange(1.0, 6.0)) for s in (0.0, 0.1)],
    "cross_entropy_reduced": [
        (ROWS, TARGET, w, -100, s, mean, None)
        for w in (None, np.arange(1.0, 6.0))
        for s in (0.0, 0.1)
        for mean in (True, False)
    ],
    "cross_entropy_backward": [
        (LOSS_DY, ROWS, TARGET, w, LSE, -100, s) for w in (None, np.arange(1.0, 6.0)) for s in (0.0, 0.1)
    ],
}

PLANES, PLANES_DY = RNG.standard_normal((4, 6, 5)), RNG.standard_normal((4, 6, 5))
SIX, FIVE = np.arange(1.0, 7.0), np.arange(1.0, 6.0)


def statistics(x, axes, eps=0.1):
    return x.mean(axes), 1 / np.sqrt(x.var(axes) + eps)


GROUPED = PLANES.reshape(4, 3, 10)
CALLS |= {
    "layer_norm": [(ROWS, None, None, 1, 0.1), (PLANES, RNG.standard_normal((6, 5)), RNG.standard_normal((6, 5)), 2, 0.1)],
    "layer_norm_backward": [(DY, ROWS, w, *statistics(ROWS, 1), 1, 0.1) for w in (None, FIVE)],
    "rms_norm": [(ROWS, w, 1, 0.1) for w in (None, FIVE)],
    "rms_norm_backward": [(DY, ROWS, w, 1 / np.sqrt((ROWS**2).mean(1) + 0.1), 1, 0.1) for w in (None, FIVE)],
    "batch_norm": [(PLANES, w, b, 0.1) for w, b in ((None, None), (SIX, SIX))] + [(ROWS, FIVE, FIVE, 0.1)],
    "batch_norm_backward": [(PLANES_DY, PLANES, w, *statistics(PLANES, (0, 2)), 0.1) for w in (None, SIX)],
    "group_norm": [(PLANES, w, b, 3, 0.1) for w, b in ((None, None), (SIX, SIX))],
    "group_norm_backward": [(PLANES_DY, PLANES, w, *statistics(GROUPED, 2), 3, 0.1) for w in (None, SIX)],
    "channel_affine": [(PLANES, SIX, SIX), (ROWS, FIVE, FIVE)],
    "channel_affine_backward": [(PLANES_DY, PLANES, SIX), (DY, ROWS, FIVE)],
}

CALLS |= {
    "soft_cross_entropy": [(ROWS, PROBABILITIES, w) for w in (None, FIVE)],
    "soft_cross_entropy_backward": [(LOSS_DY, ROWS, PROBABILITIES, w, LSE) for w in (None, FIVE)],
    "pointwise_loss": [(PROBABILITIES, PROBABILITIES[::-1].copy(), k, 0.3, r) for k in range(8) for r in range(3)],
    "pointwise_loss_backward": [(DY, PROBABILITIES, PROBABILITIES[::-1].copy(), k, 0.3, 0) for k in range(8)],
}


def recurrent(gates, states):
    """x, the first states, weights, biases, no batch sizes, in order."""
    h = 4
    shapes = [(3, 2, 5), *[(2, h)] * states, (gates * h, 5), (gates * h, h), (gates * h,), (gates * h,)]
    return [*(RNG.standard_normal(s) for s in shapes), None, False]


def recurrent_backward(name, gates, states, *options):
    """The gradients of y and the states, the call of the forward op, and what that gave."""
    args = [*recurrent(gates, states), *options]
    tensors = [tg.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    out = getattr(tg.ops.rnn, f"{name}_op")(*tensors)
    kept = [out[0].numpy()] if name == "rnn" else [out[0].numpy(), out[-1].numpy()]
    dys = [RNG.standard_normal((3, 2, 4)), *(RNG.standard_normal((2, 4)) for _ in range(states))]
    return (*dys, *args, *kept, 7)


NUMBERS = np.array([[1, 3, 1], [0, 3, 3]])
CALLS |= {
    "lstm": [tuple(recurrent(4, 2))],
    "gru": [tuple(recurrent(3, 1))],
    "rnn": [(*recurrent(1, 1), False), (*recurrent(1, 1), True)],
    "lstm_backward": [recurrent_backward("lstm", 4, 2)],
    "gru_backward": [recurrent_backward("gru", 3, 1)],
    "rnn_backward": [recurrent_backward("rnn", 1, 1, False), recurrent_backward("rnn", 1, 1, True)],
    "embedding": [(ROWS, NUMBERS, -1, False)],
    "embedding_backward": [(RNG.standard_normal((6, 5)), NUMBERS.ravel(), 6, p, f) for p in (-1, 3) for f in (False, True)],
}


def composite_of(op):
    """The composite as the native type stores it (the class attribute of this name is the decorator that sets it)."""
    return tg._core.Op.__dict__["composite"].__get__(op)


def fused_ops():
    found = {}
    modules = [m for m in vars(tg.ops).values() if isinstance(m, types.ModuleType)]
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, tg._core.Op) and composite_of(value) is not None:
                found[value.name] = value
    return found


def arguments(call, dtype):
    def convert(a):
        if isinstance(a, np.ndarray):
            return tg.tensor(a, dtype=dtype if a.dtype == np.float64 else None)
        return a

    return [convert(a) for a in call]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_kernel_and_composite_agree(name):
    op = fused_ops()[name]
    for call in CALLS[name]:
        for dtype, tolerance in ((tg.float64, 1e-12), (tg.float32, 1e-5)):
            kernel = flat(op(*arguments(call, dtype)))
            composite = flat(composite_of(op)(*arguments(call, dtype)))
            assert len(kernel) == len(composite)
            if name in ("lstm", "gru"):  # the gates that only the kernel's backward pass wants
                kernel, composite = kernel[:-1], composite[:-1]
            for a, b in zip(kernel, composite, strict=True):
                # the kernel leaves log-sum-exp of ignored rows open
                if name.startswith("cross_entropy") and a.shape == (len(TARGET),):
                    counted = tg.tensor(TARGET != -100)
                    a, b = a[counted], b[counted]
                assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"relu_backward"}))
def test_the_gradient_of_the_composite(name):
    composite = composite_of(fused_ops()[name])
    for call in CALLS[name]:
        args = arguments(call, tg.float64)
        which = [i for i, a in enumerate(args) if isinstance(a, tg.Tensor) and a.dtype == tg.float64 and a.ndim >= 2]

        def function(*tensors, composite=composite, args=args, which=which):
            filled = list(args)
            for i, t in zip(which, tensors, strict=True):
                filled[i] = t
            return flat(composite(*filled))[0]

        assert gradcheck(function, [args[i].requires_grad_() for i in which], fast_mode=True)


def test_every_composite_is_tested():
    assert set(fused_ops()) == set(CALLS)
