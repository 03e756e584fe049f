"""Connectionist temporal classification."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..autograd.op import op

LOWEST = -1e30  # log 0 that can be subtracted from itself: -infinity would give NaN in the derivatives of the recursion


def _backward(dloss, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity, out, out1):
    """The kernel's gradient; in a graph to be differentiated again, the same formula as differentiable ops."""
    if _core.is_grad_enabled():
        return posterior_gradient(dloss, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity)
    return ctc_loss_backward(dloss, log_probs, targets, input_lengths, target_lengths, out, out1, blank, zero_infinity)


# (loss per sample, alpha); alpha serves the backward pass and has no gradient
ctc_loss_op = op(_core.ctc_loss).backward(log_probs=_backward)
ctc_loss_backward = op(_core.ctc_loss_backward)


def posterior_gradient(dloss, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    """-dloss times the probability of each class at each step, (T, N, C), by ops that have gradients of every order.

    The recursion of csrc/kernels/cpu/ctc_loss.cpp, one step of time for all samples and states at once.
    """
    import tilegrad as tg

    if not log_probs.numel():
        return tg.zeros_like(log_probs)
    time, batch, classes = log_probs.shape
    steps, sizes = input_lengths.numpy(), target_lengths.numpy()
    labels, jump, at_end = (tg.tensor(x) for x in _states(targets.numpy(), sizes, blank))
    states = labels.shape[1]
    dtype = log_probs.dtype
    nowhere = tg.full((batch, states), LOWEST, dtype=dtype)

    def reachable(stay, move, leap):
        return tg.stack([stay, move, leap]).logsumexp(0)

    def shifted(x, by):  # x[:, s - by], and log 0 beyond the ends
        return tg.cat([nowhere[:, :by], x[:, :-by]], 1) if by > 0 else tg.cat([x[:, -by:], nowhere[:, :-by]], 1)

    index = labels.unsqueeze(1).expand(batch, time, states)
    emitted = log_probs.transpose(0, 1).gather(2, index).clamp(min=LOWEST).unbind(1)  # (N, states) for each step
    alpha = [tg.where(tg.arange(states) < 2, emitted[0], nowhere)]
    for t in range(1, time):
        before = alpha[-1]
        leap = tg.where(jump, shifted(before, 2), nowhere)
        alpha.append(reachable(before, shifted(before, 1), leap) + emitted[t])

    ends, beta, after = tg.where(at_end, tg.zeros_like(nowhere), nowhere), [], nowhere
    for t in reversed(range(time)):
        onward = reachable(after, shifted(after, -1), shifted(tg.where(jump, after, nowhere), -2))
        beta.append(tg.where(tg.tensor(steps == t + 1)[:, None], ends, onward))
        after = beta[-1] + emitted[t]
    paths = tg.stack(alpha, 1) + tg.stack(beta[::-1], 1)  # (N, T, states)
    total = paths.logsumexp(2, keepdim=True)  # the same at every step below the sample's length

    used = tg.tensor(np.arange(time)[None, :, None] < steps[:, None, None])
    possible = total.detach() > LOWEST / 2
    share = tg.where(used & possible, (paths - total).exp(), tg.zeros((), dtype=dtype))
    gradient = tg.zeros(batch, time, classes, dtype=dtype).scatter_add(2, index, share) * -dloss[:, None, None]
    if not zero_infinity:
        gradient = tg.where(used & ~possible, tg.full((), float("nan"), dtype=dtype), gradient)
    return gradient.transpose(0, 1)


def _states(targets, sizes, blank):
    """labels (N, states) with blanks between; jump: may the state be entered over a blank; at_end: may a path end there."""
    rows = targets if targets.ndim == 2 else np.split(targets, np.cumsum(sizes)[:-1])
    states = 2 * max(sizes, default=0) + 1
    labels = np.full((len(sizes), states), blank, np.int64)
    for n, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        labels[n, 1 : 2 * size : 2] = row[:size]
    at = np.arange(states)
    jump = np.zeros(labels.shape, bool)
    jump[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    at_end = (at == 2 * sizes[:, None]) | ((at == 2 * sizes[:, None] - 1) & (at >= 0))
    return labels, jump, at_end
