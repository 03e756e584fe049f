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
LSE = np.log(np.exp(ROWS).sum(1))

# Arguments of every op that has a composite: float arrays become tensors of the dtype under test.
CALLS = {
    "softmax": [(ROWS, 1), (ROWS, 0)],
    "softmax_backward": [(PROBABILITIES, DY, 1)],
    "log_softmax": [(ROWS, 1), (ROWS, 0)],
    "log_softmax_backward": [(np.log(PROBABILITIES), DY, 1)],
    "relu_backward": [(np.maximum(ROWS, 0), DY)],
    "tanh_backward": [(np.tanh(ROWS), DY)],
    "sigmoid_backward": [(1 / (1 + np.exp(-ROWS)), DY)],
    "silu_backward": [(ROWS, DY)],
    "gelu_backward": [(ROWS, DY)],
    "gelu_tanh_backward": [(ROWS, DY)],
    "cross_entropy": [(ROWS, TARGET, w, -100, s) for w in (None, np.arange(1.0, 6.0)) for s in (0.0, 0.1)],
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
            for a, b in zip(kernel, composite, strict=True):
                if name == "cross_entropy":  # the kernel leaves log-sum-exp of ignored rows open
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
