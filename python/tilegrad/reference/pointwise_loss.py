"""Losses of one number against one number, and the connectionist temporal classification."""

import numpy as np

from tilegrad.reference.loss import _reduce


def l1_loss(x, y, reduction="mean"):
    return _reduce(np.abs(x - y), reduction)


def smooth_l1_loss(x, y, reduction="mean", beta=1.0):
    d = np.abs(x - y)
    return _reduce(np.where(d < beta, d * d / (2 * beta), d - beta / 2), reduction)


def huber_loss(x, y, reduction="mean", delta=1.0):
    d = np.abs(x - y)
    return _reduce(np.where(d <= delta, d * d / 2, delta * (d - delta / 2)), reduction)


def binary_cross_entropy(x, y, reduction="mean"):
    low = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    return _reduce(-(y * low[0] + (1 - y) * low[1]), reduction)


def binary_cross_entropy_with_logits(x, y, reduction="mean"):
    return _reduce(np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x))), reduction)


def kl_div(x, y, reduction="mean", log_target=False):
    if log_target:
        losses = np.exp(y) * (y - x)
    else:
        losses = np.where(y == 0, 0, y * (np.log(np.where(y == 0, 1, y)) - x))
    return np.sum(losses) / x.shape[0] if reduction == "batchmean" else _reduce(losses, reduction)


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """The forward recursion over the states blank l_1 blank l_2 ... blank, one sample after the other."""
    losses, begin = [], 0
    for n, (steps, size) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        labels = targets[n, :size] if targets.ndim == 2 else targets[begin : begin + size]
        begin += size
        states = [blank]
        for label in labels:
            states += [label, blank]
        p = np.exp(log_probs[:, n])  # (T, C)
        alpha = np.zeros(len(states))
        alpha[0] = 1  # before the first step: the path may enter at the first two states
        for t in range(steps):
            moved = alpha.copy()
            for s in range(len(states)):
                if s >= 1:
                    moved[s] += alpha[s - 1]
                if s >= 2 and states[s] != blank and states[s] != states[s - 2] and t > 0:
                    moved[s] += alpha[s - 2]
            alpha = moved * p[t, states]
        total = alpha[-1] + (alpha[-2] if len(states) > 1 and steps else 0)
        loss = -np.log(total)
        losses.append(0.0 if zero_infinity and np.isinf(loss) else loss)
    losses = np.array(losses)
    if reduction == "mean":
        return np.mean(losses / np.maximum(target_lengths, 1))
    return _reduce(losses, reduction)
