"""Losses."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import loss
from tilegrad.reference.softmax import log_softmax
from tilegrad.testing.layouts import transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, functional, sample

TOLERANCES = {"float32": (5e-6, 2e-6), "float64": (1e-12, 1e-13), "bfloat16": (2.0**-6, 1e-3), "float16": (2.0**-8, 1e-3)}


def mse_samples(rng):
    x, y = uniform(rng, (4, 5)), uniform(rng, (4, 5))
    return [
        sample(x, y),
        sample(x, y, reduction="sum"),
        sample(x, y, reduction="none"),
        sample(transposed(x), y, note="transposed"),
        sample(uniform(rng, ()), uniform(rng, ()), note="0-d"),
    ]


def scores(rng, *shape):
    """Class scores (N, C, ...) and targets."""
    classes = shape[0] if len(shape) == 1 else shape[1]
    target_shape = () if len(shape) == 1 else (shape[0], *shape[2:])
    return uniform(rng, shape, -3.0, 3.0), np.asarray(rng.integers(0, classes, target_shape))


def class_samples(make_scores):
    """The calls that cross_entropy and nll_loss share."""

    def build(rng):
        x, t = scores(rng, 7, 5)
        x = make_scores(x)
        weight = uniform(rng, (5,), 0.5, 2.0)
        ignored = t.copy()
        ignored[[1, 4]] = -100
        images, pixels = scores(rng, 2, 3, 4, 2)
        single, one = scores(rng, 6)
        return [
            sample(x, t),
            sample(x, t, reduction="sum"),
            sample(x, t, reduction="none"),
            sample(x, t, weight=weight),
            sample(x, t, weight=weight, reduction="none"),
            sample(x, ignored, note="ignored"),
            sample(x, ignored, weight=weight, reduction="none", note="ignored"),
            sample(x, t, ignore_index=2),
            sample(transposed(x), t, note="transposed"),
            sample(make_scores(images), pixels, note="images"),
            sample(make_scores(images), pixels, reduction="none", note="images"),
            sample(make_scores(single, 0), one, note="one row"),
            sample(make_scores(scores(rng, 3, 1000)[0]), rng.integers(0, 1000, 3), note="many classes"),
            sample(x, np.full(7, -100), gradient=False, note="all ignored: 0/0"),
        ]

    return build


def cross_entropy_samples(rng):
    x, t = scores(rng, 7, 5)
    weight = uniform(rng, (5,), 0.5, 2.0)
    ignored = np.where(np.arange(7) % 3, t, -100)
    p = np.exp(log_softmax(uniform(rng, (7, 5)), 1))
    far = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 999.0]])
    return [
        *class_samples(lambda a, dim=1: a)(rng),
        sample(x, t, label_smoothing=0.1),
        sample(x, ignored, label_smoothing=0.2, weight=weight),
        sample(x, ignored, label_smoothing=0.2, reduction="none"),
        sample(x, p, note="probabilities"),
        sample(x, p, weight=weight, label_smoothing=0.1, reduction="sum", note="probabilities"),
        sample(far, np.array([0, 2]), gradient=False, dtypes=("float32", "float64"), note="far apart"),
    ]


def nll_samples(rng):
    return class_samples(lambda a, dim=1: log_softmax(a, dim))(rng)


def target_errors(name):
    f = functional(name)
    return [
        OpError(
            lambda: f(tg.zeros(2, 3), tg.tensor([0, 3])), IndexError, r"(?i)target 3 is out of (range|bounds) for 3 classes"
        ),
        OpError(
            lambda: f(tg.zeros(2, 3), tg.tensor([0, -1])), IndexError, r"(?i)target -1 is out of (range|bounds) for 3 classes"
        ),
        OpError(
            lambda: f(tg.zeros(2, 3), tg.tensor([0, 1, 2])),
            ValueError,
            r"target (of shape|size) \(2,\).*got \(3,\)",
        ),
        OpError(
            lambda: f(tg.zeros(2, 3), tg.tensor([0, 1]), reduction="max"),
            ValueError,
            r"max is not a valid value for reduction",
        ),
        OpError(lambda: f(tg.zeros(2, 3), tg.tensor([0, 1]), weight=tg.ones(4)), (RuntimeError, ValueError), r"weight.*3"),
    ]


SPECS = [
    OpSpec(
        "mse_loss",
        functional("mse_loss"),
        loss.mse_loss,
        mse_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1),
        errors=[
            OpError(
                lambda: tg.nn.functional.mse_loss(tg.ones(2), tg.ones(2), reduction="max"),
                ValueError,
                r"max is not a valid value for reduction",
            )
        ],
    ),
    OpSpec(
        "nll_loss",
        functional("nll_loss"),
        loss.nll_loss,
        nll_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0,),
        errors=target_errors("nll_loss"),
    ),
    OpSpec(
        "cross_entropy",
        functional("cross_entropy"),
        loss.cross_entropy,
        cross_entropy_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1),
        rows=("cross_entropy", "cross_entropy_backward", "soft_cross_entropy", "soft_cross_entropy_backward"),
        errors=[
            *target_errors("cross_entropy"),
            OpError(
                lambda: tg.nn.functional.cross_entropy(tg.zeros(2, 3), tg.tensor([0, 1]), label_smoothing=1.5),
                RuntimeError,
                r"cross_entropy: label_smoothing must lie in \[0, 1\], got 1.5",
            ),
        ],
    ),
]
