"""Small measuring tools that many recipes share: accuracy, R2, smoothing of a curve, scaling of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tilegrad as tg


def predict(model: Any, x: Any) -> Any:
    """``model(x)`` in evaluation mode and without a graph; the model goes back to the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        with tg.no_grad():
            return model(x)
    finally:
        model.train(was_training)


def accuracy(model: Any, x: Any, y: Any) -> float:
    """Share of rows of ``x`` whose largest output is the label in ``y``."""
    return float((predict(model, x).argmax(1) == y).float().mean())


def mean_loss(model: Any, criterion: Any, x: Any, y: Any) -> float:
    """``criterion(model(x), y)`` as a number, in evaluation mode."""
    with tg.no_grad():
        return float(criterion(predict(model, x), y))


def r2_score(prediction: Any, target: Any) -> float:
    """Coefficient of determination: 1 is perfect, 0 is as good as the mean, negative is worse than the mean."""
    prediction, target = np.asarray(prediction, dtype=np.float64), np.asarray(target, dtype=np.float64)
    return float(1 - ((target - prediction) ** 2).sum() / ((target - target.mean()) ** 2).sum())


def smooth(costs: Sequence[float], beta: float) -> list[float]:
    """Row B08: C'_0 = C_0, C'_i = beta C_i + (1 - beta) C'_{i-1}. A small beta is a smooth curve.

    The other convention (beta on the *old* value, as in momentum) is 1 minus this one; see correction X3.
    """
    smoothed: list[float] = []
    for cost in costs:
        smoothed.append(beta * cost + (1 - beta) * smoothed[-1] if smoothed else float(cost))
    return smoothed


def standardise(x: Any, like: Any) -> Any:
    """``x`` with the columns of ``like`` brought to mean 0 and standard deviation 1 (row B11)."""
    return (x - like.mean(0)) / like.std(0, correction=0)
