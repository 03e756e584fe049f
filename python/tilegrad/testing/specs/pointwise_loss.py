"""Losses of one number against one number, and ctc_loss."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import pointwise_loss
from tilegrad.reference.softmax import log_softmax
from tilegrad.testing.layouts import spaced, stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, functional, sample

TOLERANCES = {"float32": (5e-6, 2e-6), "float64": (1e-12, 1e-13), "bfloat16": (2.0**-6, 1e-2), "float16": (2.0**-8, 2e-3)}
ROWS = ("pointwise_loss", "pointwise_loss_backward")


def samples(make_x=uniform, make_y=uniform, **kwargs):
    """Every reduction and layout, and sizes on both sides of a register, four of them, and a piece of 16384."""

    def build(rng):
        x, y = make_x(rng, (4, 7)), make_y(rng, (4, 7))
        return [
            *(sample(x, y, reduction=r, **kwargs) for r in ("mean", "sum", "none")),
            sample(transposed(make_x(rng, (3, 5))), make_y(rng, (3, 5)), note="transposed", **kwargs),
            sample(stepped(make_x(rng, (3, 16))), stepped(make_y(rng, (3, 16))), reduction="sum", note="stepped", **kwargs),
            sample(make_x(rng, ()), make_y(rng, ()), note="0-d", **kwargs),
            sample(make_x(rng, (67,)), make_y(rng, (67,)), note="four registers and some", **kwargs),
            sample(np.zeros((0, 3)), np.zeros((0, 3)), reduction="sum", gradient=False, note="empty", **kwargs),
            sample(make_x(rng, (16390,)), make_y(rng, (16390,)), gradient=False, note="two pieces", **kwargs),
        ]

    return build


def probabilities(rng, shape):
    return uniform(rng, shape, 0.05, 0.95)


def log_probabilities(rng, shape):
    return uniform(rng, shape, -3.0, -0.1)


def apart(rng, shape):
    """Numbers whose distances from 0 avoid the kinks of the losses."""
    return spaced(rng, shape, -3.0, 3.0)


def zeros(rng, shape):
    return np.zeros(shape)


def f(name):
    return functional(name)


def spec(name, samples, **options):
    return OpSpec(
        name, f(name), getattr(pointwise_loss, name), samples, FLOATS, tolerances=TOLERANCES, rows=ROWS,
        **{"differentiable": (0, 1), **options},
    )  # fmt: skip


def divergence_samples(rng):
    y = np.where(probabilities(rng, (3, 4)) > 0.8, 0.0, probabilities(rng, (3, 4)))
    return [
        *samples(log_probabilities, probabilities)(rng),
        sample(log_probabilities(rng, (3, 4)), probabilities(rng, (3, 4)), reduction="batchmean"),
        sample(log_probabilities(rng, (3, 4)), y, gradient=False, note="targets of 0"),
        *samples(log_probabilities, log_probabilities, log_target=True)(rng),
    ]


def ctc_samples(rng):
    x = log_softmax(uniform(rng, (6, 3, 4)), 2)
    padded, one_row = np.array([[1, 1, 2], [3, 0, 0], [2, 3, 0]]), np.array([1, 1, 2, 3, 2, 3])
    inputs, sizes = np.array([6, 4, 5]), np.array([3, 1, 2])
    long = log_softmax(uniform(rng, (45, 2, 5)), 2)
    return [
        sample(x, padded, inputs, sizes),
        sample(x, padded, inputs, sizes, reduction="sum"),
        sample(x, one_row, inputs, sizes, reduction="none"),
        sample(x, padded - 1, inputs, np.array([2, 1, 2]), blank=3, note="another blank"),
        sample(x, padded, inputs, np.array([0, 1, 0]), note="empty targets"),
        sample(x, padded, np.array([3, 4, 5]), sizes, reduction="none", gradient=False, note="does not fit"),
        sample(x, padded, np.array([3, 4, 5]), sizes, zero_infinity=True, note="does not fit, counted 0"),
        sample(long, rng.integers(1, 5, (2, 18)), np.array([45, 40]), np.array([18, 17]), note="two registers of states"),
    ]


def ctc(*args):
    return tg.nn.functional.ctc_loss(*args)


X, Y, LENGTHS = tg.zeros(4, 2, 3), tg.ones(2, 2, dtype=tg.int64), tg.tensor([2, 2])
CTC_ERRORS = [
    OpError(lambda: ctc(X, Y, LENGTHS, LENGTHS, 3), RuntimeError, r"blank must be in label range 0\.\.2, got 3"),
    OpError(lambda: ctc(X, Y, tg.tensor([2, 5]), LENGTHS), RuntimeError, r"input_lengths .* 0\.\.4, got 5 for sample 1"),
    OpError(lambda: ctc(X, Y, LENGTHS, tg.tensor([2, 3])), RuntimeError, r"sample 1 has a target length of 3.*leave 2"),
    OpError(lambda: ctc(X, Y, tg.tensor([2]), LENGTHS), RuntimeError, r"of size batch_size 2, got shape \(1,\)"),
    OpError(lambda: ctc(X, Y + 2, LENGTHS, LENGTHS), IndexError, r"label 3 of sample 0 is out of range for 3 classes"),
    OpError(lambda: ctc(X, Y.reshape(4), LENGTHS, tg.tensor([1, 2])), RuntimeError, r"add up to 3, but there are 4"),
    OpError(lambda: ctc(X.half(), Y, LENGTHS, LENGTHS), RuntimeError, r"float32 or float64 log_probs, got float16"),
]

SPECS = [
    spec(
        "l1_loss", samples(apart, zeros),
        errors=[OpError(lambda: tg.ops.pointwise_loss.pointwise_loss("l1", tg.ones(2), tg.ones(3)), RuntimeError, "differ")],
    ),
    spec("smooth_l1_loss", samples(apart, zeros, beta=0.7)),
    spec("huber_loss", samples(apart, zeros, delta=0.7)),
    spec(
        "binary_cross_entropy", samples(probabilities, probabilities),
        errors=[
            OpError(
                lambda: tg.nn.functional.binary_cross_entropy(tg.tensor([0.5, 1.5]), tg.ones(2)),
                RuntimeError, "should be between 0 and 1",
            ),
            OpError(
                lambda: tg.nn.functional.binary_cross_entropy(tg.tensor([0.5, float("nan")]), tg.ones(2)),
                RuntimeError, "should be between 0 and 1",
            ),
        ],
    ),
    spec("binary_cross_entropy_with_logits", samples(uniform, probabilities)),
    spec("kl_div", divergence_samples),
    OpSpec(
        "ctc_loss", f("ctc_loss"), pointwise_loss.ctc_loss, ctc_samples, ("float32", "float64"),
        tolerances={"float32": (2e-5, 2e-5), "float64": (1e-11, 1e-12)}, differentiable=(0,), errors=CTC_ERRORS,
    ),
]  # fmt: skip
