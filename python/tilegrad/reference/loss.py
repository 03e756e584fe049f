"""Losses. Class scores are (N, C), (N, C, d1, ...) or (C,)."""

import numpy as np

from tilegrad.reference.softmax import log_softmax


def _reduce(loss, reduction):
    return {"none": lambda: loss, "sum": lambda: np.sum(loss), "mean": lambda: np.mean(loss)}[reduction]()


def mse_loss(x, y, reduction="mean"):
    return _reduce((x - y) ** 2, reduction)


def nll_loss(log_p, target, weight=None, ignore_index=-100, reduction="mean"):
    """-weight[target] * log_p[target]; the mean divides by the sum of the weights of what is not ignored."""
    picked, w = _pick(log_p, target, weight, ignore_index)
    return _weighted(-w * picked, w, reduction)


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    log_p = log_softmax(x, 0 if x.ndim == 1 else 1)
    if target.dtype.kind == "f":  # class probabilities
        return _probabilities(log_p, target, weight, reduction, label_smoothing)
    picked, w = _pick(log_p, target, weight, ignore_index)
    loss = -(1 - label_smoothing) * w * picked
    if label_smoothing:
        class_axis = 0 if x.ndim == 1 else 1
        classes = x.shape[class_axis]
        scaled = log_p * _along(class_axis, x.ndim, np.ones(classes) if weight is None else weight)
        smooth = -np.sum(scaled, axis=class_axis) / classes
        loss = loss + label_smoothing * np.where(target == ignore_index, 0, smooth)
    return _weighted(loss, w, reduction)


def _probabilities(log_p, target, weight, reduction, label_smoothing):
    class_axis = 0 if log_p.ndim == 1 else 1
    classes = log_p.shape[class_axis]
    target = target * (1 - label_smoothing) + label_smoothing / classes
    w = _along(class_axis, log_p.ndim, np.ones(classes) if weight is None else weight)
    loss = -np.sum(w * target * log_p, axis=class_axis)
    return np.sum(loss) / max(loss.size, 1) if reduction == "mean" else _reduce(loss, reduction)


def _along(axis, ndim, v):
    return v.reshape([-1 if d == axis else 1 for d in range(ndim)])


def _pick(log_p, target, weight, ignore_index):
    """log_p at each target class, and each target's weight; both 0 where the target is ignored."""
    kept = target != ignore_index
    classes = np.where(kept, target, 0)
    if log_p.ndim == 1:
        picked = log_p[classes]
    else:
        picked = np.take_along_axis(log_p, classes[:, None], axis=1)[:, 0]
    w = np.ones(target.shape) if weight is None else weight[classes]
    return np.where(kept, picked, 0), np.where(kept, w, 0)


def _weighted(loss, w, reduction):
    return np.sum(loss) / np.sum(w) if reduction == "mean" else _reduce(loss, reduction)
